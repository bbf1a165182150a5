import { describe, expect, test } from "bun:test";
import { DeviceFilter } from "../../../src/pipeline/device-filter.ts";

describe("DeviceFilter", () => {
  test("without rules every device is let in", () => {
    expect(new DeviceFilter().admits("MQTT", "A")).toBe(true);
  });

  test("deny holds for the whole name, for the named connector alone, and before allow", () => {
    const filter = new DeviceFilter({
      deny: { MQTT: ["Test .*", "Pump"] },
      allow: { MQTT: ["Test 1", "Pump 2"] },
    });
    expect(filter.admits("MQTT", "Test 1")).toBe(false);
    expect(filter.admits("MQTT", "Pump")).toBe(false);
    expect(filter.admits("MQTT", "Pump 2")).toBe(true);
    expect(filter.admits("Modbus", "Test 1")).toBe(true);
  });

  test("a connector with an allow list passes only what matches, an empty list nothing", () => {
    const filter = new DeviceFilter({ deny: {}, allow: { MQTT: ["Line [0-9]+"], Modbus: [] } });
    expect(filter.admits("MQTT", "Line 12")).toBe(true);
    expect(filter.admits("MQTT", "My Line 12")).toBe(false);
    expect(filter.admits("Modbus", "A")).toBe(false);
    expect(filter.admits("OPC UA", "A")).toBe(true);
  });

  test("patterns are Python's, and names of object members are ordinary connector names", () => {
    const filter = new DeviceFilter({ deny: { constructor: ["(?P<line>x)(?P=line)"] }, allow: {} });
    expect(filter.admits("constructor", "xx")).toBe(false);
    expect(filter.admits("toString", "xx")).toBe(true);
  });

  test("set() replaces the rules and forgets what was found out before", () => {
    const filter = new DeviceFilter({ deny: { MQTT: ["A"] }, allow: {} });
    expect(filter.admits("MQTT", "A")).toBe(false);
    filter.set({ deny: { MQTT: ["B"] }, allow: {} });
    expect([filter.admits("MQTT", "A"), filter.admits("MQTT", "B")]).toEqual([true, false]);
    filter.set(undefined);
    expect(filter.admits("MQTT", "B")).toBe(true);
  });

  test("rules that cannot be used change nothing", () => {
    const filter = new DeviceFilter({ deny: { MQTT: ["A"] }, allow: {} });
    expect(() => filter.set({ deny: { MQTT: ["("] }, allow: {} })).toThrow();
    expect(filter.admits("MQTT", "A")).toBe(false);
  });

  test("more names than are remembered are judged right all the same", () => {
    const filter = new DeviceFilter({ deny: { MQTT: ["n.*[05]"] }, allow: {} });
    let admitted = 0;
    for (let n = 0; n < 25_000; n += 1) {
      admitted += filter.admits("MQTT", `n${n}`) ? 1 : 0;
    }
    expect(admitted).toBe(20_000);
  });
});
