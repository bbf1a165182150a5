import { describe, expect, test } from "bun:test";
import type { ReportStrategy } from "../../../src/sdk/model.ts";
import { ReportRig } from "../../support/report-rig.ts";

const PERIOD = { type: "ON_REPORT_PERIOD", reportPeriod: 10_000 } as const;
const BOTH = { type: "ON_CHANGE_OR_REPORT_PERIOD", reportPeriod: 10_000 } as const;
const CHANGE = { type: "ON_CHANGE" } as const;
const DAY_S = 86_400;

/** Changes every seven seconds. */
const valueAt = (second: number): number => Math.floor(second / 7);

/** Hands on a sample a second for a day. A period that ends together with a sample ends first. */
async function playDay(rig: ReportRig): Promise<void> {
  for (let second = 0; second < DAY_S; second += 1) {
    await rig.until(second * 1000);
    await rig.telemetry({ k: valueAt(second) });
  }
  await rig.until(DAY_S * 1000 - 1);
}

/** `[stored at, ts, value]` in seconds, worked out without the code under test. */
function expectedDay(type: ReportStrategy["type"]): number[][] {
  const expected: number[][] = [];
  let sent = -1;
  for (let second = 0; second < DAY_S; second += 1) {
    const newest = second - 1;
    if (second > 0 && second % 10 === 0 && type?.endsWith("PERIOD") === true && newest > sent) {
      expected.push([second, newest, valueAt(newest)]);
      sent = newest;
    }
    const isChange = second === 0 || valueAt(second) !== valueAt(second - 1);
    if (second === 0 || type === "ON_RECEIVED" || (isChange && type !== "ON_REPORT_PERIOD")) {
      expected.push([second, second, valueAt(second)]);
      sent = second;
    }
  }
  return expected;
}

describe("a day of one sample a second", () => {
  for (const type of [
    "ON_RECEIVED",
    "ON_CHANGE",
    "ON_REPORT_PERIOD",
    "ON_CHANGE_OR_REPORT_PERIOD",
  ] as const) {
    test(`${type} stores exactly the expected values and stamps, and every sample is accounted for`, async () => {
      const rig = new ReportRig({ gateway: { type, reportPeriod: 10_000, ttl: 2 * DAY_S } });
      await playDay(rig);
      const inSeconds = rig.reports.map(([at, ts = -1, value]) => [at / 1000, ts / 1000, value]);
      expect(inSeconds).toEqual(expectedDay(type));
      await rig.pipeline[Symbol.asyncDispose]();
      const { received, stored, filtered } = rig.sink;
      const held = Object.values(filtered).reduce((sum, count) => sum + count, 0);
      expect(received).toBe(DAY_S);
      expect(stored.length + held).toBe(DAY_S);
      expect(rig.clock.waiting).toBe(0);
    }, 60_000);
  }

  test("with sent timestamps every period has its value, and the repeats are values of their own", async () => {
    const rig = new ReportRig({ gateway: PERIOD, repeatTimestamp: "sent" });
    await playDay(rig);
    const inSeconds = rig.reports.map(([at, ts = -1, value]) => [at / 1000, ts / 1000, value]);
    const periods = Array.from({ length: DAY_S / 10 - 1 }, (_, index) => {
      const second = (index + 1) * 10;
      return [second, second, valueAt(second - 1)];
    });
    expect(inSeconds).toEqual([[0, 0, 0], ...periods]);
    expect(rig.sink.filtered).toEqual({ "report-period": DAY_S - 1 });
    expect(rig.sink.received).toBe(DAY_S + periods.length);
  }, 60_000);
});

