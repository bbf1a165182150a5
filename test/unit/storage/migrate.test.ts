import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ledgerImbalance } from "../../../src/sdk/ledger.ts";
import { type EventStore, START, type StorageSettings } from "../../../src/storage/event-store.ts";
import { LedgerFile } from "../../../src/storage/ledger-file.ts";
import { openEventStore } from "../../../src/storage/open.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { batchOf, records, settings } from "./batches.ts";

const { signal } = new AbortController();

describe("a change of the settings", () => {
  let clock: FakeClock;
  let dataDir: string;

  const open = (changes: Partial<StorageSettings> = {}): Promise<EventStore> =>
    openEventStore(settings(changes), { clock, log: memoryLog().log, dataDir });

  const put = async (store: EventStore, from: number, count: number): Promise<void> => {
    const { bytes, count: size, values } = batchOf(records(from, count));
    await store.append(bytes, size, { urgent: true, values }, signal);
  };

  const release = async (store: EventStore, count: number): Promise<void> => {
    const got = await store.next(START, { records: count, bytes: 1e9 }, signal);
    const done = store.release(got.records.map(({ cursor }) => cursor));
    await clock.advance(250);
    await done;
  };

  const texts = async (store: EventStore): Promise<string[]> => {
    const got = await store.next(START, { records: 1e6, bytes: 1e9 }, signal);
    return got.records.map(({ json }) => json);
  };

  beforeEach(() => {
    clock = new FakeClock(1_790_000_000_000);
    dataDir = mkdtempSync(join(tmpdir(), "tbgw-migrate-"));
  });

  afterEach(() => {
    rmSync(dataDir, { recursive: true, force: true });
  });

  test("from disk to memory takes what waits and the ledger along", async () => {
    {
      await using disk = await open();
      await put(disk, 0, 20);
      await release(disk, 5);
    }
    await using memory = await open({ kind: "memory" });
    expect(memory.stats()).toMatchObject({ durable: false, records: 15 });
    expect(memory.stats().ledger).toMatchObject({ stored: 20, acknowledged: 5, queued: 15 });
    expect(await texts(memory)).toEqual(records(5, 15).map(({ json }) => json));
  });

  test("from disk to memory stays on disk while more waits than fits", async () => {
    {
      await using disk = await open();
      await put(disk, 0, 20);
    }
    await using store = await open({ kind: "memory", maxRecords: 10 });
    expect(store.stats()).toMatchObject({ durable: true, records: 20 });
    expect(store.stats().ledger.dropped).toEqual({});
  });

  test("from memory to disk keeps the ledger; what waited is dropped(restart)", async () => {
    {
      await using disk = await open();
      await put(disk, 0, 10);
      await release(disk, 10);
    }
    {
      await using memory = await open({ kind: "memory" });
      await put(memory, 10, 10);
      await release(memory, 4);
    }
    {
      await using disk = await open();
      const { ledger } = disk.stats();
      expect(ledger).toMatchObject({
        stored: 20,
        acknowledged: 14,
        queued: 0,
        dropped: { restart: 6 },
      });
      expect(ledgerImbalance(ledger)).toEqual({ intake: 0, delivery: 0 });
    }
    expect(existsSync(join(dataDir, "events.ledger.json"))).toBe(false);
  });

  test("a store in memory that died counts what it held when it last wrote the ledger", async () => {
    const died = await open({ kind: "memory" });
    await put(died, 0, 10);
    await release(died, 3);
    await clock.advance(60_000);
    expect(new LedgerFile(dataDir).read()?.ledger).toMatchObject({
      acknowledged: 3,
      dropped: { restart: 7 },
    });
    await died[Symbol.asyncDispose]();
    await using memory = await open({ kind: "memory" });
    expect(memory.stats().ledger).toMatchObject({ stored: 10, acknowledged: 3, queued: 0 });
  });

  test("another durability, policy or a larger quota changes nothing of what is held", async () => {
    {
      await using store = await open();
      await put(store, 0, 20);
    }
    await using store = await open({
      durability: "relaxed",
      whenFull: "wait",
      maxBytes: 256 * 1024 * 1024,
    });
    expect(await texts(store)).toEqual(records(0, 20).map(({ json }) => json));
    expect(store.stats().ledger).toMatchObject({ stored: 20, queued: 20, dropped: {} });
  });

  test("a store in memory writes down what it refuses too, however long nothing else happens", async () => {
    const full = await open({ kind: "memory", maxRecords: 10, whenFull: "drop-newest" });
    await put(full, 0, 10);
    await clock.advance(60_000);
    await expect(put(full, 10, 5)).rejects.toThrow("Cannot store");
    await clock.advance(60_000);
    expect(new LedgerFile(dataDir).read()?.ledger).toMatchObject({
      received: 15,
      rejected: { "store-full": 5 },
    });
    await full[Symbol.asyncDispose]();
  });
});
