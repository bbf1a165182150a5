import { describe, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { check } from "../../../src/commands/check.ts";
import { connectorTypes } from "../../../src/connector/registry.ts";
import { ExtensionCatalogue } from "../../../src/extension/catalogue.ts";
import { ConfigFiles } from "../../support/config-files.ts";
import { uplinkText, writeExtensions } from "../../support/extension-files.ts";
import { memoryLog } from "../../support/memory-log.ts";

const PLATFORM = { host: "a", security: { accessToken: "t0ken" } };
const DOWNLINK = uplinkText("Down").replace('kind: "uplink"', 'kind: "downlink"');

/** Checks one connector of a type, with extensions in the folder `extensions` beside the configuration. */
async function checked(
  given: { readonly type: string; readonly class?: string; readonly file: unknown },
  extensions: Readonly<Record<string, string>>,
  prepare: (root: string) => void = () => undefined,
) {
  const { file, ...entry } = given;
  using files = new ConfigFiles({
    "tb_gateway.json": {
      thingsboard: PLATFORM,
      connectors: [{ ...entry, name: "It", configuration: "it.json" }],
    },
    "it.json": file,
  });
  const root = join(files.path, "extensions");
  writeExtensions(root, extensions);
  prepare(root);
  const catalogue = new ExtensionCatalogue({
    roots: [root],
    log: memoryLog().log,
    allowInsecure: false,
  });
  const place = { configDir: files.path, dataDir: "/nowhere", env: {}, cwd: files.path };
  const { text, exitCode } = await check(
    { ...place, connectorTypes, extensions: catalogue },
    { strict: false, json: false, explain: false },
  );
  return { lines: text.replaceAll(`${files.path}/`, "").split("\n"), exitCode };
}

const custom = (extension: string) => ({
  topicFilter: "a/+",
  converter: { type: "custom", extension, extensionConfig: {} },
});
const mqtt = (more: object) => ({ broker: { host: "b", port: 1883 }, ...more });

describe("check of the converters that a configuration names", () => {
  test("one that is there is no mistake, nor is one of the program or of a file for all types", async () => {
    const file = mqtt({
      mapping: [custom("TankLevel"), custom("CustomMqttUplinkConverter"), custom("Any")],
    });
    const { lines, exitCode } = await checked(
      { type: "mqtt", file },
      {
        "mqtt/tank.ts": uplinkText("TankLevel"),
        "shared/any.ts": uplinkText("Any"),
      },
    );
    expect(lines).toEqual(["0 errors, 0 warnings; connectors: 1 ready", ""]);
    expect(exitCode).toBe(0);
  });

  test("a mapping of MQTT: path, line, the names there are and the nearest; elements left out before it do not shift it", async () => {
    const file = mqtt({ mapping: [{ topicFilter: "a/#/b" }, custom("TankLevl")] });
    const { lines, exitCode } = await checked(
      { type: "mqtt", file },
      { "mqtt/tank.ts": uplinkText("TankLevel"), "modbus/m.ts": uplinkText("M") },
    );
    const said = lines.filter((line) => line.includes("mapping[1]"));
    expect(said).toEqual([
      'it.json:14: mapping[1].converter.extension: there is no uplink converter named "TankLevl" for connectors of type mqtt; there are "CustomMqttUplinkConverter", "TankLevel"; did you mean "TankLevel"?',
    ]);
    expect(exitCode).toBe(3);
  });

  test("requests of MQTT name downlink converters, at the root and in requestsMapping", async () => {
    const request = (extension: string) => ({
      deviceNameFilter: ".*",
      methodFilter: "m",
      requestTopicExpression: "a",
      converter: { type: "custom", extension },
    });
    const file = mqtt({
      requestsMapping: { serverSideRpc: [request("Down"), request("Up")] },
    });
    const { lines } = await checked({ type: "mqtt", file }, { "mqtt/down.ts": DOWNLINK });
    expect(lines.filter((line) => line.includes("converter named"))).toEqual([
      expect.stringMatching(
        /^it\.json:\d+: requestsMapping\.serverSideRpc\[1\]\.converter\.extension: there is no downlink converter named "Up" for connectors of type mqtt; the only one is "Down"; /,
      ),
    ]);
  });

  test.each([
    {
      type: "modbus",
      file: {
        master: {
          slaves: [
            {
              host: "h",
              deviceName: "D",
              unitId: 1,
              uplink_converter: "Nope",
              downlink_converter: "Nor",
            },
            {
              host: "h",
              deviceName: "E",
              unitId: 2,
              uplink_converter: "BytesModbusUplinkConverter",
              downlink_converter: "",
            },
          ],
        },
      },
      paths: ["master.slaves[0].uplink_converter", "master.slaves[0].downlink_converter"],
    },
    {
      type: "opcua",
      file: {
        server: { url: "h:4840" },
        mapping: [
          {
            deviceNodePattern: "ns=2;s=A",
            deviceInfo: { deviceNameExpression: "A" },
            converter: "OpcUaUplinkConverter",
          },
          {
            deviceNodePattern: "ns=2;s=B",
            deviceInfo: { deviceNameExpression: "B" },
            converter: "Nope",
          },
        ],
      },
      paths: ["mapping[1].converter"],
    },
    {
      type: "ble",
      file: { devices: [{ name: "D", MACAddress: "A4:C1:38:0B:5E:77", extension: "Nope" }] },
      paths: ["devices[0].extension"],
    },
    {
      type: "serial",
      file: { devices: [{ deviceName: "D", port: "/dev/x", downlink_converter: "Nope" }] },
      paths: ["devices[0].downlink_converter"],
    },
  ])("$type", async ({ type, file, paths }) => {
    const { lines, exitCode } = await checked({ type, file }, {});
    const found = lines.flatMap(
      (line) => /^it\.json:\d+: (\S+): there is no/.exec(line)?.[1] ?? [],
    );
    expect(found).toEqual([...paths]);
    expect(exitCode).toBe(3);
  });

  test("a connector of an extension, whose schema says which field names one", async () => {
    const connector = `import { defineConnector, entries, field, required } from "tbgw/sdk";
import * as v from "valibot";
const device = v.looseObject({ converter: required(v.string(), { doc: "Converter.", converter: { kind: "uplink" } }) });
export default defineConnector({
  type: "beacon",
  schema: v.looseObject({ devices: field(entries(device), [], { doc: "Devices." }) }),
  create: () => { throw new Error("never started"); },
});
`;
    const file = { devices: [{ converter: "Known" }, { converter: "Unknown" }] };
    const { lines } = await checked(
      { type: "beacon", file },
      { "beacon/a.ts": connector, "beacon/b.ts": uplinkText("Known", { type: "beacon" }) },
    );
    expect(lines[0]).toStartWith(
      'it.json:7: devices[1].converter: there is no uplink converter named "Unknown" for connectors of type beacon; ',
    );
  });

  test("a file that may have it and cannot be used is named with its reason", async () => {
    const file = mqtt({ mapping: [custom("TankLevel")] });
    const { lines, exitCode } = await checked(
      { type: "mqtt", file },
      { "mqtt/tank-level.ts": "export default {{{" },
    );
    expect(lines[0]).toStartWith("it.json:11: mapping[0].converter.extension: ");
    expect(lines[0]).toContain("extensions/mqtt/tank-level.ts: line 1: ");
    expect(exitCode).toBe(3);
  });

  test("what everybody may write to is refused as by run, also methods of the gateway", async () => {
    const file = mqtt({ mapping: [custom("TankLevel")] });
    const { lines, exitCode } = await checked(
      { type: "mqtt", file },
      { "mqtt/tank.ts": uplinkText("TankLevel"), "rpc/a.ts": "export default {}" },
      (root) => {
        chmodSync(join(root, "mqtt/tank.ts"), 0o666);
        chmodSync(join(root, "rpc/a.ts"), 0o666);
      },
    );
    const open = (path: string) =>
      `everybody may write to ${path}, so it is not loaded: "chmod o-w ${path}", or force it with --allow-insecure-extensions`;
    expect(lines.slice(0, 2)).toEqual([
      `extensions/rpc/a.ts: ${open("extensions/rpc/a.ts")}`,
      `it.json:11: mapping[0].converter.extension: extensions/mqtt/tank.ts: ${open("extensions/mqtt/tank.ts")}`,
    ]);
    expect(exitCode).toBe(3);
  });
});
