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

/** Topics and payloads of the publishes on `v1/gateway/…`, as they came in. */
function recordPublishes(rig: UplinkRig): { topic: string; text: string; connection: number }[] {
  const seen: { topic: string; text: string; connection: number }[] = [];
  rig.server.onPublish(({ topic, text, connection }) => {
    if (topic.startsWith("v1/gateway/")) {
      seen.push({ topic, text, connection });
    }
  });
  return seen;
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
    expect(rig.server.device("Pump 7")?.profile).toBe("pump");
  });

  test("announces each device before its first data", async () => {
    await using rig = await UplinkRig.open();
    const seen = recordPublishes(rig);
    await rig.put(range(20).map((device) => telemetry(`D${device}`, TS, 1)));
    await rig.emptied();
    for (const device of range(20)) {
      const connect = seen.findIndex(
        ({ text }) => text === `{"device":"D${device}","type":"pump"}`,
      );
      const data = seen.findIndex(
        ({ topic, text }) => topic === "v1/gateway/telemetry" && text.includes(`"D${device}"`),
      );
      expect(connect).toBeGreaterThanOrEqual(0);
      expect(data).toBeGreaterThan(connect);
    }
  });

  test("packs many devices and moments into one publish", async () => {
    await using rig = await UplinkRig.open({ idle: true });
    for (const n of range(10)) {
      await rig.put(range(20).map((device) => telemetry(`D${device}`, TS + n, n)));
    }
    rig.start();
    await rig.emptied();
    // 20 announcements aside; a publish a record would be 200.
    expect(rig.sender.stats().publishes).toBeLessThanOrEqual(20);
  });

  test("sends attributes first, and the gateway's own data to its own topics", async () => {
    await using rig = await UplinkRig.open({ idle: true });
    await rig.put([
      telemetry("A", TS, 1),
      { kind: "attributes", device: "A", deviceType: "", json: '{"fw":"v1.2"}', values: 1 },
      { kind: "attributes", device: "A", deviceType: "", json: '{"hw":7}', values: 1 },
      {
        kind: "gateway-telemetry",
        device: "",
        deviceType: "",
        json: `{"ts":${TS},"values":{"cpu":25.0}}`,
        values: 1,
      },
      {
        kind: "gateway-attributes",
        device: "",
        deviceType: "",
        json: '{"version":"1"}',
        values: 1,
      },
    ]);
    const seen = recordPublishes(rig);
    rig.start();
    await rig.emptied();
    expect(rig.server.getClient("A")["fw"]?.value).toBe("v1.2");
    expect(rig.server.getClient("A")["hw"]?.value).toBe(7);
    expect(rig.server.getClient("GW")["version"]?.text).toBe('"1"');
    expect(rig.server.latest("GW", "cpu")?.text).toBe("25.0");
    expect(seen.map(({ topic }) => topic)).toEqual([
      "v1/gateway/connect",
      "v1/gateway/attributes",
      "v1/gateway/telemetry",
    ]);
  });

  test("keeps several publishes in flight, and a device in one of them while payloads are not full", async () => {
    await using rig = await UplinkRig.open();
    await rig.put(range(8).map((device) => telemetry(`D${device}`, TS, 0)));
    await rig.emptied();
    rig.server.faults.publish({ action: "hold" }, { topic: "v1/gateway/telemetry" });
    for (const device of range(8)) {
      await rig.put([telemetry(`D${device}`, TS + 1, 1)]);
      await rig.until("it is in flight", () => rig.sender.stats().inFlight === device + 1);
    }
    await rig.put([telemetry("D0", TS + 2, 2)]);
    await rig.until("it is read", () => rig.sender.stats().backlogRecords === 9);
    expect(rig.sender.stats().inFlight).toBe(8);
    rig.server.faults.clear();
    await rig.emptied();
    expect(firstArrivals(rig, "D0")).toEqual([0, 1, 2]);
  });

  test("fills the window with full payloads of one device", async () => {
    await using rig = await UplinkRig.open({ idle: true, speed: 1 });
    const text = "x".repeat(4000);
    await rig.put([telemetry("A", TS, 0)]);
    await rig.put(range(400).map((n) => telemetry("A", TS + 1 + n, `${n} ${text}`)));
    rig.server.faults.publish({ action: "hold" }, { topic: "v1/gateway/telemetry" });
    rig.start();
    await rig.until("the window is full", () => rig.sender.stats().inFlight === 16);
    rig.server.faults.clear();
    await rig.emptied();
    expect(rig.server.valueCount("A", "n")).toBe(401);
  });

  test("splits a record over the payload limit by key and sets aside one value that is too large", async () => {
    await using rig = await UplinkRig.open();
    const keys = range(40).map((key) => `"k${key}":"${"ü".repeat(2000)}"`);
    await rig.put([
      {
        kind: "telemetry",
        device: "A",
        deviceType: "",
        json: `{"ts":${TS},"values":{${keys.join(",")}}}`,
        values: 40,
      },
      telemetry("A", TS + 1, 1),
      {
        kind: "attributes",
        device: "A",
        deviceType: "",
        json: `{"big":"${"y".repeat(70_000)}"}`,
        values: 1,
      },
      telemetry("A", TS + 2, 2),
    ]);
    await rig.emptied();
    for (const key of range(40)) {
      expect(rig.server.latest("A", `k${key}`)?.value).toBe("ü".repeat(2000));
    }
    expect(firstArrivals(rig, "A")).toEqual([1, 2]);
    expect(rig.store.stats().ledger).toMatchObject({ acknowledged: 42, quarantined: 1 });
    expect(rig.session.state.connects).toBe(1);
  });

  test("keeps to the payload limit of the server", async () => {
    await using rig = await UplinkRig.open({ settings: { maxPayloadBytes: 2000 } });
    const longest: number[] = [];
    rig.server.onPublish(({ text }) => longest.push(Buffer.byteLength(text)));
    await rig.put(range(500).map((n) => telemetry(`D${n % 7}`, TS + n, n)));
    await rig.emptied();
    expect(Math.max(...longest)).toBeLessThanOrEqual(2000);
    expect(Math.max(...longest)).toBeGreaterThan(1800);
  });

  test("sends under the platform's name, and never two devices of one name in one publish", async () => {
    await using rig = await UplinkRig.open({
      idle: true,
      platformName: (local) => (local.startsWith("old ") ? "Shared" : local),
    });
    await rig.put([
      telemetry("old 1", TS, 1),
      telemetry("old 2", TS + 1, 2),
      telemetry("B", TS, 3),
    ]);
    rig.start();
    await rig.emptied();
    expect(new Set(firstArrivals(rig, "Shared"))).toEqual(new Set([1, 2]));
    expect(firstArrivals(rig, "B")).toEqual([3]);
  });

  test("drain() waits for what is in flight and sends nothing more", async () => {
    await using rig = await UplinkRig.open();
    await rig.put([telemetry("A", TS, 0)]);
    await rig.emptied();
    using _slow = rig.server.faults.publish(
      { action: "delay", ms: 100 },
      { topic: "v1/gateway/telemetry" },
    );
    await rig.put([telemetry("A", TS + 1, 1)]);
    await rig.until("it is in flight", () => rig.sender.stats().inFlight === 1);
    const drained = rig.sender.drain(5000 * 20);
    await rig.put([telemetry("A", TS + 2, 2)]);
    expect(await drained).toBe(true);
    expect(rig.store.stats().records).toBe(1);
    expect(firstArrivals(rig, "A")).toEqual([0, 1]);
  });

  test("disconnectDevice() tells the platform, and later data announces the device again", async () => {
    await using rig = await UplinkRig.open();
    await rig.put([telemetry("A", TS, 0)]);
    await rig.emptied();
    await rig.sender.disconnectDevice("A", new AbortController().signal);
    expect(rig.server.sessions()[0]?.children).toEqual([]);
    const seen = recordPublishes(rig);
    await rig.put([telemetry("A", TS + 1, 1)]);
    await rig.emptied();
    expect(seen.map(({ topic }) => topic)).toEqual(["v1/gateway/connect", "v1/gateway/telemetry"]);
  });
});

