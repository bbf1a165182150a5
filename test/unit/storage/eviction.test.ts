import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ledgerImbalance } from "../../../src/sdk/ledger.ts";
import { type EventStore, START } from "../../../src/storage/event-store.ts";
import { openEventStore } from "../../../src/storage/open.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { batchOf, record, settings } from "./batches.ts";

const { signal } = new AbortController();
const MAX_BYTES = 256 * 1024;

describe("drop-oldest", () => {
  let clock: FakeClock;
  let dataDir: string;
  let store: EventStore;

  /** A record of about 16 KiB that does not shrink, in a block of its own. */
  const put = async (number: number): Promise<void> => {
    const noise = Buffer.from(crypto.getRandomValues(new Uint8Array(15_000))).toString("base64");
    const { bytes, count, values } = batchOf([{ ...record(number), json: `"${number} ${noise}"` }]);
    await store.append(bytes, count, { urgent: true, values }, signal);
  };

  const numbers = async (): Promise<number[]> => {
    const { records } = await store.next(START, { records: 1e6, bytes: 1e9 }, signal);
    return records.map(({ json }) => Number.parseInt(json.slice(1), 10));
  };

  beforeEach(async () => {
    clock = new FakeClock(1_790_000_000_000);
    dataDir = mkdtempSync(join(tmpdir(), "tbgw-evict-"));
    const deps = { clock, log: memoryLog().log, dataDir };
    store = await openEventStore(settings({ maxBytes: MAX_BYTES }), deps);
  });

  afterEach(async () => {
    await store[Symbol.asyncDispose]();
    rmSync(dataDir, { recursive: true, force: true });
  });

  test("spares what is on its way to the platform as long as there is something else", async () => {
    await put(0);
    await put(1);
    await store.next(START, { records: 2, bytes: 1e9 }, signal);
    for (let number = 2; number < 40; number += 1) {
      await put(number);
    }
    const held = await numbers();
    expect(held.slice(0, 2)).toEqual([0, 1]);
    expect(held.at(-1)).toBe(39);
    expect(held.length).toBeLessThan(20);
    expect(store.stats().bytes).toBeLessThanOrEqual(MAX_BYTES);
    expect(store.stats().ledger.dropped).toEqual({ quota: 40 - held.length });
  });

  test("drops what is on its way when there is nothing else, and its PUBACK counts no second time", async () => {
    for (let number = 0; number < 8; number += 1) {
      await put(number);
    }
    const { records } = await store.next(START, { records: 1e6, bytes: 1e9 }, signal);
    for (let number = 8; number < 40; number += 1) {
      await put(number);
      await store.next(START, { records: 1e6, bytes: 1e9 }, signal);
    }
    const before = store.stats().ledger;
    expect(before.dropped["quota"]).toBeGreaterThan(20);
    const released = store.release(records.map(({ cursor }) => cursor));
    await clock.advance(250);
    await released;
    const { ledger } = store.stats();
    expect(ledger.dropped).toEqual(before.dropped);
    expect(ledgerImbalance(ledger)).toEqual({ intake: 0, delivery: 0 });
    expect(ledger.acknowledged + (ledger.dropped["quota"] ?? 0) + ledger.queued).toBe(40);
  });

  test("stats() knows how long the quota lasts while a backlog grows", async () => {
    await put(0);
    await clock.advance(20_000);
    await put(1);
    await clock.advance(20_000);
    await put(2);
    const { horizonMs, bytes } = store.stats();
    expect(horizonMs).toBeGreaterThan(60_000);
    expect(horizonMs).toBeLessThan((40_000 * MAX_BYTES) / (bytes / 3));
  });
});
