import { BatchWriter, type EncodedRecord } from "#sdk/batch";
import type { CollectedCounts } from "#sdk/ledger";
import { Account } from "./account.ts";
import type { BatchCounts, BatchPiece } from "./batch-scan.ts";
import type { BlockState } from "./block-state.ts";
import type { Mark } from "./event-store.ts";

/** A batch on its way to the disk. */
export interface BatchToStore {
  readonly pieces: readonly BatchPiece[];
  readonly counts: BatchCounts;
  /** Length of the text. */
  readonly bytes: number;
  readonly collected?: CollectedCounts | undefined;
  readonly mark?: Mark | undefined;
}

/** Somebody who waits for the next commit. */
interface Waiter {
  resolve(): void;
  reject(reason: unknown): void;
}

/** A record on its way into quarantine. */
export interface QuarantinedRecord {
  /** The record as a line of the batch codec. */
  readonly line: string;
  readonly reason: string;
  readonly values: number;
}

/** What waits for the next commit. What a failed commit must not lose stays; batches are handed back to their owners. */
export class WritePlan {
  appends: (BatchToStore & Waiter)[] = [];
  /** Text of the batches in bytes. */
  appendBytes = 0;
  readonly dirty = new Set<BlockState>();
  quarantined: QuarantinedRecord[] = [];
  /** Blocks that cannot be read, and why: they go, and what was left in them is `dropped(corruption)`. */
  readonly lost = new Map<number, string>();
  /** What was counted without a batch, as an account of its own. */
  counted = new Account();
  hasCounts = false;
  #releases: Waiter[] = [];

  get isEmpty(): boolean {
    return (
      this.appends.length === 0 &&
      this.dirty.size === 0 &&
      this.lost.size === 0 &&
      !this.hasCounts &&
      this.#releases.length === 0
    );
  }

  /** Resolves when the batch is on disk. When `signal` aborts before that it is not stored, and its reason passes. */
  async append(batch: BatchToStore, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const pending = { ...batch, resolve, reject };
    const onAbort = (): void => {
      const at = this.appends.indexOf(pending);
      if (at >= 0) {
        this.appends.splice(at, 1);
        this.appendBytes -= batch.bytes;
        reject(signal.reason);
      }
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.appends.push(pending);
    this.appendBytes += batch.bytes;
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Counts a batch that was refused. */
  refuse(values: number, collected: CollectedCounts | undefined, reason: string): void {
    this.counted.refused(values, collected, reason);
    this.hasCounts = true;
  }

  /** Sets a record aside. */
  quarantine(record: EncodedRecord, reason: string): void {
    const writer = new BatchWriter();
    writer.add(record);
    const line = new TextDecoder().decode(writer.take());
    this.quarantined.push({ line, reason, values: record.values });
  }

  /** Resolves with the commit that writes what is dirty at this moment. */
  released(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#releases.push({ resolve, reject });
    return promise;
  }

  /** Forgets what is pending about blocks that are not in the file any more. */
  forgetMissing(isThere: (id: number) => boolean): void {
    for (const state of this.dirty) {
      if (!isThere(state.id)) {
        state.markGone();
        this.dirty.delete(state);
      }
    }
  }

  /** Everything is on disk. */
  settle(): void {
    const appends = this.appends;
    const releases = this.#releases;
    this.appends = [];
    this.appendBytes = 0;
    for (const state of this.dirty) {
      state.settle();
    }
    this.dirty.clear();
    this.quarantined = [];
    this.lost.clear();
    this.counted = new Account();
    this.hasCounts = false;
    this.#releases = [];
    for (const waiter of [...appends, ...releases]) {
      waiter.resolve();
    }
  }

  /** Hands the batches back; everything else stays for the next commit. */
  failAppends(reason: unknown): void {
    const appends = this.appends;
    this.appends = [];
    this.appendBytes = 0;
    for (const waiter of appends) {
      waiter.reject(reason);
    }
  }

  /** Nobody will commit this any more. */
  failAll(reason: unknown): void {
    const releases = this.#releases;
    this.#releases = [];
    this.failAppends(reason);
    for (const waiter of releases) {
      waiter.reject(reason);
    }
  }
}
