import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database } from "../../../src/platform/sqlite.ts";
import { ledgerImbalance } from "../../../src/sdk/ledger.ts";
import { type EventStore, START, type StoredRecord } from "../../../src/storage/event-store.ts";
import { openEventStore } from "../../../src/storage/open.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { type MemoryLog, memoryLog } from "../../support/memory-log.ts";
import { batchOf, record, records, settings } from "./batches.ts";

const { signal } = new AbortController();
const ALL = { records: 1_000_000, bytes: 1e9 };
const PAGE_BYTES = 1024;

describe("recovery", () => {
  let clock: FakeClock;
  let log: MemoryLog;
  let dataDir: string;
  let path: string;

  const open = (): Promise<EventStore> =>
    openEventStore(settings(), { clock, log: log.log, dataDir });

  /** A store of `blocks` blocks of ten records each, closed. */
  const fill = async (blocks: number, makeJson?: () => string): Promise<void> => {
    await using store = await open();
    for (let block = 0; block < blocks; block += 1) {
      const list = records(block * 10, 10).map((one) =>
        makeJson === undefined ? one : { ...one, json: makeJson() },
      );
      const { bytes, count, values } = batchOf(list);
      await store.append(bytes, count, { urgent: true, values }, signal);
    }
  };

  /** Changes the closed file behind the store's back. */
  const tamper = (sql: string): void => {
    using database = new Database(path);
    database.exec(sql);
  };

  const read = async (store: EventStore): Promise<readonly StoredRecord[]> => {
    const { records: got } = await store.next(START, ALL, signal);
    await clock.advance(0); // The commit that drops what could not be read.
    return got;
  };

  const setAside = (): string[] =>
    readdirSync(dataDir).filter((name) => name.includes(".corrupt-"));

  beforeEach(() => {
    clock = new FakeClock(1_790_000_000_000);
    log = memoryLog();
    dataDir = mkdtempSync(join(tmpdir(), "tbgw-store-"));
    path = join(dataDir, "events.db");
  });

  afterEach(() => {
    rmSync(dataDir, { recursive: true, force: true });
  });

  test("a block with a wrong CRC is skipped, counted and said once", async () => {
    await fill(3);
    tamper(
      "UPDATE blocks SET data = substr(data, 1, 60) || x'00' || substr(data, 62) WHERE id = 2",
    );
    await using store = await open();
    expect((await read(store)).map(({ json }) => json)).toEqual(
      [...records(0, 10), ...records(20, 10)].map(({ json }) => json),
    );
    await read(store);
    expect(store.stats().ledger).toMatchObject({ queued: 20, dropped: { corruption: 10 } });
    expect(log.messages("error")).toEqual([
      "A block of the event store is damaged; its records are lost",
    ]);
    expect(setAside()).toEqual([]);
  });

  test("of a partly released block only what was left counts as lost", async () => {
    await fill(1);
    {
      await using store = await open();
      const got = await read(store);
      const released = store.release(got.slice(0, 4).map(({ cursor }) => cursor));
      await clock.advance(250);
      await released;
    }
    tamper("UPDATE blocks SET data = x'00'");
    await using store = await open();
    const controller = new AbortController();
    const waiting = store.next(START, ALL, controller.signal).catch(() => "aborted");
    await clock.advance(0);
    controller.abort();
    expect(await waiting).toBe("aborted");
    expect(store.stats().ledger).toMatchObject({
      stored: 10,
      acknowledged: 4,
      dropped: { corruption: 6 },
      queued: 0,
    });
  });

  test("blocks that are missing are counted as lost at open", async () => {
    await fill(3);
    tamper("DELETE FROM blocks WHERE id = 2");
    await using store = await open();
    expect(store.stats()).toMatchObject({ records: 20, values: 20 });
    expect(store.stats().ledger).toMatchObject({ stored: 30, dropped: { corruption: 10 } });
    expect(await read(store)).toHaveLength(20);
  });

  test("counters that are missing are made again from the blocks", async () => {
    await fill(3);
    tamper("DELETE FROM counters");
    await using store = await open();
    expect(store.stats().ledger).toMatchObject({
      received: 30,
      stored: 30,
      queued: 30,
      dropped: {},
    });
    const { bytes, count, values } = batchOf(records(30, 1));
    await store.append(bytes, count, { urgent: true, values }, signal);
    expect(await read(store)).toHaveLength(31);
  });

  test.each([
    ["rubbish", () => crypto.getRandomValues(new Uint8Array(50_000))],
    ["text", () => new TextEncoder().encode("this is no database\n".repeat(300))],
    ["the first page of zeros", () => new Uint8Array(4096)],
  ])("a file of %s is set aside with one ERROR, and a fresh one works", async (_what, content) => {
    writeFileSync(path, content());
    await using store = await open();
    expect(setAside().filter((name) => !/-(wal|shm)$/.test(name))).toHaveLength(1);
    expect(log.messages("error")).toHaveLength(1);
    const { bytes, count, values } = batchOf(records(0, 1));
    await store.append(bytes, count, { urgent: true, values }, signal);
    expect(await read(store)).toHaveLength(1);
  });

  test("the database of another program is set aside untouched", async () => {
    tamper("CREATE TABLE messages(id INTEGER PRIMARY KEY); INSERT INTO messages VALUES(7)");
    await using store = await open();
    expect(store.stats().records).toBe(0);
    const [aside] = setAside();
    using database = new Database(join(dataDir, aside ?? ""), { readonly: true });
    expect(database.query("SELECT id FROM messages")).toEqual([{ id: 7 }]);
  });

  test("a store of another version is set aside, not changed", async () => {
    await fill(1);
    tamper("PRAGMA user_version = 99");
    await using store = await open();
    expect(store.stats().records).toBe(0);
    expect(setAside()).toHaveLength(1);
  });

  test.each([
    ["quarantine", 30],
    ["partial", 30],
    ["counters", 30],
    ["blocks", 0],
  ])("the table %s that is missing is made again", async (table, held) => {
    await fill(3);
    tamper(`DROP TABLE ${table}`);
    await using store = await open();
    expect(store.stats()).toMatchObject({ records: held, values: held });
    expect(store.stats().ledger.dropped).toEqual(held === 0 ? { corruption: 30 } : {});
    expect(setAside()).toEqual([]);
  });

  test("tables with other columns are set aside", async () => {
    await fill(3);
    tamper("ALTER TABLE blocks RENAME COLUMN data TO content");
    await using store = await open();
    expect(store.stats().records).toBe(0);
    expect(setAside()).toHaveLength(1);
    expect(log.messages("error")).toHaveLength(1);
  });

  test("a file that is cut anywhere starts, with what is left", async () => {
    await fill(40);
    const whole = readFileSync(path);
    for (let cut = 1; cut < whole.length; cut += 700) {
      rmSync(dataDir, { recursive: true, force: true });
      await (await open())[Symbol.asyncDispose]();
      writeFileSync(path, whole.subarray(0, cut));
      await using store = await open();
      const { bytes, count, values } = batchOf([record(1)]);
      await store.append(bytes, count, { urgent: true, values }, signal);
      const got = await read(store);
      expect(got.length).toBeGreaterThan(0);
      const { ledger, records: held } = store.stats();
      expect(held).toBe(got.length);
      expect(ledgerImbalance(ledger).delivery).toBe(0);
    }
  });

  test("whichever page is zeroed, the store starts, delivers what is left and counts the rest", async () => {
    const makeJson = (): string =>
      `"${Buffer.from(crypto.getRandomValues(new Uint8Array(60))).toString("base64")}"`;
    await fill(40, makeJson);
    const whole = readFileSync(path);
    for (let page = 1; page < whole.length / PAGE_BYTES; page += 3) {
      rmSync(dataDir, { recursive: true, force: true });
      log.records.length = 0;
      await (await open())[Symbol.asyncDispose]();
      const damaged = Uint8Array.from(whole);
      damaged.fill(0, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
      writeFileSync(path, damaged);
      await using store = await open();
      const got: StoredRecord[] = [];
      let after = START;
      const controller = new AbortController();
      const reading = (async () => {
        for (;;) {
          const { records: some, last } = await store.next(after, ALL, controller.signal);
          got.push(...some);
          after = last;
        }
      })().catch(() => "stopped");
      await clock.advance(0);
      await clock.advance(0);
      controller.abort();
      expect(await reading).toBe("stopped");
      const { ledger, records: held } = store.stats();
      expect(ledgerImbalance(ledger).delivery).toBe(0);
      expect(new Set(got.map(({ cursor }) => cursor)).size).toBe(held);
      if (held < 400) {
        expect(log.messages("error").length).toBeGreaterThan(0);
      }
      const { bytes, count, values } = batchOf([record(1)]);
      await store.append(bytes, count, { urgent: true, values }, signal);
    }
  });

  test("a WAL that is cut anywhere costs only whole commits from the end", async () => {
    const store = await open();
    for (let block = 0; block < 20; block += 1) {
      const { bytes, count, values } = batchOf(records(block * 10, 10));
      await store.append(bytes, count, { urgent: true, values }, signal);
    }
    const files = ["", "-wal"].map((suffix) => [suffix, readFileSync(path + suffix)] as const);
    await store[Symbol.asyncDispose]();
    const wal = files[1]?.[1] ?? Buffer.alloc(0);
    expect(wal.length).toBeGreaterThan(20_000);
    for (let cut = 0; cut <= wal.length; cut += 1531) {
      rmSync(dataDir, { recursive: true, force: true });
      await (await open())[Symbol.asyncDispose]();
      for (const [suffix, content] of files) {
        writeFileSync(path + suffix, suffix === "" ? content : content.subarray(0, cut));
      }
      await using again = await open();
      const { records: held, ledger } = again.stats();
      expect(ledger).toMatchObject({ stored: held, queued: held, dropped: {} });
      if (held > 0) {
        expect((await read(again)).map(({ json }) => json)).toEqual(
          records(0, held).map(({ json }) => json),
        );
      }
    }
    expect(log.messages("error")).toEqual([]);
  });
});
