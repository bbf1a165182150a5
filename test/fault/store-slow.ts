/**
 * Appends while every sync of the disk takes long (a preloaded library sees to that), as many sources at once do, and releases what it
 * reads. Prints one JSON line. Argument: data folder.
 */
import { systemClock } from "../../src/sdk/clock.ts";
import { ledgerImbalance } from "../../src/sdk/ledger.ts";
import type { Logger } from "../../src/sdk/logger.ts";
import { START } from "../../src/storage/event-store.ts";
import { openEventStore } from "../../src/storage/open.ts";
import { batchOf, record, settings } from "../unit/storage/batches.ts";

const ROUNDS = 8;
const SOURCES = 100;

const [dataDir = ""] = process.argv.slice(2);
const ignore = (): void => undefined;
const log: Logger = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };
const { signal } = new AbortController();
const store = await openEventStore(settings(), { clock: systemClock, log, dataDir });
const startMs = systemClock.monotonicMs();
for (let round = 0; round < ROUNDS; round += 1) {
  await Promise.all(
    Array.from({ length: SOURCES }, (_, source) => {
      const { bytes, count, values } = batchOf([record(round * SOURCES + source)]);
      return store.append(bytes, count, { urgent: true, values }, signal);
    }),
  );
}
const perRoundMs = (systemClock.monotonicMs() - startMs) / ROUNDS;
const { records } = await store.next(START, { records: 1e6, bytes: 1e9 }, signal);
await store.release(records.map(({ cursor }) => cursor));
const { ledger } = store.stats();
await store[Symbol.asyncDispose]();
console.log(
  JSON.stringify({ perRoundMs, read: records.length, ledger, balance: ledgerImbalance(ledger) }),
);
