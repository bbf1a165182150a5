import { describe, expect, test } from "bun:test";
import { telemetry, UplinkRig } from "../support/uplink-rig.ts";

const TS = 1_700_000_000_000;
const REQUEST = "v1/gateway/attributes/request";

/** Payloads of the publishes on one topic from here on. */
function payloadsOf(rig: UplinkRig, wanted: string): string[] {
  const seen: string[] = [];
  rig.server.onPublish(({ topic, text }) => {
    if (topic === wanted) {
      seen.push(text);
    }
  });
  return seen;
}

describe("children that send nothing", () => {
  test("are kept alive by a request after 5 min, not before, and with an id of its own range", async () => {
    // 5 min are 2 s at this speed.
    await using rig = await UplinkRig.open({ speed: 150, settings: { keepAliveSeconds: 0 } });
    const requests = payloadsOf(rig, REQUEST);
    rig.sender.connectDevice("Quiet", "pump");
    const startMs = performance.now();
    await rig.server.until(() => requests.length === 1);
    expect(performance.now() - startMs).toBeGreaterThan(1900);
    const [first = "{}"] = requests;
    expect(JSON.parse(first)).toEqual({
      id: 1_000_000_000,
      device: "Quiet",
      client: false,
      key: "keepAlive",
    });
    await rig.server.until(() => requests.length === 2);
    expect(JSON.parse(requests[1] ?? "{}").id).toBe(1_000_000_001);
    expect(rig.session.state.connects).toBe(1);
  }, 15_000);

  test("data counts as a sign of life, and a device that is gone is not asked for", async () => {
    await using rig = await UplinkRig.open({ speed: 150, settings: { keepAliveSeconds: 0 } });
    const requests = payloadsOf(rig, REQUEST);
    rig.sender.connectDevice("Gone", "pump");
    rig.sender.connectDevice("Busy", "pump");
    rig.sender.connectDevice("Quiet", "pump");
    await rig.until("they are there", () => rig.server.sessions()[0]?.children.length === 3);
    await rig.sender.disconnectDevice("Gone", new AbortController().signal);
    let n = 0;
    while (requests.length === 0) {
      n += 1;
      await rig.put([telemetry("Busy", TS + n, n)]);
      await rig.emptied();
    }
    expect(requests.length).toBe(1);
    expect(JSON.parse(requests[0] ?? "{}").device).toBe("Quiet");
  }, 15_000);
});

describe("a device that is renamed while it is connected", () => {
  test("its session is closed under the old name and opened under the new one, then its data follows", async () => {
    const names = new Map<string, string>();
    await using rig = await UplinkRig.open({ platformName: (local) => names.get(local) ?? local });
    await rig.put([telemetry("A", TS, 1)]);
    await rig.emptied();
    const connects = payloadsOf(rig, "v1/gateway/connect");
    const disconnects = payloadsOf(rig, "v1/gateway/disconnect");
    rig.server.renameDevice("A", "B");
    names.set("A", "B");
    const { signal } = new AbortController();
    await rig.sender.deviceRenamed("A", signal);
    await rig.until("it is there", () => rig.server.sessions()[0]?.children.includes("B") === true);
    expect(rig.server.sessions()[0]?.children).toEqual(["B"]);
    expect(disconnects).toEqual(['{"device":"A"}']);
    expect(connects).toEqual(['{"device":"B","type":"pump"}']);
    await rig.put([telemetry("A", TS + 1, 2)]);
    await rig.emptied();
    expect(rig.server.valueCount("B", "n")).toBe(2);
    expect(rig.server.device("A")).toBeUndefined();
    await rig.sender.deviceRenamed("A", signal);
    expect(disconnects.length).toBe(1);
  });
});