describe("ttl", () => {
  test("an unchanged value counts as the first again once its ttl has passed; a change begins it anew", async () => {
    const rig = new ReportRig({ gateway: { ...CHANGE, ttl: 10 } });
    await rig.play(
      [
        [0, 1],
        [9999, 1],
        [10_000, 1],
        [19_000, 2],
        [28_999, 2],
        [29_000, 2],
      ],
      29_000,
    );
    expect(rig.reports.map(([at]) => at)).toEqual([0, 10_000, 19_000, 29_000]);
  });

  test("a sample that waits is reported, however short the ttl", async () => {
    const rig = new ReportRig({ gateway: { ...PERIOD, ttl: 5 } });
    await rig.play(
      [
        [0, 1],
        [4000, 1],
      ],
      12_000,
    );
    expect(rig.reports).toEqual([
      [0, 0, 1],
      [10_000, 4000, 1],
    ]);
  });

  test("what has expired is forgotten at the next clean-up, and the timer ends with the last key", async () => {
    const rig = new ReportRig({ gateway: { ...CHANGE, ttl: 10 }, cleanupMs: 60_000 });
    await rig.telemetry({ a: 1, b: 1 });
    await rig.until(55_000);
    await rig.telemetry({ b: 2 });
    expect(rig.pipeline.reportCounters.keys).toBe(2);
    await rig.until(60_000);
    expect(rig.pipeline.reportCounters.keys).toBe(1);
    await rig.until(120_000);
    expect(rig.pipeline.reportCounters).toMatchObject({ keys: 0, evicted: 0 });
    expect(rig.clock.waiting).toBe(0);
  });

  test("with sent timestamps a key repeats until its value is as old as the ttl", async () => {
    const rig = new ReportRig({ gateway: { ...PERIOD, ttl: 25 }, repeatTimestamp: "sent" });
    await rig.play([[0, 7]], 100_000);
    expect(rig.reports).toEqual([
      [0, 0, 7],
      [10_000, 10_000, 7],
      [20_000, 20_000, 7],
    ]);
  });
});

