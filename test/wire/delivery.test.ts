// The two threads together: records go in at the client, and come out at the platform.
import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeliveryClient } from "../../src/delivery/client.ts";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { startThread } from "../../src/platform/thread.ts";
import type { EncodedRecord } from "../../src/sdk/batch.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { ledgerImbalance } from "../../src/sdk/ledger.ts";
import { isUnsent } from "../../src/sdk/unsent.ts";
import type { StorageSettings } from "../../src/storage/event-store.ts";
import type { SessionSettings } from "../../src/thingsboard/settings.ts";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";

const STORAGE: StorageSettings = {
  kind: "sqlite",
  maxRecords: 1000,
  maxBytes: undefined,
  ttlMs: 0,
  whenFull: "drop-oldest",
  durability: "durable",
  commitIntervalMs: 20,
  drain: "fifo",
};
const { signal } = new AbortController();
const PUMP = { deviceName: "Pump 1", deviceType: "pump", platformName: "Pump 1" };

function record(device: string, value: number): EncodedRecord {
  const json = `{"ts":${1000 + value},"values":{"n":${value}}}`;
  return { kind: "telemetry", device, deviceType: "sensor", json, values: 1 };
}

function sessionFor(port: number): SessionSettings {
  return {
    hosts: [{ host: "127.0.0.1", port }],
    keepAliveSeconds: 60,
    credentials: { kind: "accessToken", accessToken: "TOKEN" },
    tls: undefined,
    maxPayloadBytes: undefined,
  };
}

