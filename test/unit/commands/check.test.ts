import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type CheckFlags, check } from "../../../src/commands/check.ts";
import { defineConnector } from "../../../src/sdk/connector.ts";
import { busConfig, testConnectors } from "../../support/config-connectors.ts";
import { ConfigFiles } from "../../support/config-files.ts";

const PLATFORM = { host: "a", security: { accessToken: "t0ken" } };
const BUS = { type: "bus", name: "Bus", configuration: "bus.json" };

function run(files: ConfigFiles, flags: Partial<CheckFlags> = {}, cwd = files.path) {
  const options = { configDir: files.path, dataDir: "/nowhere", env: {}, cwd };
  return check(
    { ...options, connectorTypes: testConnectors },
    { strict: false, json: false, explain: false, ...flags },
  );
}

function good(more: object = {}): ConfigFiles {
  return new ConfigFiles({
    "tb_gateway.json": { thingsboard: PLATFORM, connectors: [BUS], ...more },
    "bus.json": { broker: { host: "b" }, devices: [{ name: "A" }, { name: "B" }] },
  });
}

describe("check", () => {
  test("says that all is well, exit code 0, with --strict too", async () => {
    using files = good();
    const expected = { text: "0 errors, 0 warnings; connectors: 1 ready\n", exitCode: 0 } as const;
    expect(await run(files)).toEqual(expected);
    expect(await run(files, { strict: true })).toEqual(expected);
  });

  test("warnings alone are exit code 0, and 3 with --strict", async () => {
    using files = good({ zebra: 1 });
    const { text, exitCode } = await run(files);
    expect(text).toContain(": zebra: warning: ");
    expect(text).toContain("0 errors, 1 warning; ");
    expect(exitCode).toBe(0);
    expect((await run(files, { strict: true })).exitCode).toBe(3);
  });

  test("any error is exit code 3, with file, line and path, in order", async () => {
    using files = good({ storage: { type: 5 }, tbgw: { web: [] } });
    files.write("bus.json", '{\n "broker": {},\n "devices": 1\n}');
    const { text, exitCode } = await run(files);
    expect(text.split("\n")).toEqual([
      'bus.json:2: broker.host: "host" is missing',
      "bus.json:3: devices: must be a list, but is 1",
      expect.stringMatching(/^tb_gateway\.json:\d+: storage\.type: must be "memory"/),
      expect.stringMatching(/^tb_gateway\.json:\d+: tbgw\.web: must be an object/),
      "",
      "4 errors, 0 warnings; connectors: 0 ready, 1 invalid",
      "",
    ]);
    expect(exitCode).toBe(3);
  });

  test("a configuration that cannot start says so", async () => {
    using files = new ConfigFiles({ "tb_gateway.json": {} });
    const { text, exitCode } = await run(files);
    expect(text).toEndWith("The gateway cannot start with this configuration.\n");
    expect(exitCode).toBe(3);
  });

  test("files outside the working directory are named in full", async () => {
    using files = good({ zebra: 1 });
    const { text } = await run(files, {}, "/usr");
    expect(text).toStartWith(`${join(files.path, "tb_gateway.json")}:`);
  });

  test("--explain shows what each device asks for and sends", async () => {
    using files = good();
    const { text } = await run(files, { explain: true });
    expect(text).toContain("Bus (bus, bus.json)\n");
    expect(text).toContain('  devices[1]: read "B" from b\n');
    expect(text).toContain('    sends {"deviceName":"B","telemetry":[{"values":{"value":1}}]}\n');
  });

  test("--explain of a connector that fails at it is an error", async () => {
    using files = good();
    const failing = defineConnector({
      type: "bus",
      schema: busConfig,
      create: () => Promise.reject(new Error("not started here")),
      explain: () => {
        throw new Error("no idea");
      },
    });
    const options = { configDir: files.path, dataDir: "/nowhere", env: {}, cwd: files.path };
    const result = await check(
      { ...options, connectorTypes: { bus: () => Promise.resolve({ default: failing }) } },
      { strict: false, json: false, explain: true },
    );
    expect(result.text).toContain("cannot be explained: no idea");
    expect(result.exitCode).toBe(3);
  });

  test("--json gives one object with the same facts", async () => {
    using files = good({ zebra: 1 });
    const { text } = await run(files, { json: true, explain: true });
    expect(JSON.parse(text)).toMatchObject({
      configDir: files.path,
      fatal: false,
      errors: 0,
      warnings: 1,
      connectors: [{ name: "Bus", type: "bus", state: "ready" }],
      issues: [{ severity: "warning", path: "zebra", file: join(files.path, "tb_gateway.json") }],
    });
  });

  test("never prints a secret", async () => {
    using files = good({ thingsboard: { ...PLATFORM, security: { accessToken: 987_654 } } });
    for (const json of [false, true]) {
      expect((await run(files, { json })).text).not.toContain("987654");
    }
  });
});
