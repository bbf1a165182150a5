import { describe, expect, test } from "bun:test";
import { DeviceHealth } from "../../../src/service/device-health.ts";
import { FakeClock } from "../../support/fake-clock.ts";

describe("DeviceHealth", () => {
  test("says how long ago a device was read, and what went wrong last", async () => {
    const clock = new FakeClock();
    const health = new DeviceHealth(clock);
    health.failed("Boiler", "no answer within 400 ms");
    await clock.advance(1000);
    health.failed("Boiler", "exception 2: illegal data address");
    await clock.advance(500);
    health.read("Boiler");
    await clock.advance(250);
    expect(health.of("Boiler")).toEqual({
      lastReadAgoMs: 250,
      lastError: "exception 2: illegal data address",
      lastErrorAgoMs: 750,
      errors: 2,
    });
  });

  test("knows nothing of a device that never came or was forgotten", () => {
    const health = new DeviceHealth(new FakeClock());
    const nothing = {
      lastReadAgoMs: undefined,
      lastError: undefined,
      lastErrorAgoMs: undefined,
      errors: 0,
    };
    expect(health.of("Boiler")).toEqual(nothing);
    health.read("Boiler");
    health.forget("Boiler");
    expect(health.of("Boiler")).toEqual(nothing);
  });

  test("is bounded in devices and in the length of a text", () => {
    const health = new DeviceHealth(new FakeClock(), 3);
    for (const name of ["A", "B", "C", "D"]) {
      health.failed(name, "x".repeat(5000));
    }
    expect(health.of("A").errors).toBe(0);
    expect(health.of("B").errors).toBe(1);
    expect(health.of("D").lastError?.length).toBe(300);
  });
});