async function temporaryDir(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "tbgw-delivery-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** The numbers of device A in the order they arrived. */
function texts(platform: ThingsBoardDouble): string[] {
  return platform.series("A", "n").map(({ text }) => text);
}

function open(dataDir: string, session: SessionSettings | undefined): Promise<DeliveryClient> {
  return DeliveryClient.open(
    { dataDir, storage: STORAGE, session, logLevel: "none" },
    { clock: systemClock, sink: () => undefined },
  );
}

describe("DeliveryClient", () => {
  test("what append() resolved for is there after a restart, and reaches the platform once it is reachable", async () => {
    await using dir = await temporaryDir();
    const offline = await open(dir.path, undefined);
    await offline.append([record("A", 1), record("B", 2)], { urgent: true }, signal);
    await offline.append([record("A", 3)], { urgent: false }, signal);
    offline.countRejected("not-json", 2);
    const before = await offline.report();
    expect(before.store.ledger).toMatchObject({
      received: 5,
      stored: 3,
      queued: 3,
      rejected: { "not-json": 2 },
    });
    await offline.stop(0);

    await using platform = await ThingsBoardDouble.listen({ clock: systemClock });
    platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "TOKEN" });
    await using online = await open(dir.path, sessionFor(platform.port));
    await until(
      "the backlog has drained",
      async () => (await online.report()).store.ledger.queued === 0,
    );
    expect(platform.series("A", "n").map(({ text }) => text)).toEqual(["1", "3"]);
    expect(platform.series("B", "n").map(({ text }) => text)).toEqual(["2"]);
    const { ledger } = (await online.report()).store;
    expect(ledger).toMatchObject({ received: 5, stored: 3, acknowledged: 3, queued: 0 });
    expect(ledgerImbalance(ledger)).toEqual({ intake: 0, delivery: 0 });
  });

  test("publish() resolves with the PUBACK and fails at once while the platform is away", async () => {
    await using dir = await temporaryDir();
    await using platform = await ThingsBoardDouble.listen({ clock: systemClock });
    platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "TOKEN" });
    await using client = await open(dir.path, sessionFor(platform.port));
    await until("connected", async () => (await client.report()).link.state === "connected");
    await client.publish("v1/gateway/claim", '{"A":{"secretKey":"s","durationMs":1000}}');
    await platform.down();
    await until("disconnected", async () => (await client.report()).link.state !== "connected");
    const away = await rejection(client.publish("v1/gateway/claim", "{}"));
    expect(away.message).toContain("not connected");
    expect(isUnsent(away)).toBe(true);
  });

  test("publish() tells what may have left from what has not, and sends nothing too large", async () => {
    await using dir = await temporaryDir();
    await using platform = await ThingsBoardDouble.listen({ clock: systemClock });
    platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "TOKEN" });
    await using client = await open(dir.path, sessionFor(platform.port));
    await until("connected", async () => (await client.report()).link.state === "connected");
    const data = "x".repeat(70_000);
    const large = await rejection(
      client.publish("v1/gateway/rpc", `{"device":"A","id":1,"data":"${data}"}`),
    );
    expect(large).toMatchObject({ name: "RejectedError", reason: "too-large" });
    expect(platform.sessions().length).toBe(1);
    platform.faults.publish({ action: "cut" }, { topic: "v1/gateway/claim" });
    const lost = await rejection(client.publish("v1/gateway/claim", '{"A":{}}'));
    expect(lost.name).toBe("TransientError");
    expect(isUnsent(lost)).toBe(false);
  });

  test("devices are announced with their type and taken back", async () => {
    await using dir = await temporaryDir();
    await using platform = await ThingsBoardDouble.listen({ clock: systemClock });
    platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "TOKEN" });
    const announced: string[] = [];
    await using client = await DeliveryClient.open(
      { dataDir: dir.path, storage: STORAGE, session: sessionFor(platform.port), logLevel: "none" },
      {
        clock: systemClock,
        sink: () => undefined,
        onAnnounced: (deviceName) => announced.push(deviceName),
      },
    );
    client.device({ ...PUMP, connected: true });
    await until("told that it is announced", () => announced.includes("Pump 1"));
    await platform.until(() => platform.devices().includes("Pump 1"));
    client.device({ ...PUMP, connected: false });
    await platform.until(() =>
      platform.sessions().every(({ children }) => !children.includes("Pump 1")),
    );
  });

  test("a thread that ends is replaced: nothing in the port is lost, devices are known again", async () => {
    await using dir = await temporaryDir();
    await using platform = await ThingsBoardDouble.listen({ clock: systemClock });
    platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "TOKEN" });
    const threads: Worker[] = [];
    const failures: Error[] = [];
    const client = await DeliveryClient.open(
      { dataDir: dir.path, storage: STORAGE, session: sessionFor(platform.port), logLevel: "none" },
      {
        clock: systemClock,
        sink: () => undefined,
        onFailure: (error) => failures.push(error),
        startThread: (path) => {
          const thread = startThread(path);
          threads.push(thread);
          return thread;
        },
      },
    );
    client.device({ ...PUMP, deviceName: "Quiet", platformName: "Quiet", connected: true });
    await client.append([record("A", 1)], { urgent: true }, signal);
    const waiting = [
      client.append([record("A", 2)], { urgent: true }, signal),
      client.append([record("A", 3)], { urgent: false }, signal),
    ];
    threads[0]?.terminate();
    await Promise.all([...waiting, client.append([record("A", 4)], { urgent: true }, signal)]);
    expect(client.restarts).toBe(1);
    await platform.until(() => new Set(texts(platform)).size === 4, 20_000);
    expect([...new Set(texts(platform))]).toEqual(["1", "2", "3", "4"]);
    await platform.until(
      () => platform.sessions().some(({ children }) => children.includes("Quiet")),
      20_000,
    );

    threads[1]?.terminate();
    await until("the client gives up", () => failures.length === 1);
    expect(
      (await rejection(client.append([record("A", 5)], { urgent: true }, signal))).message,
    ).toContain("not running");
    await client.stop(0);
  });

  test("a store that cannot be opened fails the start with the reason", async () => {
    expect((await rejection(open("/proc/tbgw-cannot-be-here", undefined))).message).toContain(
      "/proc/tbgw-cannot-be-here",
    );
  });

  test("after stop() nothing is taken any more", async () => {
    await using dir = await temporaryDir();
    const client = await open(dir.path, undefined);
    await client.stop(0);
    expect(
      (await rejection(client.append([record("A", 1)], { urgent: true }, signal))).message,
    ).toContain("stopped");
    expect((await rejection(client.report())).message).toContain("stopping");
  });
});
