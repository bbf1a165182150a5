import { expect, test } from "bun:test";
import type { Characteristic } from "../../../../connectors/ble/gatt-client.ts";
import { findCharacteristic, readHandle, targetText } from "../../../../connectors/ble/target.ts";
import { readBleConfig } from "../../../support/ble-connector.ts";

const service = { startHandle: 1, endHandle: 99, uuid: "1800" };
const at = (handle: number, uuid: string): Characteristic => ({
  uuid,
  handle,
  declaration: handle - 1,
  endHandle: handle,
  properties: ["read"],
  service,
});
const ALL = [at(3, "2a00"), at(5, "2a19"), at(7, "2a19")];

test("a characteristic is found by its UUID, by its handles, or by both", () => {
  expect(findCharacteristic(ALL, { characteristicUUID: "2a19" }).handle).toBe(5);
  expect(findCharacteristic(ALL, { handle: 7 }).handle).toBe(7);
  expect(findCharacteristic(ALL, { handle: 6 }).handle).toBe(7);
  expect(findCharacteristic(ALL, { characteristicUUID: "2a19", handle: 7 }).handle).toBe(7);
});

test.each([
  [{ characteristicUUID: "2a6e" }, "The peripheral has no characteristic 2a6e"],
  [
    { handle: 42 },
    "The peripheral has no characteristic at handle 0x002a; it has 0x0003 (2a00), 0x0005 (2a19), 0x0007 (2a19)",
  ],
  [
    { characteristicUUID: "2a19", handle: 3 },
    "Handle 0x0003 of the peripheral is 2a00, not 2a19; that is at 0x0005, 0x0007",
  ],
  [
    { characteristicUUID: "2a6e", handle: 3 },
    "Handle 0x0003 of the peripheral is 2a00, not 2a6e; that is nowhere",
  ],
])("%j is not there: says what is", (target, text) => {
  expect(() => findCharacteristic(ALL, target)).toThrow(text);
});

test("of many characteristics some are named", () => {
  const many = Array.from({ length: 50 }, (_, index) => at(2 * index + 3, "2a00"));
  expect(() => findCharacteristic(many, { handle: 400 })).toThrow(/\(2a00\) and 30 more$/);
  expect(() => findCharacteristic([], { handle: 400 })).toThrow("it has none");
});

test("handles are numbers or what tools print; targets with the same text are the same", () => {
  expect(["0x002A", "42", 42, "0xffff"].map(readHandle)).toEqual([42, 42, 42, 0xffff]);
  const wrong = ["", "0x", "2A", 0, 65_536, 1.5, "0x12345", "-1"];
  expect(wrong.map(readHandle)).toEqual(wrong.map(() => undefined));
  expect(
    [
      { characteristicUUID: "2a19" },
      { handle: 42 },
      { characteristicUUID: "2a19", handle: 42 },
    ].map(targetText),
  ).toEqual(["2a19", "handle 0x002a", "2a19 at handle 0x002a"]);
});

test("a handle takes the place of a UUID in items, shared attributes and methods", () => {
  const item = { key: "a", method: "read", handle: "0x002a", format: "uint8" };
  const { config, issues } = readBleConfig({
    devices: [
      {
        name: "A",
        MACAddress: "A4:C1:38:0B:5E:77",
        telemetry: [item, { ...item, key: "b", handle: "left" }],
        attributeUpdates: [
          { attributeOnThingsBoard: "x", handle: 7 },
          { attributeOnThingsBoard: "y" },
        ],
        serverSideRpc: [{ methodRPC: "r", methodProcessing: "read", handle: 7 }],
      },
    ],
  });
  const [device] = config.devices;
  expect(device?.telemetry.map(({ handle }) => handle)).toEqual([42]);
  expect(device?.attributeUpdates.map(({ handle }) => handle)).toEqual([7]);
  expect(device?.serverSideRpc.map(({ handle }) => handle)).toEqual([7]);
  expect(issues).toEqual([
    expect.stringContaining('"left" is no handle: need a number such as 42 or "0x002a"'),
    expect.stringContaining("devices[0].telemetry[1]"),
    expect.stringContaining('attributeUpdates[1]: "characteristicUUID" is missing'),
  ]);
});
