import { BatchWriter, type EncodedRecord } from "#sdk/batch";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import { addReason, type CollectedCounts, mergeReasons } from "#sdk/ledger";
import { orAborted } from "#sdk/or-aborted";
import { MAX_BATCHES_IN_FLIGHT, MAX_BYTES_IN_FLIGHT } from "./port.ts";

/** Text collected for one batch before it must leave. */
const BATCH_CHARS = 256 * 1024;
/** Counts without any record travel at the latest after this long. */
const COUNTS_DELAY_MS = 1000;

/** A batch that leaves. */
export interface OutgoingBatch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly records: number;
  readonly values: number;
  readonly urgent: boolean;
  readonly collected: CollectedCounts;
}

/** A batch while it is filled or on its way. */
interface Batch {
  readonly settled: PromiseWithResolvers<void>;
  urgent: boolean;
  bytes: number;
  extras: CollectedCounts;
}

const NO_COUNTS: CollectedCounts = { received: 0, filtered: {}, rejected: {} };

/**
 * Gathers records into batches for the store. Records that arrive in one turn of the event loop, or while all credit is used
 * up, travel as one batch; at most 4 MiB are under way and about 256 KiB wait, then `append` waits.
 */
export class Batcher {
  readonly #clock: Clock;
  readonly #send: (id: number, batch: OutgoingBatch) => void;
  readonly #writer = new BatchWriter();
  readonly #flying = new Map<number, Batch>();
  #pending: Batch = newBatch();
  #space: PromiseWithResolvers<void> | undefined;
  #flushScheduled = false;
  #countsTimer: Disposable | undefined;
  #bytesInFlight = 0;
  #nextId = 1;
  #closed: Error | undefined;

  /** `send` puts a batch on its way; `settle` with the same id must follow. */
  constructor(clock: Clock, send: (id: number, batch: OutgoingBatch) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Resolves when the records are durable. An abort while waiting for room stores nothing. @throws what `settle` was given */
  async append(
    records: readonly EncodedRecord[],
    options: { readonly urgent: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    while (this.#isFull()) {
      signal.throwIfAborted();
      this.#space ??= Promise.withResolvers<void>();
      await orAborted(this.#space.promise, signal);
    }
    if (this.#closed !== undefined) {
      throw this.#closed;
    }
    await this.#add(records, options.urgent);
  }

  /** As `append` without waiting: `false` when there is no room. `onLost` gets the error if the records are not stored. */
  tryAppend(records: readonly EncodedRecord[], onLost: (error: unknown) => void): boolean {
    if (this.#isFull() || this.#closed !== undefined) {
      return false;
    }
    this.#add(records, false).catch(onLost);
    return true;
  }

  /** Adds to the counts that travel with the next batch. */
  count(section: "filtered" | "rejected", reason: string, values: number): void {
    const { extras } = this.#pending;
    this.#pending.extras = {
      ...extras,
      received: extras.received + values,
      [section]: addReason(extras[section], reason, values),
    };
    if (this.#countsTimer === undefined && this.#closed === undefined) {
      this.#countsTimer = this.#clock.timer(COUNTS_DELAY_MS, () => {
        this.#countsTimer = undefined;
        this.flush();
      });
    }
  }

  /** The store has answered for batch `id`; `refused` means that it counted the batch itself. */
  settle(id: number, error: Error | undefined, refused: boolean): void {
    const batch = this.#flying.get(id);
    if (batch === undefined) {
      return;
    }
    this.#flying.delete(id);
    this.#bytesInFlight -= batch.bytes;
    if (error === undefined) {
      batch.settled.resolve();
    } else {
      if (!refused) {
        // Nothing of the batch was counted. Its records come again from their source; the counts must not get lost.
        this.#pending.extras = addCounts(this.#pending.extras, batch.extras);
      }
      batch.settled.reject(error);
    }
    this.flush();
  }

  /** Sends the pending batch if there is one and credit for it. */
  flush(): void {
    const batch = this.#pending;
    const empty = this.#writer.records === 0 && batch.extras === NO_COUNTS;
    const credit =
      this.#flying.size < MAX_BATCHES_IN_FLIGHT &&
      (this.#bytesInFlight < MAX_BYTES_IN_FLIGHT || this.#flying.size === 0);
    if (empty || !credit || this.#closed !== undefined) {
      return;
    }
    this.#pending = newBatch();
    const { records, values } = this.#writer;
    const bytes = this.#writer.take();
    batch.bytes = bytes.byteLength;
    this.#bytesInFlight += batch.bytes;
    const id = this.#nextId;
    this.#nextId += 1;
    this.#flying.set(id, batch);
    const collected = { ...batch.extras, received: batch.extras.received + values };
    this.#send(id, { bytes, records, values, urgent: batch.urgent, collected });
    this.#space?.resolve();
    this.#space = undefined;
  }

  /** Resolves when all that was appended has been answered for, or after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    this.flush();
    const late = Promise.withResolvers<void>();
    using _timer = this.#clock.timer(timeoutMs, late.resolve);
    const all = [...this.#flying.values(), this.#pending].filter(
      (batch) => batch !== this.#pending || this.#writer.records > 0,
    );
    await Promise.race([
      Promise.allSettled(all.map((batch) => batch.settled.promise)),
      late.promise,
    ]);
  }

  /** Takes nothing more; whatever waits is rejected with `error`. */
  close(error: TransientError): void {
    if (this.#closed !== undefined) {
      return;
    }
    this.#closed = error;
    this.#countsTimer?.[Symbol.dispose]();
    for (const batch of [...this.#flying.values(), this.#pending]) {
      batch.settled.reject(error);
    }
    this.#flying.clear();
    this.#space?.resolve();
  }

  #isFull(): boolean {
    return this.#writer.length >= BATCH_CHARS && this.#closed === undefined;
  }

  #add(records: readonly EncodedRecord[], urgent: boolean): Promise<void> {
    for (const record of records) {
      this.#writer.add(record);
    }
    const batch = this.#pending;
    batch.urgent ||= urgent;
    if (!this.#flushScheduled && this.#flying.size < MAX_BATCHES_IN_FLIGHT) {
      this.#flushScheduled = true;
      setImmediate(() => {
        this.#flushScheduled = false;
        this.flush();
      });
    }
    return batch.settled.promise;
  }
}

function newBatch(): Batch {
  const settled = Promise.withResolvers<void>();
  // A batch that only carries counts has nobody to tell of its failure.
  settled.promise.catch(() => undefined);
  return { settled, urgent: false, bytes: 0, extras: NO_COUNTS };
}

function addCounts(left: CollectedCounts, right: CollectedCounts): CollectedCounts {
  if (right === NO_COUNTS) {
    return left;
  }
  return {
    received: left.received + right.received,
    filtered: mergeReasons(left.filtered, right.filtered),
    rejected: mergeReasons(left.rejected, right.rejected),
  };
}
