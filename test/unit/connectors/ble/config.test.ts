import { expect, test } from "bun:test";
import { adapterPlace } from "../../../../connectors/ble/adapter-place.ts";
import { normalUuid } from "../../../../connectors/ble/addresses.ts";
import { connectPauseMs } from "../../../../connectors/ble/backoff.ts";
import { converterType } from "../../../../connectors/ble/uplink.ts";
import { readBleConfig } from "../../../support/ble-connector.ts";

test("UUIDs of all forms are compared in one", () => {
  const same = ["00002A00-0000-1000-8000-00805F9B34FB", "2A00", "2a00", "0x2A00"];
  expect(same.map(normalUuid)).toEqual(["2a00", "2a00", "2a00", "2a00"]);
  expect(normalUuid("ab")).toBe("00ab");
  expect(normalUuid("6E400003-B5A3-F393-E0A9-E50E24DCCA9E")).toBe(
    "6e400003b5a3f393e0a9e50e24dcca9e",
  );
  expect(normalUuid("battery")).toBeUndefined();
});

test("adapters are devices, H4 over TCP or H4 over a serial port", () => {
  expect(adapterPlace("hci1")).toEqual({ kind: "device", index: 1 });
  expect(adapterPlace("tcp:[::1]:9000")).toEqual({ kind: "tcp", host: "::1", port: 9000 });
  expect(adapterPlace("serial:/dev/ttyS1")).toEqual({
    kind: "serial",
    path: "/dev/ttyS1",
    baudRate: 115_200,
  });
  expect(adapterPlace("serial:/dev/ttyS1@921600")).toMatchObject({ baudRate: 921_600 });
  expect(["hci", "tcp:host", "tcp:host:0", "usb:1", ""].map(adapterPlace)).toEqual(
    Array.from({ length: 5 }, () => undefined),
  );
});

test("`type` chooses the converter as the Python gateway does", () => {
  expect(
    [undefined, "bytes", "hex", "other"].map((type) => [
      converterType(type, "characteristic"),
      converterType(type, "advertisement"),
    ]),
  ).toEqual([
    ["bytes", "hex"],
    ["bytes", "bytes"],
    ["hex", "hex"],
    ["hex", "bytes"],
  ]);
});

test("pauses between attempts: as configured first, then doubled to the ceiling", () => {
  const pauses = { connectRetry: 2, connectRetryInSeconds: 3, waitAfterConnectRetries: 10 };
  expect([1, 2, 3, 4, 50].map((failures) => connectPauseMs(failures, pauses))).toEqual([
    3000, 3000, 6000, 10_000, 10_000,
  ]);
  const none = { connectRetry: 0, connectRetryInSeconds: 0, waitAfterConnectRetries: 0 };
  expect([1, 9].map((failures) => connectPauseMs(failures, none))).toEqual([2000, 20_000]);
});

test("each mistake is told with its path and costs only its own entry", () => {
  const item = { key: "a", method: "read", characteristicUUID: "2A19", valueExpression: "[0]" };
  const { config, issues } = readBleConfig({
    adapter: "usb",
    devices: [
      {
        name: "A",
        MACAddress: "a4:c1:38:0b:5e:77",
        telemetry: [
          item,
          { ...item, method: "WRITE" },
          { ...item, characteristicUUID: "battery" },
          { ...item, compute: "value +" },
          { key: "b", method: "notify", valueExpression: "[0]" },
          { key: "c", dataSourceType: "advertisement" },
          { key: "d", dataSourceType: "ADVERTISEMENT", method: "NOTIFY", advField: "rssi" },
        ],
        serverSideRpc: [{ methodRPC: "read", methodProcessing: "read" }],
      },
      { name: "B", MACAddress: "A4C1380B5E77" },
    ],
  });
  expect(config.devices.map(({ name, MACAddress }) => [name, MACAddress])).toEqual([
    ["A", "A4:C1:38:0B:5E:77"],
  ]);
  expect(config.devices[0]?.telemetry.map(({ key }) => key)).toEqual(["a", "d"]);
  expect(config.adapter).toBe("hci0");
  const paths = issues.map((text) => text.split(" ")[1]);
  expect(paths).toEqual([
    "adapter:",
    "devices[0].telemetry[1].method:",
    "devices[0].telemetry[1]:",
    "devices[0].telemetry[2].characteristicUUID:",
    "devices[0].telemetry[2]:",
    "devices[0].telemetry[3]:",
    "devices[0].telemetry[4]:",
    "devices[0].telemetry[5]:",
    "devices[0].serverSideRpc[0]:",
    "devices[1].MACAddress:",
  ]);
});

test("older files: seconds become milliseconds, on the level of today", () => {
  const { config, issues } = readBleConfig({
    rescanIntervalSeconds: 100,
    scanTimeSeconds: 5,
    checkIntervalSeconds: 7,
    devices: [
      {
        name: "A",
        MACAddress: "A4:C1:38:0B:5E:77",
        telemetry: [
          { key: "t", method: "READ", characteristicUUID: "2A6E", byteFrom: 2, byteTo: 6 },
        ],
      },
      { name: "B", MACAddress: "A4:C1:38:0B:5E:78", pollPeriod: 300 },
    ],
  });
  expect(issues).toEqual([]);
  // They stay, for the connector to warn of them.
  expect(config.checkIntervalSeconds).toBe(7);
  expect(config).toMatchObject({ scannerPollPeriod: 100_000, scannerTimeout: 5000 });
  expect(config.devices.map(({ pollPeriod }) => pollPeriod)).toEqual([7000, 300]);
});