describe("what a period holds back", () => {
  test("keys of a device and a time travel as one record, attributes in one without a time", async () => {
    const rig = new ReportRig({ gateway: PERIOD });
    await rig.telemetry({ a: 1, b: 1 });
    await rig.attributes({ x: 1 });
    await rig.telemetry({ a: 2, b: 2 }, { ts: 500 });
    await rig.attributes({ x: 2 });
    await rig.until(10_000);
    const { records } = rig.sink;
    expect(records.slice(2).map(({ kind, json, values }) => [kind, json, values])).toEqual([
      ["telemetry", `{"ts":${rig.at(500)},"values":{"a":2,"b":2}}`, 2],
      ["attributes", '{"x":2}', 1],
    ]);
    expect(rig.pipeline.reportCounters.reports).toBe(3);
  });

  test("is the newest by its own time, in whichever order samples arrive", async () => {
    const rig = new ReportRig({ gateway: PERIOD });
    await rig.telemetry({ k: 0 }, { ts: 0 });
    await rig.telemetry({ k: 3 }, { ts: 3000 });
    await rig.telemetry({ k: 2 }, { ts: 2000 });
    await rig.until(10_000);
    expect(rig.reports.slice(1)).toEqual([[10_000, 3000, 3]]);
    expect(rig.sink.filtered).toEqual({ "report-period": 1 });
  });

  test("counts each period without a sample once, also those it slept through", async () => {
    const rig = new ReportRig({ gateway: PERIOD });
    await rig.telemetry({ k: 0 });
    await rig.until(10_000);
    expect(rig.pipeline.reportCounters.periodsWithoutSample).toBe(1);
    await rig.until(55_000);
    await rig.telemetry({ k: 0 });
    expect(rig.pipeline.reportCounters.periodsWithoutSample).toBe(5);
    await rig.until(60_000);
    expect(rig.reports).toEqual([
      [0, 0, 0],
      [60_000, 55_000, 0],
    ]);
  });

  test("a key that fell silent costs no timer", async () => {
    const rig = new ReportRig({ gateway: PERIOD });
    await rig.telemetry({ k: 0 });
    await rig.until(10_000);
    // The clean-up alone.
    expect(rig.clock.waiting).toBe(1);
  });

  test("waits while the store does; newer samples take the place of older ones", async () => {
    const rig = new ReportRig({ gateway: PERIOD });
    await rig.telemetry({ k: 0 });
    await rig.telemetry({ k: 1 });
    const gate = Promise.withResolvers<void>();
    rig.sink.gate = gate.promise;
    await rig.until(10_000);
    for (let second = 11; second < 45; second += 1) {
      await rig.until(second * 1000);
      await rig.telemetry({ k: second });
    }
    expect(rig.sink.appends).toBe(2);
    rig.sink.gate = undefined;
    gate.resolve();
    await rig.until(50_000);
    expect(rig.reports).toEqual([
      [0, 0, 0],
      [44_000, 1, 1],
      [44_000, 44_000, 44],
    ]);
    expect(rig.sink.received).toBe(36);
  });

  test("is tried again while the disk refuses, and an old attribute never follows a newer one", async () => {
    const rig = new ReportRig({ gateway: BOTH });
    await rig.telemetry({ k: 0 });
    await rig.attributes({ x: 0 });
    await rig.telemetry({ k: 0 }, { ts: 5000 });
    await rig.attributes({ x: 0 });
    rig.refuse(true);
    await rig.until(10_000);
    rig.refuse(false);
    await rig.attributes({ x: 9 });
    await rig.until(12_000);
    expect(rig.sink.stored.slice(2).map(({ key, ts, value }) => [key, ts, value])).toEqual([
      ["x", undefined, 9],
      ["k", 5000, 0],
    ]);
    expect(rig.sink.received).toBe(5);
  });

  test("is stored at a stop, and what cannot be stored then is counted", async () => {
    const rig = new ReportRig({ gateway: PERIOD });
    await rig.telemetry({ k: 0 });
    await rig.until(3000);
    await rig.telemetry({ k: 1 });
    await rig.pipeline[Symbol.asyncDispose]();
    expect(rig.reports).toEqual([
      [0, 0, 0],
      [3000, 3000, 1],
    ]);
    expect(rig.clock.waiting).toBe(0);
    expect(await rig.telemetry({ k: 1 })).toEqual({ status: "stored" });

    const broken = new ReportRig({ gateway: PERIOD });
    await broken.telemetry({ k: 0 });
    await broken.telemetry({ k: 1 });
    broken.refuse(true);
    const stopped = broken.pipeline[Symbol.asyncDispose]();
    await broken.clock.advance(2000);
    await stopped;
    expect(broken.sink.filtered).toEqual({ "report-period": 1 });
    expect(broken.log.messages("error")).toEqual(["Cannot store what report periods hold back"]);
    expect(broken.clock.waiting).toBe(0);
  });
});

describe("a value that was let through and not stored", () => {
  test("goes up when it comes again: the disk refused it", async () => {
    const rig = new ReportRig({ gateway: CHANGE });
    await rig.telemetry({ k: 1 });
    rig.refuse(true);
    await expect(rig.telemetry({ k: 2 })).rejects.toThrow("refuses");
    rig.refuse(false);
    expect(await rig.telemetry({ k: 2 })).toEqual({ status: "stored" });
    expect(await rig.telemetry({ k: 2 })).toMatchObject({ status: "filtered" });
  });

  test("goes up when it comes again: there was no room for a source that does not wait", async () => {
    const rig = new ReportRig({ gateway: CHANGE });
    const data = { deviceName: "d", telemetry: [{ values: { k: 1 } }] };
    rig.sink.gate = Promise.resolve();
    expect(rig.uplink().tryAccept(data)).toEqual({ status: "overflow" });
    rig.sink.gate = undefined;
    rig.refuse(true);
    expect(rig.uplink().tryAccept(data)).toEqual({ status: "queued" });
    rig.refuse(false);
    expect(rig.uplink().tryAccept(data)).toEqual({ status: "queued" });
    expect(rig.uplink().tryAccept(data)).toEqual({ status: "filtered" });
  });
});

