import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { DueHeap } from "../../../src/pipeline/due-heap.ts";
import type { ReportStrategy } from "../../../src/sdk/model.ts";
import { runs } from "../../support/property-runs.ts";
import { ReportRig } from "../../support/report-rig.ts";

const strategy: fc.Arbitrary<ReportStrategy> = fc.record({
  type: fc.constantFrom(
    "ON_RECEIVED",
    "ON_CHANGE",
    "ON_REPORT_PERIOD",
    "ON_CHANGE_OR_REPORT_PERIOD",
    "DISABLED",
  ),
  reportPeriod: fc.constantFrom(100, 250, 1000),
  ttl: fc.constantFrom(0, 1, 60),
});

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("sample" as const),
      device: fc.constantFrom("a", "b", "c"),
      key: fc.constantFrom("x", "y", "z"),
      value: fc.constantFrom(1, 2, "text"),
      strategy,
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.nat(1500) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("refuse" as const), on: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("forget" as const) }) },
);

test("whatever comes: no sample is stored twice, none changes, each is accounted for, and the newest arrives", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 10, maxLength: 80 }),
      fc.boolean(),
      async (steps, isTight) => {
        const limits = isTight ? { keys: 7, chars: 200 } : { keys: 100, chars: 10_000 };
        const rig = new ReportRig({ limits, cleanupMs: 500 });
        const offered = new Map<string, unknown>();
        const newest = new Map<string, number>();
        let accepted = 0;
        let serial = 0;
        for (const one of steps) {
          if (one.do === "pass") {
            await rig.clock.advance(one.ms);
          } else if (one.do === "refuse") {
            rig.refuse(one.on);
          } else if (one.do === "forget") {
            rig.refuse(false);
            await rig.pipeline.forget("c");
          } else {
            serial += 1;
            const { device: deviceName, key, value } = one;
            const sample = rig.telemetry(
              { [key]: value },
              { deviceName, ts: serial, strategy: one.strategy },
            );
            const result = await sample.catch(() => undefined);
            if (result !== undefined) {
              accepted += 1;
              offered.set(`${deviceName} ${key} ${serial}`, value);
              if (one.strategy.type !== "ON_CHANGE") {
                newest.set(`${deviceName} ${key}`, serial);
              }
            }
          }
        }
        rig.refuse(false);
        await rig.clock.advance(30_000);
        await rig.pipeline[Symbol.asyncDispose]();
        const places = rig.sink.stored.map(({ device, key, ts }) => `${device} ${key} ${ts}`);
        expect(new Set(places).size).toBe(places.length);
        for (const { device, key, ts, value } of rig.sink.stored) {
          expect(offered.get(`${device} ${key} ${ts}`)).toEqual(value);
        }
        expect(rig.sink.received).toBe(accepted);
        // With too little memory and a disk that refuses at the same time a value that waits is left out, and counted.
        for (const [place, ts] of isTight ? [] : newest) {
          const latest = rig.sink.stored.filter(({ device, key }) => `${device} ${key}` === place);
          expect(Math.max(...latest.map((one) => one.ts ?? 0))).toBeGreaterThanOrEqual(ts);
        }
        expect(rig.pipeline.reportCounters.keys).toBe(0);
        expect(rig.clock.waiting).toBe(0);
      },
    ),
    { numRuns: runs(300) },
  );
});

test("DueHeap gives items by due time, whatever is added and removed", () => {
  const operation = fc.oneof(
    fc.record({ do: fc.constant("add" as const), dueMs: fc.nat(50) }),
    fc.record({ do: fc.constant("remove" as const), index: fc.nat(30) }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 100 }), (operations) => {
      const heap = new DueHeap<{ dueMs: number; heapIndex: number }>();
      const items: { dueMs: number; heapIndex: number }[] = [];
      for (const one of operations) {
        if (one.do === "add") {
          const item = { dueMs: one.dueMs, heapIndex: -1 };
          heap.add(item);
          heap.add(item);
          items.push(item);
        } else {
          const [item] = items.splice(one.index, 1);
          if (item !== undefined) {
            heap.remove(item);
            heap.remove(item);
          }
        }
      }
      const taken: number[] = [];
      for (let { first } = heap; first !== undefined; first = heap.first) {
        taken.push(first.dueMs);
        heap.remove(first);
      }
      expect(taken).toEqual(items.map(({ dueMs }) => dueMs).toSorted((a, b) => a - b));
      expect(heap.size).toBe(0);
    }),
  );
});
