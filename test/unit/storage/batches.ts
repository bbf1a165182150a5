import { BatchWriter, type EncodedRecord } from "../../../src/sdk/batch.ts";
import type { StorageSettings } from "../../../src/storage/event-store.ts";

/** A telemetry record of one value, told apart by `number`. */
export function record(number: number, device = "Device 1"): EncodedRecord {
  return {
    kind: "telemetry",
    device,
    deviceType: "default",
    json: `{"ts":${1_790_000_000_000 + number},"values":{"n":${number}}}`,
    values: 1,
  };
}

/** The batch of these records, and what `append` wants to know about it. */
export function batchOf(list: readonly EncodedRecord[]): {
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly values: number;
} {
  const writer = new BatchWriter();
  for (const one of list) {
    writer.add(one);
  }
  const { records: count, values } = writer;
  return { bytes: writer.take(), count, values };
}

/** `count` records numbered from `first` on. */
export function records(first: number, count: number): EncodedRecord[] {
  return Array.from({ length: count }, (_, index) => record(first + index));
}

/** Settings as the default configuration has them. */
export function settings(changes: Partial<StorageSettings> = {}): StorageSettings {
  return {
    kind: "sqlite",
    maxRecords: 100_000,
    maxBytes: 64 * 1024 * 1024,
    ttlMs: 0,
    whenFull: "drop-oldest",
    durability: "durable",
    commitIntervalMs: 250,
    drain: "fifo",
    ...changes,
  };
}

/** What the promise rejects with; `undefined` when it resolves. Unlike `expect().rejects` it does not stop the event loop. */
export function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}
