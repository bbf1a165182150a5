import { describe, expect, test } from "bun:test";
import { telemetry, UplinkRig } from "../support/uplink-rig.ts";

const TS = 1_700_000_000_000;
const T = "v1/gateway/telemetry";

function firstArrivals(rig: UplinkRig, device: string): number[] {
  return [...new Set(rig.server.series(device, "n").map((point) => Number(point.text)))];
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_none, index) => index);
}

/** A rig whose server speaks MQTT 3.1.1 only. */
async function openV3(speed = 20): Promise<UplinkRig> {
  const rig = await UplinkRig.open({ idle: true, speed });
  rig.server.faults.refuseConnect(0x84, 1);
  rig.start();
  await rig.until("it is connected", () => rig.session.state.link === "connected");
  expect(rig.session.state.protocol).toBe("3.1.1");
  return rig;
}

/** A telemetry record that no server can read. */
function poison(device: string, ts: number): ReturnType<typeof telemetry> {
  return { ...telemetry(device, ts, 0), json: `{"ts":${ts},"values":{"n":}}` };
}

describe("a PUBACK that refuses", () => {
  for (const code of [0x97, 0x80, 0x87]) {
    test(`0x${code.toString(16)} is sent again until it is taken, in order`, async () => {
      await using rig = await UplinkRig.open({ speed: 100 });
      rig.server.faults.publish({ action: "refuse", code }, { topic: T, times: 5 });
      for (const n of range(10)) {
        await rig.put(range(4).map((device) => telemetry(`D${device}`, TS + n, n)));
      }
      await rig.emptied();
      for (const device of range(4)) {
        expect(firstArrivals(rig, `D${device}`)).toEqual(range(10));
      }
      expect(rig.sender.stats().refusals).toBe(5);
      expect(rig.store.stats().ledger).toMatchObject({ acknowledged: 40, quarantined: 0 });
      expect(rig.session.state.connects).toBe(1);
    });
  }

  test("0x97 followed by a close is sent again on the next connection", async () => {
    await using rig = await UplinkRig.open();
    rig.server.faults.publish(
      { action: "refuse", code: 0x97, close: true },
      { topic: T, times: 2 },
    );
    await rig.put([telemetry("A", TS, 0), telemetry("B", TS, 0)]);
    await rig.emptied();
    expect(rig.session.state.connects).toBe(3);
    expect(rig.store.stats().ledger).toMatchObject({ acknowledged: 2, quarantined: 0 });
  });

  for (const [code, reason] of [
    [0x99, "payload-invalid"],
    [0x83, "refused"],
    [0x90, "topic-refused"],
  ] as const) {
    test(`0x${code.toString(16)} is narrowed down to the one record, which is set aside`, async () => {
      await using rig = await UplinkRig.open();
      await rig.put([telemetry("D0", TS, -1)]);
      await rig.emptied();
      rig.server.faults.publish({ action: "refuse", code }, { topic: T, contains: '"n":23}' });
      await rig.put(range(64).map((n) => telemetry(`D${n % 4}`, TS + 1 + n, n)));
      await rig.emptied();
      const arrived = range(4).flatMap((device) => firstArrivals(rig, `D${device}`));
      expect(arrived.sort((a, b) => a - b)).toEqual([-1, ...range(64).filter((n) => n !== 23)]);
      expect(firstArrivals(rig, "D1")).toEqual(range(64).filter((n) => n % 4 === 1));
      expect(rig.store.stats().ledger).toMatchObject({ acknowledged: 64, quarantined: 1 });
      expect(rig.log.records.find(({ level }) => level === "error")?.fields["reason"]).toBe(reason);
    });
  }

  test("0x90 for a topic that was never accepted sets nothing aside", async () => {
    await using rig = await UplinkRig.open({ speed: 200 });
    rig.server.faults.publish({ action: "refuse", code: 0x90 }, { topic: T });
    await rig.put(range(4).map((n) => telemetry("A", TS + n, n)));
    await rig.until("it was refused often", () => rig.sender.stats().refusals >= 6);
    rig.server.faults.clear();
    await rig.emptied();
    expect(firstArrivals(rig, "A")).toEqual(range(4));
    expect(rig.store.stats().ledger.quarantined).toBe(0);
  });

  test("JSON that the server cannot read costs only its own record", async () => {
    await using rig = await UplinkRig.open({ idle: true });
    await rig.put([
      ...range(20).map((n) => telemetry("A", TS + n, n)),
      poison("A", TS + 20),
      ...range(20).map((n) => telemetry("A", TS + 21 + n, 20 + n)),
    ]);
    rig.start();
    await rig.emptied();
    expect(firstArrivals(rig, "A")).toEqual(range(40));
    expect(rig.store.stats().ledger).toMatchObject({ acknowledged: 40, quarantined: 1 });
  });
});

