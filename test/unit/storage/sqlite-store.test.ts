import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database } from "../../../src/platform/sqlite.ts";
import { readBatch } from "../../../src/sdk/batch.ts";
import { TransientError } from "../../../src/sdk/errors.ts";
import { START } from "../../../src/storage/event-store.ts";
import { SqliteStore } from "../../../src/storage/sqlite-store.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { type MemoryLog, memoryLog } from "../../support/memory-log.ts";
import { batchOf, failure, record, records, settings } from "./batches.ts";

const { signal } = new AbortController();
const ALL = { records: 1_000_000, bytes: 1e9 };

describe("SqliteStore", () => {
  let clock: FakeClock;
  let log: MemoryLog;
  let folder: string;
  let path: string;
  let stores: SqliteStore[];

  const open = (changes: Parameters<typeof settings>[0] = {}): SqliteStore => {
    const store = SqliteStore.open(
      {
        ...settings(),
        ...changes,
        maxBytes: changes.maxBytes ?? 2 ** 26,
      },
      { clock, log: log.log, path },
    );
    stores.push(store);
    return store;
  };

  const put = (
    store: SqliteStore,
    list: Parameters<typeof batchOf>[0],
    urgent = true,
  ): Promise<void> => {
    const { bytes, count, values } = batchOf(list);
    return store.append(bytes, count, { urgent, values }, signal);
  };

  /** A number from the file itself, as another program would see it. */
  const look = (sql: string): number => {
    using database = new Database(path, { readonly: true });
    const value = database.query(`SELECT (${sql}) AS value`)[0]?.["value"];
    return typeof value === "number" ? value : Number.NaN;
  };

  beforeEach(() => {
    clock = new FakeClock(1_790_000_000_000);
    log = memoryLog();
    folder = mkdtempSync(join(tmpdir(), "tbgw-store-"));
    path = join(folder, "events.db");
    stores = [];
  });

  afterEach(async () => {
    for (const store of stores) {
      await store[Symbol.asyncDispose]();
    }
    rmSync(folder, { recursive: true, force: true });
  });

  test("append() of one turn shares one block and one commit", async () => {
    const store = open();
    await Promise.all(Array.from({ length: 50 }, (_, number) => put(store, records(number, 1))));
    expect(look("SELECT count(*) FROM blocks")).toBe(1);
    expect(look("SELECT records FROM blocks")).toBe(50);
    const { records: got } = await store.next(START, ALL, signal);
    expect(got.map(({ json }) => json)).toEqual(records(0, 50).map(({ json }) => json));
  });

  test("append() is on disk when it resolves, counters included", async () => {
    const store = open();
    await put(store, records(0, 3));
    expect(look("SELECT value FROM counters WHERE name = 'stored'")).toBe(3);
    expect(look("SELECT value FROM counters WHERE name = 'held/values'")).toBe(3);
    expect(look("SELECT sum(value_count) FROM blocks")).toBe(3);
  });

  test("append() that is not urgent waits for the interval and then shares a block", async () => {
    const store = open();
    await put(store, records(0, 1), false);
    let stored = 0;
    const waiting = [1, 2, 3].map(async (number) => {
      await put(store, records(number, 1), false);
      stored += 1;
    });
    await clock.advance(249);
    expect(stored).toBe(0);
    await clock.advance(1);
    expect(stored).toBe(3);
    await Promise.all(waiting);
    expect(look("SELECT count(*) FROM blocks")).toBe(2);
    expect(clock.waiting).toBe(0);
  });

  test("append() whose signal aborts before the commit is not stored", async () => {
    const store = open();
    await put(store, records(0, 1), false);
    const controller = new AbortController();
    const { bytes, count, values } = batchOf(records(1, 1));
    const gone = failure(store.append(bytes, count, { urgent: false, values }, controller.signal));
    const kept = put(store, records(2, 1), false);
    controller.abort(new Error("enough"));
    expect(await gone).toEqual(new Error("enough"));
    await clock.advance(250);
    await kept;
    expect(store.stats().ledger.stored).toBe(2);
  });

  test("release() is on disk when it resolves: a bitmap for a part, nothing for the whole block", async () => {
    const store = open();
    await put(store, records(0, 10));
    const { records: got } = await store.next(START, ALL, signal);
    const cursors = got.map(({ cursor }) => cursor);
    const part = store.release(cursors.slice(0, 4));
    await clock.advance(250);
    await part;
    expect(look("SELECT records FROM partial")).toBe(6);
    const rest = store.release(cursors.slice(4));
    await clock.advance(250);
    await rest;
    expect(look("SELECT count(*) FROM blocks")).toBe(0);
    expect(look("SELECT count(*) FROM partial")).toBe(0);
    expect(look("SELECT value FROM counters WHERE name = 'acknowledged'")).toBe(10);
  });

  test("release() goes with an earlier commit", async () => {
    const store = open();
    await put(store, records(0, 2));
    const { records: got } = await store.next(START, ALL, signal);
    const released = store.release(got.slice(0, 1).map(({ cursor }) => cursor));
    await put(store, records(2, 1));
    await released;
    expect(store.stats().ledger).toMatchObject({ acknowledged: 1, queued: 2 });
    expect(clock.waiting).toBe(0);
  });

  test("release() of a record whose release is not committed yet waits for it", async () => {
    const store = open();
    await put(store, records(0, 2));
    const { records: got } = await store.next(START, ALL, signal);
    const cursors = got.slice(0, 1).map(({ cursor }) => cursor);
    let done = 0;
    const both = [store.release(cursors), store.release(cursors)].map(async (release) => {
      await release;
      done += 1;
    });
    await clock.advance(249);
    expect(done).toBe(0);
    await clock.advance(1);
    await Promise.all(both);
    expect(store.stats().ledger.acknowledged).toBe(1);
  });

  test("everything is there after a restart, and only what was not released", async () => {
    const first = open();
    await put(first, records(0, 10));
    await put(first, records(10, 10));
    const { records: got } = await first.next(START, ALL, signal);
    const released = first.release(
      got.filter((_, index) => index < 10 || index % 2 === 0).map(({ cursor }) => cursor),
    );
    await clock.advance(250);
    await released;
    const before = first.stats();
    await first[Symbol.asyncDispose]();
    const second = open();
    expect(second.stats()).toEqual(before);
    const { records: rest } = await second.next(START, ALL, signal);
    expect(rest).toEqual(got.filter((_, index) => index >= 10 && index % 2 === 1));
    expect(log.messages("error")).toEqual([]);
  });

  test("dispose writes what waits, and leaves one file without WAL", async () => {
    const store = open();
    await put(store, records(0, 1), false);
    const late = put(store, records(1, 1), false);
    await store[Symbol.asyncDispose]();
    await late;
    expect(statSync(path).size).toBeGreaterThan(0);
    expect(() => statSync(`${path}-wal`)).toThrow();
    expect(open().stats().records).toBe(2);
  });

  test("a cursor never comes twice, not even after a restart of an empty store", async () => {
    const first = open();
    await put(first, records(0, 1));
    const { records: got, last } = await first.next(START, ALL, signal);
    const released = first.release(got.map(({ cursor }) => cursor));
    await first[Symbol.asyncDispose]();
    await released;
    const second = open();
    await put(second, records(1, 1));
    const { records: next } = await second.next(last, ALL, signal);
    expect(next).toHaveLength(1);
    expect(next[0]?.cursor).toBeGreaterThan(last);
  });

  test("quarantine() keeps the record for a person to read", async () => {
    const store = open();
    await put(store, records(0, 3));
    const { records: got } = await store.next(START, ALL, signal);
    const done = store.quarantine(got[1]?.cursor ?? START, "payload-format");
    await clock.advance(250);
    await done;
    using database = new Database(path, { readonly: true });
    const [row] = database.query("SELECT time, reason, value_count, record FROM quarantine");
    expect(row).toMatchObject({
      time: clock.now(),
      reason: "payload-format",
      value_count: 1,
    });
    expect(readBatch(new TextEncoder().encode(String(row?.["record"])))).toEqual([record(1)]);
  });

  test("quarantine() stays within an eighth of the quota", async () => {
    const store = open({ maxBytes: 160_000, whenFull: "wait" });
    for (let number = 0; number < 12; number += 1) {
      await put(store, [{ ...record(number), json: `"${"x".repeat(5000)}"` }]);
      const { records: got } = await store.next(START, ALL, signal);
      const done = store.quarantine(got[0]?.cursor ?? START, "test");
      await clock.advance(250);
      await done;
    }
    expect(look("SELECT count(*) FROM quarantine")).toBe(3);
    expect(look("SELECT max(id) FROM quarantine")).toBe(12);
    expect(look("SELECT value FROM counters WHERE name = 'quarantine/forgotten'")).toBe(9);
    expect(store.stats().ledger.quarantined).toBe(12);
  });

  test("a disk that refuses is a TransientError; releases stay, and all goes on when it is back", async () => {
    const store = open();
    await put(store, records(0, 2));
    const { records: got } = await store.next(START, ALL, signal);
    const released = store.release(got.slice(0, 1).map(({ cursor }) => cursor));
    using blocker = new Database(path);
    blocker.exec("BEGIN IMMEDIATE");
    const refused = await failure(put(store, records(2, 1)));
    expect(refused).toBeInstanceOf(TransientError);
    expect(store.stats().ledger).toMatchObject({ stored: 2, acknowledged: 0 });
    blocker.exec("ROLLBACK");
    await clock.advance(1000);
    await released;
    expect(store.stats().ledger).toMatchObject({ stored: 2, acknowledged: 1, queued: 1 });
    await put(store, records(2, 1));
    expect(log.messages("warn")).toEqual(["Cannot write to the event store; trying again"]);
    expect(log.messages("info")).toEqual(["The event store can be written again"]);
  });

  test("a drained backlog gives its space back", async () => {
    const store = open({ maxBytes: 2 ** 28 });
    const noise = Buffer.from(crypto.getRandomValues(new Uint8Array(49_000))).toString("base64");
    for (let number = 0; number < 400; number += 1) {
      await put(store, [{ ...record(number), json: `"${number}${noise}${crypto.randomUUID()}"` }]);
    }
    const { records: got } = await store.next(START, ALL, signal);
    const released = store.release(got.map(({ cursor }) => cursor));
    await clock.advance(250);
    await released;
    expect(statSync(path).size).toBeLessThan(100_000);
    expect(statSync(`${path}-wal`).size).toBeLessThan(100_000);
    await put(store, records(0, 1));
    expect((await store.next(START, ALL, signal)).records).toHaveLength(1);
  });

  test("a smaller quota drops the oldest at the next start", async () => {
    const first = open();
    for (let number = 0; number < 30; number += 1) {
      const noise = Buffer.from(crypto.getRandomValues(new Uint8Array(9000))).toString("base64");
      await put(first, [{ ...record(number), json: `"${noise}"` }]);
    }
    await first[Symbol.asyncDispose]();
    const second = open({ maxBytes: 100_000 });
    await clock.advance(0);
    const { bytes, records: held, ledger } = second.stats();
    expect(bytes).toBeLessThanOrEqual(100_000);
    expect(held).toBeGreaterThan(3);
    expect(ledger.dropped).toEqual({ quota: 30 - held });
  });

  test("next() reads a long backlog whatever is still in memory", async () => {
    const store = open();
    for (let number = 0; number < 60; number += 1) {
      await put(store, records(number * 1000, 1000));
    }
    let after = START;
    let seen = 0;
    while (seen < 60_000) {
      const { records: got, last } = await store.next(after, { records: 777, bytes: 1e9 }, signal);
      expect(got[0]?.json).toBe(record(seen).json);
      seen += got.length;
      after = last;
    }
    expect(seen).toBe(60_000);
  });
});
