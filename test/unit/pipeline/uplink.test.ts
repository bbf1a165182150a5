import { describe, expect, test } from "bun:test";
import { MAX_RECORD_CHARS } from "../../../src/pipeline/encoded.ts";
import { Pipeline } from "../../../src/pipeline/uplink.ts";
import type { EncodedRecord } from "../../../src/sdk/batch.ts";
import { RejectedError, TransientError } from "../../../src/sdk/errors.ts";
import { epochMs, Float } from "../../../src/sdk/model.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

const { signal } = new AbortController();

function setUp(options: { readonly fail?: Error; readonly full?: boolean } = {}) {
  const clock = new FakeClock(1_000_000);
  const stored: EncodedRecord[] = [];
  const rejected: Record<string, number> = {};
  const filtered: Record<string, number> = {};
  const devices: string[] = [];
  const losses: ((error: unknown) => void)[] = [];
  const pipeline = new Pipeline({
    clock,
    log: memoryLog().log,
    sink: {
      append: (records) => {
        if (options.fail !== undefined) {
          return Promise.reject(options.fail);
        }
        stored.push(...records);
        return Promise.resolve();
      },
      tryAppend: (records, onLost) => {
        if (options.full === true) {
          return false;
        }
        losses.push(onLost);
        stored.push(...records);
        return true;
      },
      countFiltered: (reason, values) => {
        filtered[reason] = (filtered[reason] ?? 0) + values;
      },
      countRejected: (reason, values) => {
        rejected[reason] = (rejected[reason] ?? 0) + values;
      },
    },
    onLost: () => undefined,
  });
  const counted = { records: 0 };
  const uplink = pipeline.uplinkOf({
    onDevice: (name, type) => {
      if (name.startsWith("denied")) {
        return undefined;
      }
      devices.push(`${name}:${type}`);
      return name === "known" ? "pump" : (type ?? "default");
    },
    onStored: (records) => {
      counted.records += records;
    },
  });
  return { clock, stored, rejected, filtered, devices, losses, pipeline, uplink, counted };
}

