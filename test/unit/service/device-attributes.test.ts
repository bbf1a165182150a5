import { describe, expect, test } from "bun:test";
import { TransientError } from "../../../src/sdk/errors.ts";
import type { DeviceData } from "../../../src/sdk/model.ts";
import { DeviceAttributes } from "../../../src/service/device-attributes.ts";
import type { Device } from "../../../src/service/devices.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

const MODBUS = { id: "1", name: "Modbus line", type: "modbus" };
const MQTT = { id: "2", name: "MQTT broker", type: "mqtt" };

function device(deviceName: string): Device {
  return {
    deviceName,
    deviceType: "pump",
    connectorId: "1",
    connectorName: "Modbus line",
    connected: true,
    platformName: deviceName,
    lastSeenMs: 0,
  };
}

function setUp() {
  const clock = new FakeClock();
  const calls: (readonly DeviceData[])[] = [];
  const answers: PromiseWithResolvers<void>[] = [];
  const attributes = new DeviceAttributes({
    clock,
    log: memoryLog().log,
    accept: (data) => {
      calls.push(data);
      const answer = Promise.withResolvers<void>();
      answers.push(answer);
      return answer.promise;
    },
  });
  const names = (): readonly string[] =>
    calls.map((data) => data.map(({ deviceName }) => deviceName).join(","));
  return { clock, calls, answers, attributes, names };
}

describe("DeviceAttributes", () => {
  test("tells type and name of the connector once, and again for another connector", async () => {
    const { clock, calls, answers, attributes } = setUp();
    attributes.connected(device("A"), MODBUS);
    attributes.connected(device("A"), MODBUS);
    answers[0]?.resolve();
    await clock.advance(0);
    attributes.connected(device("A"), MQTT);
    const pump = { deviceName: "A", deviceType: "pump" };
    expect(calls).toEqual([
      [{ ...pump, attributes: { connectorType: "modbus", connectorName: "Modbus line" } }],
      [{ ...pump, attributes: { connectorType: "mqtt", connectorName: "MQTT broker" } }],
    ]);
  });

  test("devices that come while the store works are one call", async () => {
    const { clock, answers, attributes, names } = setUp();
    for (const name of ["A", "B", "C"]) {
      attributes.connected(device(name), MODBUS);
    }
    expect(names()).toEqual(["A"]);
    answers[0]?.resolve();
    await clock.advance(0);
    expect(names()).toEqual(["A", "B,C"]);
  });

  test("a store that refuses is asked again after a second, with what is true by then", async () => {
    const { clock, calls, answers, attributes } = setUp();
    attributes.connected(device("A"), MODBUS);
    attributes.connected(device("A"), MQTT);
    answers[0]?.reject(new TransientError("disk full"));
    await clock.advance(999);
    expect(calls).toHaveLength(1);
    await clock.advance(1);
    expect(calls[1]?.map((data) => data.attributes)).toEqual([
      { connectorType: "mqtt", connectorName: "MQTT broker" },
    ]);
  });

  test("what was told before a restart is told again only for another connector", () => {
    const { calls, attributes } = setUp();
    attributes.presume("A", MODBUS.id, MODBUS.name);
    attributes.presume("B", MODBUS.id, "Its name before");
    attributes.connected(device("A"), MODBUS);
    expect(calls).toEqual([]);
    attributes.connected(device("B"), MODBUS);
    expect(calls.flat().map(({ deviceName }) => deviceName)).toEqual(["B"]);
  });

  test("a device that was forgotten is another one when it comes again", async () => {
    const { clock, answers, attributes, names } = setUp();
    attributes.connected(device("A"), MODBUS);
    answers[0]?.resolve();
    await clock.advance(0);
    attributes.forget("A");
    attributes.connected(device("A"), MODBUS);
    expect(names()).toEqual(["A", "A"]);
  });

  test("disposing ends the wait for a store that refuses", async () => {
    const { clock, answers, attributes } = setUp();
    attributes.connected(device("A"), MODBUS);
    answers[0]?.reject(new TransientError("disk full"));
    await clock.advance(0);
    await attributes[Symbol.asyncDispose]();
    expect(clock.waiting).toBe(0);
  });
});
