// The ARM64 program, executed under user-mode emulation.
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const BINARY = resolve(import.meta.dir, "../../dist/tbgw-linux-arm64");
/** Emulation is slow. */
const TIMEOUT_MS = 180_000;

/** Runs the program with an empty environment. */
async function arm64(cwd: string, ...args: readonly string[]) {
  const command = ["/usr/bin/qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu", BINARY, ...args];
  const child = Bun.spawn(command, { cwd, env: {}, stdout: "pipe", stderr: "inherit" });
  const out = await new Response(child.stdout).text();
  return { code: await child.exited, out };
}

test(
  "the arm64 program says its version and checks a configuration",
  async () => {
    const dir = await mkdtemp(join(tmpdir(), "tbgw-arm64-"));
    const security = { type: "accessToken", accessToken: "TOKEN" };
    const gateway = { thingsboard: { host: "tb.example.com", security }, connectors: [] };
    await Bun.write(join(dir, "tb_gateway.json"), JSON.stringify(gateway));
    const version = await arm64(dir, "--version");
    const check = await arm64(dir, "check", "--config", dir);
    await rm(dir, { recursive: true });
    expect(version.out).toMatch(/^tbgw \d+\.\d+\.\d+\n$/);
    expect(version.code).toBe(0);
    expect(check.out).toContain("0 errors");
    expect(check.code).toBe(0);
  },
  TIMEOUT_MS,
);

test(
  "the arm64 program runs the demo from an empty directory with an empty environment",
  async () => {
    const dir = await mkdtemp(join(tmpdir(), "tbgw-arm64-"));
    const { code, out } = await arm64(dir, "demo", "--seconds", "20", "--json");
    await rm(dir, { recursive: true });
    console.log(`arm64: exit ${code} ${out.trim()}`);
    expect(code).toBe(0);
    const summary = JSON.parse(out);
    expect(summary).toMatchObject({
      devices: 5,
      queued: 0,
      rejected: 0,
      dropped: 0,
      uplinkConnected: true,
      values: { "Press 1": { forceSetpoint: "120.0" } },
    });
    expect(summary.acknowledged).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);
