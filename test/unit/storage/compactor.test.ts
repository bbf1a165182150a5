import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database } from "../../../src/platform/sqlite.ts";
import { type EventStore, START, type StorageSettings } from "../../../src/storage/event-store.ts";
import { openEventStore } from "../../../src/storage/open.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { batchOf, record, records, settings } from "./batches.ts";

const { signal } = new AbortController();

describe("Compactor", () => {
  let clock: FakeClock;
  let dataDir: string;

  /** Without a sync for each of thousands of commits, which takes minutes on a busy disk and changes no byte. */
  const open = (changes: Partial<StorageSettings> = {}): Promise<EventStore> =>
    openEventStore(settings({ durability: "relaxed", ...changes }), {
      clock,
      log: memoryLog().log,
      dataDir,
    });

  const put = async (store: EventStore, from: number, count: number): Promise<void> => {
    for (let number = from; number < from + count; number += 1) {
      const { bytes, count: size, values } = batchOf([record(number)]);
      await store.append(bytes, size, { urgent: true, values }, signal);
    }
  };

  const blocks = (): number => {
    using database = new Database(join(dataDir, "events.db"), { readonly: true });
    return Number(database.query("SELECT count(*) AS n FROM blocks")[0]?.["n"]);
  };

  const numbers = async (store: EventStore): Promise<string[]> => {
    const { records: got } = await store.next(START, { records: 1e6, bytes: 1e9 }, signal);
    return got.map(({ json }) => json);
  };

  beforeEach(() => {
    clock = new FakeClock(1_790_000_000_000);
    dataDir = mkdtempSync(join(tmpdir(), "tbgw-compact-"));
  });

  afterEach(() => {
    rmSync(dataDir, { recursive: true, force: true });
  });

  test("small commits that nobody reads become few blocks, in order and with a right ledger", async () => {
    await using store = await open();
    await put(store, 0, 600);
    expect(blocks()).toBeLessThan(100);
    expect(store.stats()).toMatchObject({ records: 600, ledger: { stored: 600, queued: 600 } });
    expect(await numbers(store)).toEqual(records(0, 600).map(({ json }) => json));
  });

  test("a backlog of single values takes at most 12 bytes a value", async () => {
    await using store = await open();
    await put(store, 0, 5120);
    expect(store.stats().bytes / 5120).toBeLessThan(12);
  });

  test("blocks that were given out keep their cursors", async () => {
    await using store = await open();
    await put(store, 0, 100);
    const first = await store.next(START, { records: 100, bytes: 1e9 }, signal);
    await put(store, 100, 400);
    const done = store.release(first.records.map(({ cursor }) => cursor));
    await clock.advance(250);
    await done;
    expect(store.stats().ledger).toMatchObject({ acknowledged: 100, queued: 400 });
    const rest = await store.next(first.last, { records: 1e6, bytes: 1e9 }, signal);
    expect(rest.records.map(({ json }) => json)).toEqual(records(100, 400).map(({ json }) => json));
  });

  test("merged blocks are there after a restart, and are released like others", async () => {
    {
      await using store = await open();
      await put(store, 0, 300);
    }
    await using store = await open();
    const { records: got } = await store.next(START, { records: 1e6, bytes: 1e9 }, signal);
    const done = store.release(got.map(({ cursor }) => cursor));
    await clock.advance(250);
    await done;
    expect(store.stats()).toMatchObject({ records: 0, ledger: { acknowledged: 300, dropped: {} } });
  });

  test("blocks further apart than a hundredth of the age limit are not merged", async () => {
    await using store = await open({ ttlMs: 100_000 });
    await put(store, 0, 128);
    await clock.advance(2000);
    await put(store, 128, 128);
    expect(blocks()).toBe(2);
  });
});
