// Converters from files in the connectors inside: each gets the raw type of its connector.
import { expect, test } from "bun:test";
import { DeviceUplink } from "../../connectors/ble/uplink.ts";
import type { BleRead } from "../../src/sdk/converter.ts";
import { epochMs } from "../../src/sdk/model.ts";
import { readBleConfig } from "../support/ble-connector.ts";
import { TestHost } from "../support/connector-host.ts";
import { writeExtensions } from "../support/extension-files.ts";
import { RunningModbus } from "../support/modbus-connector.ts";
import { ModbusServer, tcpSlave } from "../support/modbus-server.ts";
import { RunningOpcua } from "../support/opcua-connector.ts";
import { PlantServer } from "../support/opcua-server.ts";
import { temporaryDir } from "../support/temporary-dir.ts";
import { until } from "../support/until.ts";

/** A file whose converter of a type makes `values` of what it reads as `raw`. */
function converterText(type: string, values: string): string {
  return `import { defineUplink, Float } from "tbgw/sdk";
import * as v from "valibot";
export default defineUplink({
  name: "Mine", type: "${type}", schema: v.looseObject({}),
  create: () => (raw) => ({ deviceName: raw.deviceName, telemetry: [{ values: ${values} }] }),
});
`;
}

test("Modbus hands over registers and bits of one device", async () => {
  using dir = temporaryDir();
  const values =
    "Object.fromEntries(raw.items.map((item) => [item.key, 'registers' in item ? new Float(item.registers[0] / 2) : item.bits[0]]))";
  writeExtensions(dir.path, { "modbus/mine.ts": converterText("modbus", values) });
  await using server = await ModbusServer.listen();
  server.holding.set(3, 50);
  server.coils.add(4);
  const timeseries = [
    { tag: "level", type: "16int", functionCode: 3, objectsCount: 1, address: 3 },
    { tag: "on", type: "bits", functionCode: 1, objectsCount: 1, address: 4 },
  ];
  const host = new TestHost({ type: "modbus", extensionRoot: dir.path });
  const slave = tcpSlave(server.port, { uplink_converter: "Mine", timeseries });
  await using running = await RunningModbus.withSlaves([slave], host);
  await running.records(1);
  expect(running.host.texts[0]).toContain('"level":25.0');
  expect(running.host.texts[0]).toContain('"on":true');
});

test("OPC UA hands over node, value and status", async () => {
  using dir = temporaryDir();
  const values =
    "Object.fromEntries(raw.items.map((item) => [item.key, [item.value, item.status, item.nodeId]]))";
  writeExtensions(dir.path, { "opcua/mine.ts": converterText("opcua", values) });
  await using server = await PlantServer.start();
  const host = new TestHost({ type: "opcua", extensionRoot: dir.path });
  const mapping = {
    deviceNodePattern: "Root\\.Objects\\.Boiler1",
    deviceInfo: { deviceNameExpression: "Boiler" },
    converter: "Mine",
    timeseries: [{ key: "run", value: "${ns=2;i=11}" }],
  };
  const settings = { url: server.url, timeoutInMillis: 4000, scanPeriodInMillis: 1000 };
  await using running = await RunningOpcua.start({ server: settings, mapping: [mapping] }, host);
  await until("a value has come", () => running.host.texts.length > 0);
  expect(running.host.texts[0]).toMatch(/"run":\[(true|false),0,"ns=2;i=11"\]/);
});

test("Bluetooth hands over the bytes of one element", async () => {
  using dir = temporaryDir();
  const values = "{ [raw.key]: raw.payload[1], section: raw.section, address: raw.address }";
  writeExtensions(dir.path, { "ble/mine.ts": converterText("ble", values) });
  await using host = new TestHost({ type: "ble", extensionRoot: dir.path });
  const item = {
    key: "temperature",
    method: "read",
    characteristicUUID: "00002A00-0000-1000-8000-00805F9B34FB",
    valueExpression: "[0:1]",
  };
  const device = { name: "Sensor", MACAddress: "A4:C1:38:0B:5E:77", extension: "Mine" };
  const { config } = readBleConfig({ devices: [{ ...device, telemetry: [item] }] });
  const [sensor] = config.devices;
  if (sensor === undefined) {
    throw new Error("there is no device");
  }
  const extension = await host.host.converters.uplink<BleRead>("Mine", sensor);
  const uplink = new DeviceUplink(sensor, { strategy: undefined, extension });
  const bound = uplink.reads[0]?.items[0];
  if (bound === undefined) {
    throw new Error("there is no item");
  }
  const reading = { item: bound, data: Uint8Array.of(1, 42) };
  const [record] = uplink.records([reading], epochMs(1_700_000_000_000), () => undefined);
  expect(record).toMatchObject({
    deviceName: "Sensor",
    receivedTs: 1_700_000_000_000,
    telemetry: [{ values: { temperature: 42, section: "telemetry", address: device.MACAddress } }],
  });
});
