// Another connection, another store, while records keep coming: nothing is lost and the order stays.
import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeliveryClient } from "../../src/delivery/client.ts";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import type { EncodedRecord } from "../../src/sdk/batch.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { ledgerImbalance } from "../../src/sdk/ledger.ts";
import type { StorageSettings } from "../../src/storage/event-store.ts";
import type { SessionSettings } from "../../src/thingsboard/settings.ts";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";

const DISK: StorageSettings = {
  kind: "sqlite",
  maxRecords: 100_000,
  maxBytes: undefined,
  ttlMs: 0,
  whenFull: "drop-oldest",
  durability: "durable",
  commitIntervalMs: 20,
  drain: "fifo",
};
const MEMORY: StorageSettings = { ...DISK, kind: "memory" };
const PROOF = { topic: "v1/devices/me/attributes", payload: '{"proof":1}' };
const { signal } = new AbortController();

function sessionFor(port: number, accessToken = "TOKEN"): SessionSettings {
  return {
    hosts: [{ host: "127.0.0.1", port }],
    keepAliveSeconds: 60,
    credentials: { kind: "accessToken", accessToken },
    tls: undefined,
    maxPayloadBytes: undefined,
  };
}

async function platform(): Promise<ThingsBoardDouble> {
  const server = await ThingsBoardDouble.listen({ clock: systemClock });
  server.createGateway("gateway", "TOKEN");
  return server;
}

