import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DataError } from "../../../src/sdk/errors.ts";
import {
  assignDevices,
  readDeviceList,
  writeDeviceList,
} from "../../../src/service/device-list.ts";
import type { StoredDevice } from "../../../src/service/devices.ts";

const PUMP: StoredDevice = {
  deviceName: "Pump 1",
  deviceType: "pump",
  connectorId: "7e0f",
  connectorName: "Modbus",
  disconnected: false,
  renaming: "Pump 1 (hall)",
};

describe("readDeviceList()", () => {
  test("reads the form of today and the list of before", () => {
    const text = `{
      "Pump 1": {"connectorId":"7e0f","connectorName":"Modbus","deviceType":"pump","disconnected":false,"renaming":"Pump 1 (hall)"},
      "Pump 2": ["Modbus","pump","New name"],
      "Pump 3": ["Modbus"]
    }`;
    const old = { deviceType: "pump", connectorId: "", connectorName: "Modbus" };
    expect(readDeviceList(text)).toEqual({
      devices: [
        PUMP,
        { ...old, deviceName: "Pump 2", disconnected: false, renaming: "New name" },
        {
          ...old,
          deviceName: "Pump 3",
          deviceType: "default",
          disconnected: false,
          renaming: undefined,
        },
      ],
      unreadable: [],
    });
  });

  test("an empty file holds no device", () => {
    expect(readDeviceList(" \n")).toEqual({ devices: [], unreadable: [] });
    expect(readDeviceList("{}").devices).toEqual([]);
  });

  test("an entry without a device costs only itself", () => {
    const text = `{"A":"Modbus","B":7,"":{},"C":[1],"${"x".repeat(256)}":{},"D":{"disconnected":"yes","renaming":5}}`;
    const { devices, unreadable } = readDeviceList(text);
    expect(devices).toEqual([
      {
        deviceName: "D",
        deviceType: "default",
        connectorId: "",
        connectorName: "",
        disconnected: false,
        renaming: undefined,
      },
    ]);
    expect(unreadable).toEqual(["A", "B", "", "C", "x".repeat(256)]);
  });

  test("a name that is the local one is no other name", () => {
    expect(readDeviceList('{"A":{"renaming":"A"}}').devices[0]?.renaming).toBeUndefined();
  });

  test("anything else is refused with what is wrong", () => {
    expect(() => readDeviceList('{"A":')).toThrow(DataError);
    expect(() => readDeviceList("[1]")).toThrow("one object");
  });
});

describe("writeDeviceList()", () => {
  test("writes what the Python gateway writes: sorted keys, two spaces", () => {
    const devices = [{ ...PUMP, deviceName: "b" }, PUMP, { ...PUMP, deviceName: "10" }];
    expect(writeDeviceList([...devices, { ...PUMP, deviceName: "9", renaming: undefined }])).toBe(`{
  "10": {
    "connectorId": "7e0f",
    "connectorName": "Modbus",
    "deviceType": "pump",
    "disconnected": false,
    "renaming": "Pump 1 (hall)"
  },
  "9": {
    "connectorId": "7e0f",
    "connectorName": "Modbus",
    "deviceType": "pump",
    "disconnected": false,
    "renaming": null
  },
  "Pump 1": {
    "connectorId": "7e0f",
    "connectorName": "Modbus",
    "deviceType": "pump",
    "disconnected": false,
    "renaming": "Pump 1 (hall)"
  },
  "b": {
    "connectorId": "7e0f",
    "connectorName": "Modbus",
    "deviceType": "pump",
    "disconnected": false,
    "renaming": "Pump 1 (hall)"
  }
}`);
    expect(writeDeviceList([])).toBe("{}");
  });

  test("what is written is read again", () => {
    const name = fc.string({ minLength: 1, maxLength: 20 }).filter((text) => text.trim() !== "");
    const names = fc.oneof(name, fc.constantFrom("__proto__", "constructor", "0", "Überlauf"));
    const device = fc.record({
      deviceName: names,
      deviceType: name,
      connectorId: name,
      connectorName: name,
      disconnected: fc.boolean(),
      renaming: fc.option(
        name.map((text) => `to ${text}`),
        { nil: undefined },
      ),
    });
    const lists = fc.uniqueArray(device, { selector: ({ deviceName }) => deviceName });
    fc.assert(
      fc.property(lists, (devices) => {
        const { devices: found, unreadable } = readDeviceList(writeDeviceList(devices));
        const byName = new Map(found.map((one) => [one.deviceName, one]));
        expect(unreadable).toEqual([]);
        expect(found).toHaveLength(devices.length);
        for (const one of devices) {
          const isRenamed = one.renaming !== one.deviceName;
          const renaming = isRenamed ? one.renaming : undefined;
          expect(byName.get(one.deviceName)).toEqual({ ...one, renaming });
        }
      }),
    );
  });
});

describe("assignDevices()", () => {
  const owners = [
    { id: "id-1", name: "One", isReady: true },
    { id: "id-2", name: "Two", isReady: false },
  ];
  const device = (more: Partial<StoredDevice>): StoredDevice => ({
    ...PUMP,
    connectorId: "",
    connectorName: "",
    renaming: undefined,
    ...more,
  });

  test("finds the connector by id, else by name, and follows its new name", () => {
    const found = assignDevices(
      [
        device({ deviceName: "A", connectorId: "id-1", connectorName: "Before" }),
        device({ deviceName: "B", connectorId: "unknown", connectorName: "One" }),
      ],
      owners,
    );
    const one = { connectorId: "id-1", connectorName: "One", disconnected: false };
    expect(found).toMatchObject([
      { deviceName: "A", ...one },
      { deviceName: "B", ...one },
    ]);
  });

  test("a connector that cannot be started keeps its devices, down", () => {
    expect(assignDevices([device({ connectorName: "Two" })], owners)).toMatchObject([
      { connectorId: "id-2", disconnected: true },
    ]);
  });

  test("a device of no connector stays only for the name the platform gave it", () => {
    const gone = device({ deviceName: "A", connectorName: "Gone" });
    const renamed = device({ deviceName: "B", connectorName: "Gone", renaming: "X" });
    expect(assignDevices([gone, renamed], owners)).toEqual([{ ...renamed, disconnected: true }]);
  });
});