describe("a server that closes instead of refusing", () => {
  test("under MQTT 3.1.1 a record is released only when the session outlives its PUBACK", async () => {
    await using rig = await openV3();
    await rig.put([telemetry("A", TS, 0)]);
    await rig.emptied();
    rig.server.faults.publish(
      { action: "refuse", code: 0x97, close: true },
      { topic: T, times: 1 },
    );
    await rig.put([telemetry("A", TS + 1, 1)]);
    await rig.emptied();
    expect(firstArrivals(rig, "A")).toEqual([0, 1]);
    expect(rig.session.state.connects).toBe(2);
    expect(rig.store.stats().ledger).toMatchObject({ acknowledged: 2, quarantined: 0 });
  });

  test("under MQTT 3.1.1 the release waits 1,000 ms", async () => {
    await using rig = await openV3();
    await rig.put([telemetry("A", TS, 0)]);
    await rig.server.until(() => rig.server.valueCount("A", "n") === 1);
    // The clock of the gateway runs 20 times as fast.
    const at = performance.now();
    expect(rig.store.stats().records).toBe(1);
    await rig.emptied();
    expect(performance.now() - at).toBeGreaterThan(40);
  });

  test("under MQTT 3.1.1 a record that the server cannot read is found by the closes it causes", async () => {
    await using rig = await openV3(100);
    await rig.put([
      ...range(30).map((n) => telemetry(`D${n % 3}`, TS + n, n)),
      poison("D1", TS + 30),
      ...range(30).map((n) => telemetry(`D${n % 3}`, TS + 31 + n, 30 + n)),
    ]);
    await rig.until("the rest is delivered", () => rig.store.stats().records <= 1, 20_000);
    for (let n = 0; rig.store.stats().records > 0 && n < 200; n += 1) {
      await rig.put([telemetry("Other", TS + n, n)]);
      await rig.until("it is delivered", () => rig.store.stats().records <= 1);
    }
    expect(rig.store.stats().ledger).toMatchObject({ quarantined: 1, queued: 0 });
    const arrived = range(3).flatMap((device) => firstArrivals(rig, `D${device}`));
    expect(arrived.sort((a, b) => a - b)).toEqual(range(60));
  }, 30_000);

  test("MQTT 5: a close right after one record, again and again while others pass, sets it aside", async () => {
    await using rig = await UplinkRig.open({ speed: 100 });
    rig.server.faults.publish({ action: "cut" }, { topic: T, contains: '"n":-5}' });
    await rig.put([telemetry("A", TS, 0), telemetry("A", TS + 1, -5), telemetry("A", TS + 2, 2)]);
    await rig.until("the others are delivered", () => rig.store.stats().records <= 1);
    for (let n = 0; rig.store.stats().records > 0 && n < 200; n += 1) {
      await rig.put([telemetry("Other", TS + n, n)]);
      await rig.until("it is delivered", () => rig.store.stats().records <= 1);
    }
    expect(rig.store.stats().ledger).toMatchObject({ quarantined: 1, queued: 0 });
    expect(rig.session.state.connects).toBeGreaterThanOrEqual(4);
  }, 30_000);

  test("a line that ends every connection sets nothing aside", async () => {
    await using rig = await UplinkRig.open({ idle: true, speed: 150 });
    rig.server.faults.publish({ action: "cut" }, { topic: T, times: 12 });
    await rig.put(range(3).map((n) => telemetry("A", TS + n, n)));
    rig.start();
    await rig.emptied(30_000);
    expect(rig.store.stats().ledger).toMatchObject({ acknowledged: 3, quarantined: 0 });
  }, 30_000);

  test("an announcement that ends every connection does not stop the others", async () => {
    await using rig = await UplinkRig.open({ idle: true, speed: 100 });
    rig.server.faults.publish(
      { action: "cut" },
      { topic: "v1/gateway/connect", contains: '"Bad"' },
    );
    await rig.put([telemetry("Bad", TS, 1), telemetry("Good", TS, 1)]);
    rig.start();
    await rig.until("the good one is through", () => rig.store.stats().records === 1);
    expect(firstArrivals(rig, "Good")).toEqual([1]);
  });
});