/** A delivery client on a directory of its own, and a source that counts up. */
async function setUp(storage: StorageSettings, session: SessionSettings | undefined) {
  const dataDir = await mkdtemp(join(tmpdir(), "tbgw-changes-"));
  const client = await DeliveryClient.open(
    { dataDir, storage, session, logLevel: "none" },
    { clock: systemClock, sink: () => undefined },
  );
  let sent = 0;
  const end = new AbortController();
  const source = async (): Promise<void> => {
    while (!end.signal.aborted) {
      sent += 1;
      const json = `{"ts":${1_700_000_000_000 + sent},"values":{"n":${sent}}}`;
      const record: EncodedRecord = {
        kind: "telemetry",
        device: "A",
        deviceType: "sensor",
        json,
        values: 1,
      };
      await client.append([record], { urgent: true }, signal);
    }
  };
  const producing = source();
  return {
    client,
    sent: () => sent,
    finish: async (): Promise<number> => {
      end.abort();
      await producing;
      return sent;
    },
    [Symbol.asyncDispose]: async (): Promise<void> => {
      end.abort();
      await producing;
      await client.stop(0);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** The numbers in the order in which each arrived first. */
function arrivals(...servers: readonly ThingsBoardDouble[]): number[] {
  const all = servers.flatMap((server) => server.series("A", "n").map(({ text }) => Number(text)));
  return [...new Set(all)];
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

async function drained(client: DeliveryClient): Promise<void> {
  await until("all is sent", async () => (await client.report()).store.ledger.queued === 0);
}

describe("DeliveryClient.swapSession()", () => {
  test("moves to another platform under load, without loss and in order", async () => {
    await using old = await platform();
    await using next = await platform();
    await using rig = await setUp(DISK, sessionFor(old.port));
    await until("the old one gets data", () => old.valueCount("A", "n") > 20);
    await rig.client.swapSession({
      session: sessionFor(next.port),
      mode: "parallel",
      proof: PROOF,
      deadlineMs: 30_000,
    });
    await until("the other one gets data", () => next.valueCount("A", "n") > 20);
    const count = await rig.finish();
    await drained(rig.client);
    expect(arrivals(old, next)).toEqual(upTo(count));
    expect(next.getClient("gateway")["proof"]?.value).toBe(1);
    expect((await rig.client.report()).link.host).toBe(`127.0.0.1:${next.port}`);
  });

  test("stays where it is when the credentials are refused, and says so at once", async () => {
    await using old = await platform();
    await using rig = await setUp(DISK, sessionFor(old.port));
    await until("the old one gets data", () => old.valueCount("A", "n") > 20);
    const startMs = systemClock.monotonicMs();
    const refused = await rejection(
      rig.client.swapSession({
        session: sessionFor(old.port, "WRONG"),
        mode: "parallel",
        proof: PROOF,
        deadlineMs: 30_000,
      }),
    );
    expect(String(refused)).toContain("refuses the connection");
    expect(systemClock.monotonicMs() - startMs).toBeLessThan(10_000);
    const count = await rig.finish();
    await drained(rig.client);
    expect(arrivals(old)).toEqual(upTo(count));
  });

  test("stays where it is when nobody answers, and data flows meanwhile", async () => {
    await using old = await platform();
    // Takes connections and never says anything.
    const mute = createServer(() => undefined).listen(0, "127.0.0.1");
    const address = mute.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await using rig = await setUp(DISK, sessionFor(old.port));
    await until("the old one gets data", () => old.valueCount("A", "n") > 20);
    const before = old.valueCount("A", "n");
    const swapping = rejection(
      rig.client.swapSession({
        session: sessionFor(port),
        mode: "parallel",
        proof: PROOF,
        deadlineMs: 1000,
      }),
    );
    await until("data flows during the trial", () => old.valueCount("A", "n") > before + 20);
    expect(String(await swapping)).toContain("within 1 s");
    const count = await rig.finish();
    await drained(rig.client);
    expect(arrivals(old)).toEqual(upTo(count));
    mute.close();
  });

  test("replaces the session of the same device, and takes the old settings again when that fails", async () => {
    await using server = await platform();
    await using rig = await setUp(DISK, sessionFor(server.port));
    await until("data flows", () => server.valueCount("A", "n") > 20);
    const session = { ...sessionFor(server.port), keepAliveSeconds: 30 };
    const swap = { session, mode: "replace", proof: PROOF } as const;
    await rig.client.swapSession({ ...swap, deadlineMs: 30_000 });
    server.faults.refuseConnect(0x87, 1);
    expect(
      String(await rejection(rig.client.swapSession({ ...swap, deadlineMs: 20_000 }))),
    ).toContain("refuses");
    const before = server.valueCount("A", "n");
    await until("data flows again", () => server.valueCount("A", "n") > before + 20);
    const count = await rig.finish();
    await drained(rig.client);
    expect(arrivals(server)).toEqual(upTo(count));
  });
});

describe("DeliveryClient.changeStorage()", () => {
  test("moves what waits from memory to disk and back, and the ledger stays balanced", async () => {
    await using rig = await setUp(MEMORY, undefined);
    for (const storage of [DISK, MEMORY, { ...DISK, maxBytes: 50_000_000, ttlMs: 1e9 }]) {
      const before = rig.sent();
      await until("records wait", () => rig.sent() > before + 30);
      await rig.client.changeStorage(storage);
    }
    const count = await rig.finish();
    const { store } = await rig.client.report();
    expect(store.durable).toBe(true);
    expect(store.maxBytes).toBe(50_000_000);
    expect(store.ledger).toMatchObject({
      received: count,
      stored: count,
      queued: count,
      dropped: {},
    });
    expect(ledgerImbalance(store.ledger)).toEqual({ intake: 0, delivery: 0 });
  });

  test("changes the quota under load, without loss and in order", async () => {
    await using server = await platform();
    await using rig = await setUp(DISK, sessionFor(server.port));
    await until("data flows", () => server.valueCount("A", "n") > 20);
    await rig.client.changeStorage({ ...DISK, maxBytes: 10_000_000, whenFull: "wait" });
    await rig.client.changeStorage(MEMORY);
    const before = server.valueCount("A", "n");
    await until("data flows again", () => server.valueCount("A", "n") > before + 20);
    const count = await rig.finish();
    await drained(rig.client);
    expect(arrivals(server)).toEqual(upTo(count));
  });

  test("keeps the store as it is when the records do not fit, and loses none", async () => {
    await using rig = await setUp(MEMORY, undefined);
    await until("records wait", () => rig.sent() > 100);
    const small: StorageSettings = { ...MEMORY, maxRecords: 10, whenFull: "drop-newest" };
    expect(String(await rejection(rig.client.changeStorage(small)))).toContain("Cannot store");
    const count = await rig.finish();
    const { ledger } = (await rig.client.report()).store;
    expect(ledger).toMatchObject({ stored: count, queued: count, dropped: {} });
  });
});
