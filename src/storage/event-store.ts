import type { RecordKind } from "#sdk/batch";
import type { CollectedCounts, Ledger } from "#sdk/ledger";

/** Position of a record in the store: strictly increasing, survives a restart. */
export type Cursor = bigint & { readonly __unit: "Cursor" };

/** One record as it lies in the store. */
export interface StoredRecord {
  readonly cursor: Cursor;
  /** Local name of the device; "" for the gateway's own data. */
  readonly device: string;
  readonly deviceType: string;
  readonly kind: RecordKind;
  /** One telemetry entry `{"ts":1,"values":{…}}`, or an attributes object `{…}`, as JSON text. */
  readonly json: string;
  /** How many values the record holds: the unit of the ledger. */
  readonly values: number;
}

/** What an append carries besides its records. */
export interface AppendOptions {
  /** An outside party waits: commit as soon as the disk allows. */
  readonly urgent: boolean;
  /** Values in the batch. */
  readonly values: number;
  /** Counts of the collection side, written in the same transaction. */
  readonly collected?: CollectedCounts;
  /** A place to keep, written in the same transaction. */
  readonly mark?: Mark;
}

/** How far an importer has come in something outside: it resumes there after a crash, without loss or repeat. */
export interface Mark {
  readonly name: string;
  /** A safe integer; 0 forgets the mark. */
  readonly value: number;
}

/** What the store holds and what became of everything it was given. */
export interface StoreStats {
  readonly durable: boolean;
  readonly records: number;
  readonly values: number;
  /** Bytes that count against the quota. */
  readonly bytes: number;
  readonly maxBytes: number;
  /** Epoch milliseconds at which the oldest queued record was stored; `undefined` when the store is empty. */
  readonly oldestTs: number | undefined;
  /** How long the free part of the quota lasts at the present rate of growth, in milliseconds; `undefined` while it does not grow. */
  readonly horizonMs: number | undefined;
  readonly ledger: Ledger;
  /** The marks that are kept, by name. */
  readonly marks: ReadonlyMap<string, number>;
}

/**
 * Keeps records until the platform has acknowledged them. Several readers are not supported: the sender is the only one.
 * Every wait ends within 1 s of its signal's abort.
 */
export interface EventStore extends AsyncDisposable {
  /**
   * Stores a batch (see `sdk/batch`), all or nothing; resolves when it is durable, or in memory for a store without a disk.
   * `count` is the number of records; 0 with `collected` only counts.
   * @throws RejectedError reason `store-full` when the policy keeps the old records. TransientError when the disk refuses.
   */
  append(
    batch: Uint8Array,
    count: number,
    options: AppendOptions,
    signal: AbortSignal,
  ): Promise<void>;
  /**
   * The next records after `after` in order, without those already released or quarantined. Waits until there is one.
   * Resolves with at least one record, and at most `limit.records` or about `limit.bytes` of JSON text.
   */
  next(
    after: Cursor,
    limit: { readonly records: number; readonly bytes: number },
    signal: AbortSignal,
  ): Promise<{ readonly records: readonly StoredRecord[]; readonly last: Cursor }>;
  /** Forgets records after their PUBACK, in any order. Resolves when the store will never deliver them again. */
  release(cursors: readonly Cursor[]): Promise<void>;
  /** Sets a record aside that the platform will never take; it stays readable for a person. */
  quarantine(cursor: Cursor, reason: string): Promise<void>;
  stats(): StoreStats;
}

/** Before the first record. */
// The brand is made here and in the stores; any non-negative integer is a valid position.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
export const START = 0n as Cursor;

/** What to do when the quota is reached. */
export type WhenFull = "drop-oldest" | "drop-newest" | "wait";

/** How the store is set up: what `storage` in the configuration comes to. Plain data, so that it can cross a thread. */
export interface StorageSettings {
  readonly kind: "sqlite" | "memory";
  /** Capacity of the memory ring in records. */
  readonly maxRecords: number;
  /** Quota on disk; `undefined`: the smaller of 1 GiB and 80 % of the free space. */
  readonly maxBytes: number | undefined;
  /** Records older than this are dropped; 0 keeps them for ever. */
  readonly ttlMs: number;
  readonly whenFull: WhenFull;
  /** "durable" syncs each commit; "relaxed" leaves it to the operating system and may lose the last second on a power cut. */
  readonly durability: "durable" | "relaxed";
  /** Longest time a record that is not urgent waits for its commit. */
  readonly commitIntervalMs: number;
  readonly drain: "fifo" | "interleave";
}
