// The ARM64 program, executed under user-mode emulation.
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const BINARY = resolve(import.meta.dir, "../../dist/tbgw-linux-arm64");
/** Emulation is slow. */
const TIMEOUT_MS = 180_000;

test(
  "the arm64 program runs the demo from an empty directory with an empty environment",
  async () => {
    const dir = await mkdtemp(join(tmpdir(), "tbgw-arm64-"));
    const child = Bun.spawn(
      [
        "/usr/bin/qemu-aarch64-static",
        "-L",
        "/usr/aarch64-linux-gnu",
        BINARY,
        "demo",
        "--seconds",
        "20",
        "--json",
      ],
      { cwd: dir, env: {}, stdout: "pipe", stderr: "inherit" },
    );
    const out = await new Response(child.stdout).text();
    const code = await child.exited;
    await rm(dir, { recursive: true });
    console.log(`arm64: exit ${code} ${out.trim()}`);
    expect(code).toBe(0);
    const summary = JSON.parse(out);
    expect(summary).toMatchObject({
      devices: 4,
      queued: 0,
      rejected: 0,
      dropped: 0,
      uplinkConnected: true,
    });
    expect(summary.acknowledged).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);