describe("a change of the configuration", () => {
  test("another strategy of the gateway makes every key unknown, and sends what waits first", async () => {
    const rig = new ReportRig({ gateway: PERIOD });
    await rig.telemetry({ k: 1 });
    await rig.telemetry({ k: 2 });
    await rig.until(2000);
    await rig.pipeline.setStrategies(rig.settings(CHANGE));
    await rig.telemetry({ k: 2 });
    expect(await rig.telemetry({ k: 2 })).toEqual({ status: "filtered", reason: "on-change" });
    expect(rig.reports).toEqual([
      [0, 0, 1],
      [2000, 1, 2],
      [2000, 2000, 2],
    ]);
    await rig.pipeline.setStrategies(rig.settings(CHANGE));
    expect(await rig.telemetry({ k: 2 })).toEqual({ status: "filtered", reason: "on-change" });
  });

  test("forget() is about one connector only", async () => {
    const rig = new ReportRig({ gateway: PERIOD });
    const { signal } = new AbortController();
    const send = (id: string, value: number) =>
      rig.uplink(id).accept({ deviceName: id, attributes: { k: value } }, signal);
    await send("a", 1);
    await send("b", 1);
    await send("a", 2);
    await send("b", 2);
    await rig.pipeline.forget("a");
    await send("a", 3);
    expect(rig.sink.stored.map(({ device, value }) => [device, value])).toEqual([
      ["a", 1],
      ["b", 1],
      ["a", 2],
      ["a", 3],
    ]);
    expect(rig.pipeline.reportCounters.keys).toBe(2);
  });

  test("forgetDevice() lets the first values of a device go up again", async () => {
    const rig = new ReportRig({ gateway: CHANGE });
    await rig.telemetry({ k: 1 });
    rig.pipeline.forgetDevice("d");
    expect(await rig.telemetry({ k: 1 })).toEqual({ status: "stored" });
  });
});

describe("bounds", () => {
  test("the devices seen longest ago are forgotten, said once, and what waits of them is stored", async () => {
    const rig = new ReportRig({ gateway: PERIOD, limits: { keys: 6, chars: 1000 } });
    for (const deviceName of ["a", "b", "c"]) {
      await rig.telemetry({ x: 1, y: 1 }, { deviceName });
      await rig.telemetry({ x: 2 }, { deviceName, ts: 7 });
    }
    await rig.telemetry({ y: 3 }, { deviceName: "a" });
    await rig.telemetry({ x: 1 }, { deviceName: "d" });
    expect(rig.pipeline.reportCounters).toMatchObject({ keys: 5, evicted: 2, reports: 1 });
    expect(rig.sink.stored.at(-2)).toMatchObject({ device: "b", key: "x", ts: 7, value: 2 });
    expect(rig.log.messages("warn")).toHaveLength(1);
    expect(await rig.telemetry({ x: 1 }, { deviceName: "b" })).toEqual({ status: "stored" });
  });

  test("a device whose keys never end loses the first ones", async () => {
    const rig = new ReportRig({ gateway: CHANGE, limits: { keys: 3, chars: 1000 } });
    for (let index = 0; index < 10; index += 1) {
      await rig.telemetry({ [`k${index}`]: 1 });
    }
    expect(rig.pipeline.reportCounters).toMatchObject({ keys: 3, evicted: 7 });
    expect(await rig.telemetry({ k9: 1 })).toMatchObject({ status: "filtered" });
    expect(await rig.telemetry({ k0: 1 })).toMatchObject({ status: "stored" });
  });

  test("long texts count by their length", async () => {
    const rig = new ReportRig({ gateway: CHANGE, limits: { keys: 100, chars: 1000 } });
    for (const deviceName of ["a", "b", "c"]) {
      await rig.telemetry({ text: deviceName.repeat(450) }, { deviceName });
    }
    expect(rig.pipeline.reportCounters).toMatchObject({ keys: 2, evicted: 1 });
    await rig.telemetry({ text: "x".repeat(5000) }, { deviceName: "d" });
    expect(rig.pipeline.reportCounters).toMatchObject({ keys: 1, evicted: 3 });
  });
});
