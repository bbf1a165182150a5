// The compiled program at the command line.
import { describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY } from "../support/gateway-process.ts";

async function tbgw(
  args: readonly string[],
  cwd = "/",
): Promise<{ code: number; out: string; err: string }> {
  const child = Bun.spawn([BINARY, ...args], { cwd, env: {}, stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, out, err };
}

async function emptyDir(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "tbgw-cli-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

describe("tbgw", () => {
  test("--version and --help answer, and each command has help with examples", async () => {
    expect((await tbgw(["--version"])).out).toMatch(/^tbgw \d+\.\d+\.\d+\n$/);
    const help = await tbgw(["--help"]);
    expect(help.code).toBe(0);
    for (const command of ["run", "demo", "check", "status", "schema"]) {
      expect(help.out).toContain(command);
      const one = await tbgw([command, "--help"]);
      expect(one.code).toBe(0);
      expect(one.out).toContain("Examples:");
      expect(one.out).toContain(`tbgw ${command}`);
    }
  });

  test("wrong usage ends with 2 and says what is wrong", async () => {
    expect(await tbgw([])).toMatchObject({ code: 2 });
    expect((await tbgw(["rnu"])).err).toContain('Unknown command "rnu"');
    const flag = await tbgw(["demo", "--secnds", "5"]);
    expect(flag.code).toBe(2);
    expect(flag.err).toContain('Unknown option "--secnds"');
    expect((await tbgw(["demo", "--seconds", "soon"])).code).toBe(2);
  });

  test("run without a usable main file ends with 3", async () => {
    await using dir = await emptyDir();
    const missing = await tbgw(["run", "--config", dir.path, "--data", dir.path]);
    expect(missing.code).toBe(3);
    expect(missing.out + missing.err).toContain("tb_gateway.json");
    await writeFile(join(dir.path, "tb_gateway.json"), '{"thingsboard": {"port": 1883}}');
    const incomplete = await tbgw(["run", "--config", dir.path, "--data", dir.path]);
    expect(incomplete.code).toBe(3);
    expect(incomplete.out + incomplete.err).toContain("host");
  });

  test("check names three mistakes in three places with file, path and line, and ends with 3", async () => {
    await using dir = await emptyDir();
    const main = `{
  "thingsboard": { "host": "tb", "port": "many", "security": { "accessToken": "T0KEN_SECRET" } },
  "connectors": [
    { "type": "mqtt", "name": "A", "configuration": "a.json" },
    { "type": "mqtt", "name": "B", "configuration": "missing.json" }
  ]
}`;
    const mqtt = `{
  "broker": { "host": "b" },
  "mapping": [
    { "topicFilter": "x", "converter": { "type": "jason" } }
  ]
}`;
    await writeFile(join(dir.path, "tb_gateway.json"), main);
    await writeFile(join(dir.path, "a.json"), mqtt);
    const { code, out, err } = await tbgw(["check", "--config", dir.path, "--data", dir.path]);
    const text = out + err;
    expect(code).toBe(3);
    expect(text).toMatch(/tb_gateway\.json:2:.*thingsboard\.port/);
    expect(text).toMatch(/tb_gateway\.json:5: connectors\[1\]\.configuration: .*missing\.json/);
    expect(text).toMatch(/a\.json:4:.*mapping\[0\]\.converter\.type/);
    expect(text).not.toContain("T0KEN_SECRET");
  });

  test("demo works from an empty directory with an empty environment", async () => {
    await using dir = await emptyDir();
    const { code, out } = await tbgw(["demo", "--seconds", "8", "--json"], dir.path);
    expect(code).toBe(0);
    const summary = JSON.parse(out);
    expect(summary).toMatchObject({
      devices: 5,
      queued: 0,
      rejected: 0,
      dropped: 0,
      uplinkConnected: true,
      values: {
        // MQTT, Modbus, OPC UA.
        "Pump 1": { running: expect.any(String) },
        "Compressor 1": { running: "true" },
        "Press 1": {
          force: expect.stringMatching(/^\d+\.\d+$/),
          strokes: expect.stringMatching(/^\d+$/),
          running: expect.stringMatching(/^(true|false)$/),
          phase: expect.stringMatching(/^"(closing|pressing|opening|idle)"$/),
          forceSetpoint: "120.0",
        },
      },
    });
    expect(summary.acknowledged).toBeGreaterThan(50);
    expect(summary.received).toBe(summary.acknowledged);
  }, 90_000);
});
