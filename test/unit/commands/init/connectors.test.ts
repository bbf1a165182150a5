import { describe, expect, test } from "bun:test";
import { bleItems } from "../../../../src/commands/init/connectors/ble.ts";
import { modbus, modbusItems } from "../../../../src/commands/init/connectors/modbus.ts";
import { deviceInfoOf } from "../../../../src/commands/init/connectors/mqtt.ts";
import { endpointChoices, opcuaKeys } from "../../../../src/commands/init/connectors/opcua.ts";
import { serialItems } from "../../../../src/commands/init/connectors/serial.ts";
import { narrowed, outlineOf } from "../../../../src/commands/init/outline.ts";
import { horizonText, parseSize } from "../../../../src/commands/init/storage-questions.ts";

describe("values by hand", () => {
  test("modbus: type, address, function code, divider", () => {
    expect(modbusItems("t=16int@0/10, flow=32float@12:4, on=bits@3:1")).toEqual([
      { tag: "t", type: "16int", functionCode: 3, objectsCount: 1, address: 0, divider: 10 },
      { tag: "flow", type: "32float", functionCode: 4, objectsCount: 2, address: 12 },
      { tag: "on", type: "bits", functionCode: 1, objectsCount: 1, address: 3 },
    ]);
    expect(() => modbusItems("t=16int")).toThrow(/is not TYPE@ADDRESS/);
    expect(() => modbusItems("t")).toThrow(/is not NAME=/);
  });

  test("opcua: node ids may hold an equals sign", () => {
    expect(opcuaKeys("a=ns=2;i=11, b=ns=2;s=Pump.On")).toEqual([
      { key: "a", value: "ns=2;i=11" },
      { key: "b", value: "ns=2;s=Pump.On" },
    ]);
    expect(() => opcuaKeys("a=Temperature")).toThrow(/is not a node id/);
  });

  test("ble: a characteristic, with a format", () => {
    expect(bleItems("battery=2A19@uint8,raw=2A6E")).toEqual([
      { key: "battery", method: "read", characteristicUUID: "2A19", format: "uint8" },
      { key: "raw", method: "read", characteristicUUID: "2A6E", format: "hex" },
    ]);
  });

  test("serial: a type, with bytes of the line", () => {
    expect(serialItems("t=float@0-4, all=string")).toEqual([
      { key: "t", type: "float", fromByte: 0, toByte: 4 },
      { key: "all", type: "string" },
    ]);
    expect(() => serialItems("t=number")).toThrow(/the types are float/);
  });

  test("mqtt: the device is named by the level that varies, or by a name", () => {
    expect(deviceInfoOf("plant/+/data", "")).toMatchObject({
      deviceNameExpressionSource: "topic",
      deviceNameExpression: "^[^/]*/([^/]+)/",
    });
    expect(deviceInfoOf("plant/+/data", "Boiler")).toMatchObject({
      deviceNameExpressionSource: "constant",
      deviceNameExpression: "Boiler",
    });
  });
});

test("endpointChoices() has each way to secure the channel once", () => {
  const details = [
    { policy: "None", mode: "None" },
    { policy: "Basic256Sha256", mode: "Sign" },
    { policy: "Basic256Sha256", mode: "Sign" },
  ];
  expect(endpointChoices({ details }).map(({ value }) => value)).toEqual([
    "None",
    "Basic256Sha256/Sign",
  ]);
});

describe("narrowed()", () => {
  const config = {
    master: {
      slaves: [
        { deviceName: "A", unitId: 1, timeseries: [{ tag: "r_0" }, { tag: "r_1" }] },
        { deviceName: "B", unitId: 2, timeseries: [{ tag: "r_0" }] },
      ],
    },
    extra: true,
  };

  test("keeps the wanted devices and values under the wanted names, and all the rest", () => {
    const wanted = [{ name: "Pump", keys: new Map([[1, "flow"]]) }, undefined];
    expect(narrowed(config, modbus.shape, wanted)).toEqual({
      master: { slaves: [{ deviceName: "Pump", unitId: 1, timeseries: [{ tag: "flow" }] }] },
      extra: true,
    });
    expect(outlineOf(config, modbus.shape)).toEqual([
      { name: "A", values: ["r_0", "r_1"] },
      { name: "B", values: ["r_0"] },
    ]);
  });
});

describe("the storage question", () => {
  test("reads sizes as people write them", () => {
    expect(parseSize("512MiB")).toBe(512 * 2 ** 20);
    expect(parseSize("1.5 GB")).toBe(1.5e9);
    expect(parseSize("65536")).toBe(65_536);
    expect(parseSize("much")).toBeUndefined();
  });

  test("tells the horizon, which ends where values are too old", () => {
    expect(horizonText(12 * 1000 * 3600, 7)).toBe(
      "10 values/s: 4 d 4 h, 100 values/s: 10 h, 1000 values/s: 1 h",
    );
    expect(horizonText(2 ** 40, 1)).toBe("10 values/s: 1 d, 100 values/s: 1 d, 1000 values/s: 1 d");
  });
});
