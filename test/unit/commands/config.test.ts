import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Revisions } from "../../../src/config/revisions.ts";
import { epochMs } from "../../../src/sdk/model.ts";

const MAIN = join(import.meta.dir, "../../../src/main.ts");
const OLD_MQTT = {
  broker: { host: "127.0.0.1", port: 1883, security: { type: "anonymous" } },
  mapping: [
    {
      topicFilter: "a",
      converter: {
        type: "json",
        deviceNameJsonExpression: "${serial}",
        timeseries: [{ type: "double", key: "t", value: "${t}" }],
      },
    },
  ],
};

describe("tbgw config", () => {
  let dir: string;
  const file = (name: string): string => join(dir, "config", name);
  const tbgw = (...args: readonly string[]): { code: number; out: string; err: string } => {
    const places = ["--config", join(dir, "config"), "--data", join(dir, "data")];
    const run = Bun.spawnSync([process.execPath, MAIN, "config", ...args, ...places], {
      stderr: "pipe",
    });
    return { code: run.exitCode, out: run.stdout.toString(), err: run.stderr.toString() };
  };

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "tbgw-config-"));
    mkdirSync(join(dir, "config"));
    const connectors = [{ type: "mqtt", name: "M", configuration: "mqtt.json" }];
    const thingsboard = { host: "localhost", security: { accessToken: "T" } };
    writeFileSync(file("tb_gateway.json"), JSON.stringify({ thingsboard, connectors }));
    writeFileSync(file("mqtt.json"), JSON.stringify(OLD_MQTT));
  });

  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  test("history lists each file's revisions with time, source and the current one", () => {
    const revisions = new Revisions(join(dir, "data"), join(dir, "config"));
    const now = readFileSync(file("mqtt.json"), "utf8");
    revisions.keep(file("mqtt.json"), "older", {
      source: "local",
      time: epochMs(1_700_000_000_000),
    });
    revisions.keep(file("mqtt.json"), now, { source: "remote", time: epochMs(1_700_000_001_000) });
    const { code, out } = tbgw("history");
    expect(code).toBe(0);
    expect(out).toContain("mqtt.json\n   1  2023-11-14T22:13:21.000Z  remote");
    expect(out).toContain("<- the file as it is");
    expect(out).toContain("   2  2023-11-14T22:13:20.000Z  local");
    expect(JSON.parse(tbgw("history", "mqtt.json", "--json").out)).toHaveLength(2);
  });

  test("restore puts the newest different revision back, and keeps what was there", () => {
    const revisions = new Revisions(join(dir, "data"), join(dir, "config"));
    revisions.keep(file("mqtt.json"), '{"older":1}', { source: "remote", time: epochMs(1) });
    const { code, out } = tbgw("restore", "mqtt.json");
    expect({ code, out }).toMatchObject({ code: 0 });
    expect(readFileSync(file("mqtt.json"), "utf8")).toBe('{"older":1}');
    expect(statSync(file("mqtt.json")).mode & 0o777).toBe(0o600);
    expect(tbgw("restore", "mqtt.json").code).toBe(0); // There and back again.
    expect(JSON.parse(readFileSync(file("mqtt.json"), "utf8"))).toEqual(OLD_MQTT);
  });

  test("restore works when the main file is gone, and refuses what was not kept", () => {
    const revisions = new Revisions(join(dir, "data"), join(dir, "config"));
    const text = readFileSync(file("tb_gateway.json"), "utf8");
    revisions.keep(file("tb_gateway.json"), text, { source: "local", time: epochMs(1) });
    rmSync(file("tb_gateway.json"));
    expect(tbgw("restore", "tb_gateway.json", "1").code).toBe(0);
    expect(readFileSync(file("tb_gateway.json"), "utf8")).toBe(text);
    const none = tbgw("restore", "tb_gateway.json", "7");
    expect(none.code).toBe(2);
    expect(none.err).toContain("There is no revision 7");
  });

  test("migrate rewrites an old file once, and leaves a current one alone", () => {
    expect(tbgw("migrate", "--dry-run").out).toContain("would be rewritten");
    expect(readdirSync(join(dir, "config"))).toHaveLength(2);
    expect(tbgw("migrate").out).toContain("rewritten in today's format");
    expect(JSON.parse(readFileSync(file("mqtt.json.bak"), "utf8"))).toEqual(OLD_MQTT);
    const written = readFileSync(file("mqtt.json"), "utf8");
    expect(written).toContain("deviceNameExpression");
    expect(tbgw("migrate").out).toContain("is in today's format");
    expect(readFileSync(file("mqtt.json"), "utf8")).toBe(written);
  });

  test("migrate names a file it cannot read, and exits with 1", () => {
    writeFileSync(file("mqtt.json"), "{");
    const { code, out } = tbgw("migrate");
    expect(code).toBe(1);
    expect(out).toContain("cannot be rewritten");
  });
});
