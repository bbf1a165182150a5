import { describe, expect, test } from "bun:test";
import { telemetry, UplinkRig } from "../support/uplink-rig.ts";

const TS = 1_700_000_000_000;

/** The numbers of series "n" of a device in the order they first arrived. */
function firstArrivals(rig: UplinkRig, device: string): number[] {
  return [...new Set(rig.server.series(device, "n").map((point) => Number(point.text)))];
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_none, index) => index);
}

describe("a sender on a healthy link", () => {
  test("delivers 50 devices, each in order, and releases everything", async () => {
    await using rig = await UplinkRig.open();
    for (const n of range(40)) {
      await rig.put(range(50).map((device) => telemetry(`Pump ${device}`, TS + n, n)));
    }
    await rig.emptied();
    for (const device of range(50)) {
      expect(firstArrivals(rig, `Pump ${device}`)).toEqual(range(40));
    }
    expect(rig.store.stats().ledger.acknowledged).toBe(2000);
    expect(rig.sender.stats().acknowledgedValues).toBe(2000);
    expect(rig.server.counters().devicesCreated).toBe(0);
  });
});