describe("a sender on a link that fails", () => {
  test("loses nothing over an outage, and keeps the order of first arrival", async () => {
    await using rig = await UplinkRig.open();
    for (const n of range(60)) {
      await rig.put(range(20).map((device) => telemetry(`D${device}`, TS + n, n)));
      if (n === 20) {
        await rig.emptied();
        await rig.server.down();
      }
      if (n === 40) {
        await rig.server.up();
      }
    }
    await rig.emptied();
    for (const device of range(20)) {
      expect(firstArrivals(rig, `D${device}`)).toEqual(range(60));
    }
    expect(rig.session.state.connects).toBeGreaterThan(1);
  });

  test("announces every known device again after a reconnect, with and without data", async () => {
    await using rig = await UplinkRig.open();
    await rig.put(range(30).map((device) => telemetry(`D${device}`, TS, 0)));
    rig.sender.connectDevice("Quiet", "valve");
    await rig.emptied();
    await rig.server.until(() => rig.server.sessions()[0]?.children.length === 31);
    rig.server.kick("GW", 0x98);
    await rig.server.until(() => rig.server.sessions()[0]?.children.length === 31);
    expect(rig.session.state.connects).toBe(2);
    expect(rig.server.device("Quiet")?.profile).toBe("valve");
  });

  test("sends again what had no PUBACK when the connection was cut", async () => {
    await using rig = await UplinkRig.open();
    await rig.put([telemetry("A", TS, 0)]);
    await rig.emptied();
    rig.server.faults.publish({ action: "cut" }, { topic: "v1/gateway/telemetry", times: 1 });
    await rig.put([telemetry("A", TS + 1, 1)]);
    await rig.emptied();
    expect(rig.server.valueCount("A", "n")).toBe(3);
    expect(rig.sender.stats().resends).toBe(1);
  });

  test("sends again what gets no PUBACK although the link lives", async () => {
    await using rig = await UplinkRig.open();
    await rig.put([telemetry("A", TS, 0)]);
    await rig.emptied();
    rig.server.faults.publish({ action: "drop" }, { topic: "v1/gateway/telemetry", times: 2 });
    await rig.put([telemetry("A", TS + 1, 1), telemetry("B", TS + 1, 1)]);
    await rig.emptied();
    expect(rig.session.state.connects).toBe(1);
    expect(firstArrivals(rig, "A")).toEqual([0, 1]);
    expect(rig.store.stats().ledger.quarantined).toBe(0);
  });

  test("sets aside as no-ack only the record that stays silent while others pass", async () => {
    // A machine that stands still for 5 s of this clock loses the link, and what was found out about the record with it.
    await using rig = await UplinkRig.open({ speed: 30 });
    rig.server.faults.publish({ action: "drop" }, { contains: "-77" });
    await rig.put(range(12).map((n) => telemetry(`D${n % 3}`, TS + n, n === 7 ? -77 : n)));
    await rig.until("the others are delivered", () => rig.store.stats().records <= 1, 20_000);
    for (let n = 100; rig.store.stats().records > 0; n += 1) {
      await rig.put([telemetry("Other", TS + n, n)]);
      await rig.until("it is delivered", () => rig.store.stats().records <= 1);
    }
    expect(rig.store.stats().ledger).toMatchObject({ quarantined: 1, dropped: {} });
  }, 120_000);

  test("tears the socket down when the server answers neither PUBLISH nor PINGREQ", async () => {
    await using rig = await UplinkRig.open();
    await rig.put([telemetry("A", TS, 0)]);
    await rig.emptied();
    rig.server.faults.reading.close();
    await rig.put([telemetry("A", TS + 1, 1)]);
    await rig.until("it gave up", () => rig.session.state.link !== "connected");
    rig.server.faults.reading.open();
    await rig.emptied();
    expect(firstArrivals(rig, "A")).toEqual([0, 1]);
    expect(rig.log.messages("warn")).toContain("Link is down");
  });

  test("one device that the platform refuses does not hold the others", async () => {
    await using rig = await UplinkRig.open();
    rig.server.faults.failOpen("quota", { device: "Bad" });
    for (const n of range(30)) {
      await rig.put([telemetry("Bad", TS + n, n), telemetry("Good", TS + n, n)]);
    }
    await rig.until("the good one is through", () => rig.store.stats().records === 30);
    expect(firstArrivals(rig, "Good")).toEqual(range(30));
    rig.server.faults.clear();
    await rig.emptied();
    expect(firstArrivals(rig, "Bad")).toEqual(range(30));
    expect(rig.session.state.connects).toBe(1);
  });

  test("a refused device makes way in memory, and comes back in order", async () => {
    await using rig = await UplinkRig.open();
    rig.server.faults.failOpen("quota", { device: "Bad" });
    const big = "z".repeat(8000);
    await rig.put(range(500).map((n) => telemetry("Bad", TS + n, `${n} ${big}`)));
    await rig.put(range(50).map((n) => telemetry("Good", TS + n, n)));
    await rig.until("the good one is through", () => rig.store.stats().records === 500);
    expect(rig.sender.stats().backlogBytes).toBeLessThanOrEqual(2.2 * 1024 * 1024);
    rig.server.faults.clear();
    await rig.emptied();
    const numbers = rig.server
      .series("Bad", "n")
      .map(({ text }) => Number.parseInt(text.slice(1), 10));
    expect(numbers).toEqual(range(500));
    expect(rig.sender.stats()).toMatchObject({ backlogRecords: 0, backlogBytes: 0 });
  });
});
