import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RejectedError, TransientError } from "../../src/sdk/errors.ts";
import { ledgerImbalance } from "../../src/sdk/ledger.ts";
import {
  type Cursor,
  type EventStore,
  START,
  type StorageSettings,
  type StoredRecord,
} from "../../src/storage/event-store.ts";
import { openEventStore } from "../../src/storage/open.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { memoryLog } from "../support/memory-log.ts";
import { batchOf, failure, record, records, settings } from "../unit/storage/batches.ts";

const START_MS = 1_790_000_000_000;
const ALL = { records: 1_000_000, bytes: 1e9 };
const { signal } = new AbortController();

/** Appends records so that they are durable when it returns. */
async function put(
  store: EventStore,
  list: Parameters<typeof batchOf>[0],
  urgent = true,
): Promise<void> {
  const { bytes, count, values } = batchOf(list);
  await store.append(bytes, count, { urgent, values }, signal);
}

/** Everything the store would deliver; it must hold something. */
async function readAll(store: EventStore, after: Cursor = START): Promise<readonly StoredRecord[]> {
  return (await store.next(after, ALL, signal)).records;
}

const json = (list: readonly { readonly json: string }[]): string[] => list.map((one) => one.json);

describe.each(["sqlite", "memory"] as const)("event store (%s)", (kind) => {
  let clock: FakeClock;
  let dataDir: string;
  let stores: EventStore[];

  const open = async (changes: Partial<StorageSettings> = {}): Promise<EventStore> => {
    const store = await openEventStore(settings({ kind, commitIntervalMs: 0, ...changes }), {
      clock,
      log: memoryLog().log,
      dataDir,
    });
    stores.push(store);
    return store;
  };

  /** Releases at once: a batch takes the release with it. */
  const release = async (store: EventStore, list: readonly StoredRecord[]): Promise<void> => {
    const released = store.release(list.map(({ cursor }) => cursor));
    await clock.advance(250);
    await released;
  };

  beforeEach(() => {
    clock = new FakeClock(START_MS);
    dataDir = mkdtempSync(join(tmpdir(), "tbgw-store-"));
    stores = [];
  });

  afterEach(async () => {
    for (const store of stores) {
      await store[Symbol.asyncDispose]();
      expect(ledgerImbalance(store.stats().ledger).delivery).toBe(0);
    }
    expect(clock.waiting).toBe(0);
    rmSync(dataDir, { recursive: true, force: true });
  });

  test("next() gives records as they were appended, in order", async () => {
    const store = await open();
    const list = [
      record(1),
      { ...record(2, "Другой"), deviceType: "t\t\n" },
      { kind: "gateway-attributes", device: "", deviceType: "", json: '{"a":"ü"}', values: 1 },
      { ...record(3), kind: "attributes", values: 7 },
    ] satisfies Parameters<typeof batchOf>[0];
    await put(store, list.slice(0, 2));
    await put(store, list.slice(2));
    const got = await readAll(store);
    expect(got.map((one) => ({ ...one, cursor: undefined }))).toEqual(
      list.map((one) => ({ ...one, cursor: undefined })),
    );
    expect(got.every((one, index) => one.cursor > (got[index - 1]?.cursor ?? START))).toBe(true);
  });

  test("next() respects the limits and goes on after the last cursor", async () => {
    const store = await open();
    await put(store, records(0, 10));
    await put(store, records(10, 10));
    const seen: string[] = [];
    let after: Cursor = START;
    for (let round = 0; round < 3; round += 1) {
      const { records: got, last } = await store.next(after, { records: 7, bytes: 1e9 }, signal);
      expect(got).toHaveLength(round < 2 ? 7 : 6);
      expect(last).toBe(got.at(-1)?.cursor ?? START);
      seen.push(...json(got));
      after = last;
    }
    expect(seen).toEqual(json(records(0, 20)));
    const bytes = 3 * record(0).json.length;
    expect((await store.next(START, { records: 100, bytes }, signal)).records).toHaveLength(3);
    expect((await store.next(START, { records: 100, bytes: 1 }, signal)).records).toHaveLength(1);
  });

  test("next() waits for the first record, without a timer", async () => {
    const store = await open();
    const waiting = store.next(START, ALL, signal);
    await clock.advance(0);
    expect(clock.waiting).toBe(0);
    await put(store, records(5, 1));
    expect(json((await waiting).records)).toEqual(json(records(5, 1)));
  });

  test("next() ends with the reason of its signal", async () => {
    const store = await open();
    const controller = new AbortController();
    const waiting = failure(store.next(START, ALL, controller.signal));
    controller.abort(new Error("enough"));
    expect(await waiting).toEqual(new Error("enough"));
    expect(await failure(store.next(START, ALL, controller.signal))).toEqual(new Error("enough"));
  });

  test("release() in any order makes next() skip the records, and is counted", async () => {
    const store = await open();
    await put(store, records(0, 6));
    const got = await readAll(store);
    await release(
      store,
      [got[4], got[1]].filter((one) => one !== undefined),
    );
    expect(json(await readAll(store))).toEqual(json([0, 2, 3, 5].map((number) => record(number))));
    expect(store.stats()).toMatchObject({ records: 4, values: 4 });
    expect(store.stats().ledger).toMatchObject({ stored: 6, acknowledged: 2, queued: 4 });
  });

  test("release() of the same or an unknown cursor changes nothing", async () => {
    const store = await open();
    await put(store, records(0, 2));
    const got = await readAll(store);
    await release(store, got.slice(0, 1));
    await release(store, got.slice(0, 1));
    const { ledger } = store.stats();
    await store.release([START, (99n << 20n) as Cursor, ((1n << 20n) + 77n) as Cursor]);
    expect(store.stats().ledger).toEqual(ledger);
  });

  test("release() of everything empties the store", async () => {
    const store = await open();
    await put(store, records(0, 3));
    await release(store, await readAll(store));
    expect(store.stats()).toMatchObject({ records: 0, values: 0, oldestTs: undefined });
    const waiting = store.next(START, ALL, signal);
    await put(store, records(3, 1));
    expect(json((await waiting).records)).toEqual(json(records(3, 1)));
  });

  test("quarantine() takes a record out and counts its values", async () => {
    const store = await open();
    await put(store, [record(0), { ...record(1), values: 4 }, record(2)]);
    const got = await readAll(store);
    const done = store.quarantine(got[1]?.cursor ?? START, "too-big");
    await clock.advance(250);
    await done;
    expect(json(await readAll(store))).toEqual(json([record(0), record(2)]));
    expect(store.stats().ledger).toMatchObject({ stored: 6, quarantined: 4, queued: 2 });
  });

  test("append() without records only counts", async () => {
    const store = await open();
    const collected = { received: 3, filtered: { equal: 2 }, rejected: { "not-json": 1 } };
    const done = store.append(new Uint8Array(), 0, { urgent: false, values: 0, collected }, signal);
    await clock.advance(250);
    await done;
    expect(store.stats().ledger).toMatchObject({ ...collected, stored: 0 });
    await store.append(new Uint8Array(), 0, { urgent: true, values: 0 }, signal);
  });

  test("append() counts what the collection side says with the batch", async () => {
    const store = await open();
    const { bytes, count, values } = batchOf(records(0, 3));
    const collected = { received: 5, filtered: { equal: 2 }, rejected: {} };
    await store.append(bytes, count, { urgent: true, values, collected }, signal);
    const { ledger } = store.stats();
    expect(ledger).toMatchObject({ received: 5, stored: 3, filtered: { equal: 2 }, queued: 3 });
    expect(ledgerImbalance(ledger)).toEqual({ intake: 0, delivery: 0 });
  });

  test.each([
    ["a wrong count", 4, 3],
    ["a wrong number of values", 3, 9],
  ])("append() refuses a batch with %s, without harm to others", async (_what, count, values) => {
    const store = await open();
    const { bytes } = batchOf(records(0, 3));
    const bad = failure(store.append(bytes, count, { urgent: true, values }, signal));
    await put(store, records(7, 1));
    expect(await bad).toMatchObject({ name: "RejectedError", reason: "bad-batch" });
    expect(json(await readAll(store))).toEqual(json(records(7, 1)));
    expect(store.stats().ledger.rejected).toEqual({ "bad-batch": values });
    expect(ledgerImbalance(store.stats().ledger)).toEqual({ intake: 0, delivery: 0 });
  });

  test("append() refuses text that is not UTF-8", async () => {
    const store = await open();
    const { bytes, count, values } = batchOf(records(0, 1));
    bytes[bytes.length - 3] = 0xff;
    const bad = failure(store.append(bytes, count, { urgent: true, values }, signal));
    expect(await bad).toBeInstanceOf(RejectedError);
  });

  test("append() takes a batch far bigger than a block", async () => {
    const store = await open();
    const list = Array.from({ length: 3000 }, (_, index) => ({
      ...record(index, `Device ${index % 7}`),
      json: `{"ts":1,"values":{"text":"${String(index).repeat(60)}"}}`,
    }));
    await put(store, list);
    const got = await readAll(store);
    expect(got.map(({ device, json: text }) => [device, text])).toEqual(
      list.map(({ device, json: text }) => [device, text]),
    );
    await release(store, got);
    expect(store.stats().records).toBe(0);
  });

  test("append() with an aborted signal stores nothing", async () => {
    const store = await open();
    const { bytes, count, values } = batchOf(records(0, 1));
    const aborted = AbortSignal.abort(new Error("enough"));
    const done = failure(store.append(bytes, count, { urgent: true, values }, aborted));
    expect(await done).toEqual(new Error("enough"));
    expect(store.stats().ledger.received).toBe(0);
  });

  test("drop-newest refuses as store-full and counts it", async () => {
    const store = await open({ whenFull: "drop-newest", maxRecords: 3, maxBytes: 1 });
    // On disk the quota is never below 64 KiB, in memory the number of records decides.
    const filling = Array.from({ length: 3 }, (_, index) => ({
      ...record(index),
      json: kind === "memory" ? "1" : noise(30_000),
    }));
    const limits = kind === "memory" ? { maxBytes: 1000 } : {};
    const full =
      kind === "memory" ? await open({ whenFull: "drop-newest", maxRecords: 3, ...limits }) : store;
    for (const one of filling) {
      await put(full, [one]);
    }
    expect(await failure(put(full, [record(9)]))).toMatchObject({
      name: "RejectedError",
      reason: "store-full",
    });
    await clock.advance(250);
    const { ledger } = full.stats();
    expect(ledger).toMatchObject({ received: 4, stored: 3, rejected: { "store-full": 1 } });
    expect(json(await readAll(full))).toEqual(json(filling));
  });

  test("drop-oldest makes room and counts it", async () => {
    const store = await open({ maxRecords: 10, maxBytes: 100_000 });
    for (let number = 0; number < 30; number += 1) {
      await put(store, [{ ...record(number), json: noise(9000) }]);
    }
    const { ledger, records: held, bytes, maxBytes } = store.stats();
    expect(bytes).toBeLessThanOrEqual(maxBytes);
    expect(held).toBeGreaterThan(3);
    expect(ledger.dropped).toEqual({ quota: 30 - held });
    expect(await readAll(store)).toHaveLength(held);
  });

  test("drop-oldest keeps the newest", async () => {
    const store = await open({ maxRecords: 4, maxBytes: 100_000 });
    for (let number = 0; number < 30; number += 1) {
      await put(store, [{ ...record(number), json: `"${number}${noise(20_000)}"` }]);
    }
    expect((await readAll(store)).at(-1)?.json).toStartWith('"29');
  });

  test("a batch bigger than the store is refused under every policy", async () => {
    for (const whenFull of ["drop-oldest", "drop-newest", "wait"] as const) {
      const store = await open({ whenFull, maxBytes: 100_000 });
      const refused = failure(put(store, [{ ...record(0), json: noise(200_000) }]));
      expect(await refused).toMatchObject({ reason: "store-full" });
      await store[Symbol.asyncDispose]();
    }
  });

  test("wait keeps the source waiting until there is room, in order", async () => {
    const store = await open({ whenFull: "wait", maxRecords: 3, maxBytes: 100_000 });
    const list = Array.from({ length: 9 }, (_, index) => ({
      ...record(index),
      json: `"${index}${noise(30_000)}"`,
    }));
    const order: number[] = [];
    const all = list.map(async (one, index) => {
      await put(store, [one]);
      order.push(index);
    });
    await clock.advance(0);
    expect(order.length).toBeGreaterThan(1);
    expect(order.length).toBeLessThan(9);
    const seen: string[] = [];
    let after: Cursor = START;
    while (seen.length < list.length) {
      const { records: got, last } = await store.next(after, ALL, signal);
      after = last;
      seen.push(...json(got));
      await release(store, got);
      await clock.advance(0);
    }
    await Promise.all(all);
    expect(seen).toEqual(json(list));
    expect(order).toEqual([...order].sort((left, right) => left - right));
    expect(store.stats().ledger.dropped).toEqual({});
  });

  test("wait ends with the signal, and the batch is not stored", async () => {
    const store = await open({ whenFull: "wait", maxRecords: 1, maxBytes: 70_000 });
    await put(store, [{ ...record(0), json: noise(60_000) }]);
    if (kind === "sqlite") {
      await put(store, [{ ...record(0), json: noise(60_000) }]);
    }
    const controller = new AbortController();
    const { bytes, count, values } = batchOf([record(1)]);
    const waiting = failure(
      store.append(bytes, count, { urgent: true, values }, controller.signal),
    );
    await clock.advance(1000);
    controller.abort(new Error("enough"));
    expect(await waiting).toEqual(new Error("enough"));
    const held = await readAll(store);
    await release(store, held);
    await clock.advance(1000);
    expect(store.stats().records).toBe(0);
  });

  test("records grow old and are dropped as ttl, without anybody asking", async () => {
    const store = await open({ ttlMs: 60_000 });
    await put(store, records(0, 2));
    await clock.advance(30_000);
    await put(store, records(2, 3));
    await clock.advance(30_001);
    expect(store.stats().ledger).toMatchObject({ dropped: { ttl: 2 }, queued: 3 });
    expect(json(await readAll(store))).toEqual(json(records(2, 3)));
    await clock.advance(30_001);
    expect(store.stats()).toMatchObject({ records: 0, oldestTs: undefined });
    expect(clock.waiting).toBe(0);
  });

  test("stats() says since when the oldest waits", async () => {
    const store = await open();
    await put(store, records(0, 1));
    await clock.advance(5000);
    await put(store, records(1, 1));
    expect(store.stats().oldestTs).toBe(START_MS);
    expect(store.stats().durable).toBe(kind === "sqlite");
    await release(store, (await readAll(store)).slice(0, 1));
    expect(store.stats().oldestTs).toBe(START_MS + 5000);
  });

  test("dispose ends every wait, may be called twice, and later calls are refused", async () => {
    const store = await open();
    const waiting = failure(store.next(START, ALL, signal));
    await store[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
    expect(await waiting).toBeInstanceOf(TransientError);
    const late = [
      put(store, records(0, 1)),
      store.next(START, ALL, signal),
      store.release([START]),
    ];
    for (const call of late) {
      expect(await failure(call)).toBeInstanceOf(TransientError);
    }
  });
});

/** Text that does not compress, as a JSON-safe string. */
function noise(length: number): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(Math.min(65_536, length))))
    .toString("base64url")
    .slice(0, length)
    .padEnd(length, crypto.randomUUID());
}