describe("Uplink.accept()", () => {
  test("encodes attributes and each moment as a record of its own, exactly", async () => {
    const { stored, devices, uplink, counted } = setUp();
    const result = await uplink.accept(
      {
        deviceName: "Pump 1",
        deviceType: "pump",
        attributes: { fw: "1.2" },
        telemetry: [
          { ts: epochMs(5), values: { t: new Float(25), n: 9_007_199_254_740_993n } },
          { ts: epochMs(6), values: { t: 0, on: false, s: "" } },
        ],
      },
      signal,
    );
    expect(result).toEqual({ status: "stored" });
    expect(counted.records).toBe(3);
    const owner = { device: "Pump 1", deviceType: "pump" };
    expect(stored).toEqual([
      { ...owner, kind: "attributes", json: '{"fw":"1.2"}', values: 1 },
      {
        ...owner,
        kind: "telemetry",
        json: '{"ts":5,"values":{"t":25.0,"n":9007199254740993}}',
        values: 2,
      },
      {
        ...owner,
        kind: "telemetry",
        json: '{"ts":6,"values":{"t":0,"on":false,"s":""}}',
        values: 3,
      },
    ]);
    expect(devices).toEqual(["Pump 1:pump"]);
  });

  test("values without a time get the arrival time, strictly increasing per key", async () => {
    const { stored, uplink } = setUp();
    const receivedTs = epochMs(70);
    await uplink.accept({ deviceName: "A", receivedTs, telemetry: [{ values: { a: 1 } }] }, signal);
    await uplink.accept({ deviceName: "A", receivedTs, telemetry: [{ values: { a: 2 } }] }, signal);
    await uplink.accept({ deviceName: "A", receivedTs, telemetry: [{ values: { b: 3 } }] }, signal);
    await uplink.accept({ deviceName: "B", telemetry: [{ values: { a: 4 } }] }, signal);
    expect(stored.map(({ json }) => json)).toEqual([
      '{"ts":70,"values":{"a":1}}',
      '{"ts":71,"values":{"a":2}}',
      '{"ts":71,"values":{"b":3}}',
      '{"ts":1000000,"values":{"a":4}}',
    ]);
  });

  test("whoever is told of the device gives the type that is stored", async () => {
    const { devices, stored, uplink } = setUp();
    await uplink.accept({ deviceName: "known", attributes: { a: 1 } }, signal);
    await uplink.accept({ deviceName: "other", deviceType: "fan", attributes: { a: 1 } }, signal);
    expect(devices).toEqual(["known:undefined", "other:fan"]);
    expect(stored.map(({ deviceType }) => deviceType)).toEqual(["pump", "fan"]);
  });

  test("what the device filter keeps out is counted value by value, the rest of the call is stored", async () => {
    const { devices, stored, rejected, filtered, uplink } = setUp();
    const denied = {
      deviceName: "denied 1",
      attributes: { a: 1 },
      telemetry: [{ values: { b: 2, c: 3 } }],
    };
    expect(await uplink.accept(denied, signal)).toEqual({
      status: "filtered",
      reason: "device-filter",
    });
    expect(filtered).toEqual({ "device-filter": 3 });
    const both = [denied, { deviceName: "A", attributes: { a: 1 } }];
    expect(await uplink.accept(both, signal)).toEqual({ status: "stored" });
    expect(uplink.tryAccept({ deviceName: "denied 2", attributes: {} })).toEqual({
      status: "filtered",
    });
    expect(filtered).toEqual({ "device-filter": 7 });
    expect([stored.length, devices.length, rejected]).toEqual([1, 1, {}]);
  });

  test("a value that cannot be sent is left out and counted", async () => {
    const { stored, rejected, uplink } = setUp();
    await uplink.accept({ deviceName: "A", attributes: { a: Number.NaN, b: 1, c: null } }, signal);
    expect(stored[0]?.json).toBe('{"b":1}');
    expect(rejected).toEqual({ "bad-value": 1 });
  });

  test("a record that no store takes is left out and counted", async () => {
    const { stored, rejected, uplink } = setUp();
    const text = "x".repeat(MAX_RECORD_CHARS);
    const small = { ts: epochMs(1), values: { a: 1 } };
    const large = { ts: epochMs(2), values: { text, b: 1 } };
    await uplink.accept({ deviceName: "A", telemetry: [small, large] }, signal);
    expect(stored.map(({ json }) => json)).toEqual(['{"ts":1,"values":{"a":1}}']);
    expect(rejected).toEqual({ "too-large": 2 });
    await expect(uplink.accept({ deviceName: "A", attributes: { text } }, signal)).rejects.toThrow(
      RejectedError,
    );
    expect(rejected).toEqual({ "too-large": 3 });
  });

  test("an invalid record refuses the whole call, and nothing of it is stored", async () => {
    const { stored, rejected, uplink } = setUp();
    const good = { deviceName: "A", attributes: { a: 1 } };
    await expect(
      uplink.accept([good, { deviceName: " ", attributes: { a: 1 } }], signal),
    ).rejects.toThrow(RejectedError);
    await expect(uplink.accept({ deviceName: "A", attributes: {} }, signal)).rejects.toThrow(
      "without a value",
    );
    await expect(
      uplink.accept({ deviceName: "x".repeat(256), attributes: { a: 1 } }, signal),
    ).rejects.toThrow("255");
    expect(stored).toEqual([]);
    // All values of a call that is refused: nobody stores the valid ones.
    expect(rejected).toEqual({ "no-device-name": 2, "no-value": 1, "device-name-too-long": 1 });
  });

  test("a store that keeps its old records gives dropped, a disk that refuses an error", async () => {
    const full = setUp({ fail: new RejectedError("full", { reason: "store-full" }) });
    expect(await full.uplink.accept({ deviceName: "A", attributes: { a: 1 } }, signal)).toEqual({
      status: "dropped",
      reason: "store-full",
    });
    const broken = setUp({ fail: new TransientError("disk") });
    await expect(
      broken.uplink.accept({ deviceName: "A", attributes: { a: 1 } }, signal),
    ).rejects.toThrow("disk");
  });
});

describe("Uplink.tryAccept()", () => {
  test("queues while there is room, and counts what does not fit", () => {
    const { uplink } = setUp();
    expect(uplink.tryAccept({ deviceName: "A", attributes: { a: 1 } })).toEqual({
      status: "queued",
    });
    const full = setUp({ full: true });
    expect(full.uplink.tryAccept({ deviceName: "A", attributes: { a: 1, b: 2 } })).toEqual({
      status: "overflow",
    });
    expect(full.rejected).toEqual({ overflow: 2 });
    expect(full.counted.records).toBe(0);
  });

  test("what a disk refuses afterwards is lost, and counted; a full store has counted it itself", () => {
    const { uplink, rejected, losses } = setUp();
    uplink.tryAccept({ deviceName: "A", attributes: { a: 1, b: 2 } });
    uplink.tryAccept({ deviceName: "B", attributes: { a: 1 } });
    const [onLost, onFull] = losses;
    onLost?.(new TransientError("disk"));
    onFull?.(new RejectedError("full", { reason: "store-full" }));
    expect(rejected).toEqual({ "not-stored": 2 });
  });
});

describe("Pipeline.acceptOwn()", () => {
  test("stores data of the gateway's own device under no name", async () => {
    const { stored, pipeline } = setUp();
    await pipeline.acceptOwn(
      { attributes: { v: "1" }, telemetry: [{ ts: epochMs(1), values: { a: 1 } }] },
      signal,
    );
    expect(stored.map(({ kind, device }) => [kind, device])).toEqual([
      ["gateway-attributes", ""],
      ["gateway-telemetry", ""],
    ]);
  });
});