describe("a device that is gone", () => {
  test("is announced for data that is left alone, and its session is closed once that is through", async () => {
    await using rig = await UplinkRig.open({ speed: 100, idle: true });
    const connects = payloadsOf(rig, "v1/gateway/connect");
    const disconnects = payloadsOf(rig, "v1/gateway/disconnect");
    rig.sender.deviceGone("Down");
    rig.sender.deviceGone("Quiet");
    await rig.put([telemetry("Down", TS, 1)]);
    rig.start();
    await rig.emptied();
    await rig.server.until(() => disconnects.length === 1);
    expect(connects).toEqual(['{"device":"Down","type":"pump"}']);
    expect(disconnects).toEqual(['{"device":"Down"}']);
    expect(rig.server.sessions()[0]?.children).toEqual([]);
    await rig.put([telemetry("Down", TS + 1, 2)]);
    await rig.server.until(() => disconnects.length === 2);
    expect(rig.server.valueCount("Down", "n")).toBe(2);
  });

  test("stays when it comes back before that", async () => {
    await using rig = await UplinkRig.open({ speed: 100, idle: true });
    const disconnects = payloadsOf(rig, "v1/gateway/disconnect");
    rig.sender.deviceGone("Back");
    rig.sender.deviceGone("Down");
    await rig.put([telemetry("Back", TS, 1), telemetry("Down", TS, 1)]);
    rig.start();
    await rig.emptied();
    rig.sender.connectDevice("Back", "pump");
    await rig.server.until(() => disconnects.length === 1);
    expect(disconnects).toEqual(['{"device":"Down"}']);
    expect(rig.server.sessions()[0]?.children).toEqual(["Back"]);
  });
});

describe("progress", () => {
  test("tells since when records wait on an open link, and nothing while there is none to send", async () => {
    await using rig = await UplinkRig.open({ speed: 20 });
    await rig.put([telemetry("A", TS, 1)]);
    await rig.emptied();
    const { lastAckMs } = rig.sender.progress;
    expect(lastAckMs).toBeGreaterThan(0);
    expect(rig.sender.progress).toMatchObject({ waiting: 0, paused: false, stalledMs: 0 });
    rig.server.faults.publish({ action: "hold" }, { topic: "v1/gateway/telemetry" });
    await rig.put([telemetry("A", TS + 1, 2)]);
    await rig.until("it stalls", () => rig.sender.progress.stalledMs > 2000);
    expect(rig.sender.progress).toMatchObject({ lastAckMs, waiting: 1, paused: false });
    rig.server.faults.clear();
    await rig.emptied();
    expect(rig.sender.progress.stalledMs).toBe(0);
    expect(rig.sender.progress.lastAckMs).toBeGreaterThan(lastAckMs ?? 0);
  });

  test("a device or data that the platform refuses is no stall, but what it does not answer is", async () => {
    await using rig = await UplinkRig.open({ speed: 20 });
    const { faults } = rig.server;
    faults.publish({ action: "refuse", code: 0x80 }, { contains: "Refused" });
    await rig.put([telemetry("Refused", TS, 1)]);
    await rig.until("the device is refused", () => rig.log.messages("warn").length > 0);
    expect(rig.sender.progress).toMatchObject({ waiting: 1, paused: true, stalledMs: 0 });
    faults.publish({ action: "refuse", code: 0x80 }, { topic: "v1/gateway/telemetry" });
    await rig.put([telemetry("A", TS, 1)]);
    await rig.until("data is refused", () => rig.sender.stats().refusals > 0);
    expect(rig.sender.progress).toMatchObject({ waiting: 2, paused: true, stalledMs: 0 });
    faults.publish({ action: "hold" }, { contains: "Silent" });
    await rig.put([telemetry("Silent", TS, 1)]);
    await rig.until("it stalls", () => rig.sender.progress.stalledMs > 0);
    expect(rig.sender.progress.paused).toBe(false);
  });

  test("a rate limit is a pause, not a stall", async () => {
    await using rig = await UplinkRig.open({ idle: true, speed: 1 });
    rig.server.setLimits({ transportGatewayTelemetryMsgRateLimit: "1:3600" });
    await rig.put([telemetry("A", TS, 1), telemetry("B", TS, 1)]);
    rig.start();
    await rig.until("one is through", () => rig.store.stats().records === 1);
    expect(rig.sender.progress).toMatchObject({ waiting: 1, paused: true, stalledMs: 0 });
  });
});
