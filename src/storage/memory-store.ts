import { type EncodedRecord, readBatch } from "#sdk/batch";
import type { Clock } from "#sdk/clock";
import { RejectedError, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { Account } from "./account.ts";
import { BlockState, type OpenBlock, Selection } from "./block-state.ts";
import { blockOf, indexOf } from "./cursor.ts";
import { DropLog } from "./drop-log.ts";
import type {
  AppendOptions,
  Cursor,
  EventStore,
  StorageSettings,
  StoredRecord,
  StoreStats,
} from "./event-store.ts";
import { Expiry } from "./expiry.ts";
import { checkBatch } from "./intake.ts";
import { LruBytes } from "./lru-bytes.ts";
import { Waiters } from "./waiters.ts";

/** Text held when the settings name no quota. */
const DEFAULT_MAX_BYTES = 256 * 1024 * 1024;
const DECODED_BYTES = 2 * 1024 * 1024;

interface MemoryBlock {
  readonly state: BlockState;
  readonly text: Uint8Array;
  /** Epoch milliseconds. */
  readonly time: number;
}

/** A ring of records in memory, bounded in number and bytes. Nothing of it survives the process. */
export class MemoryStore implements EventStore {
  readonly #settings: StorageSettings;
  readonly #maxBytes: number;
  readonly #clock: Clock;
  readonly #drops: DropLog;
  readonly #expiry: Expiry;
  /** In the order of their ids. */
  readonly #blocks = new Map<number, MemoryBlock>();
  readonly #decoded = new LruBytes<readonly EncodedRecord[]>(DECODED_BYTES);
  readonly #arrived = new Waiters();
  readonly #space = new Waiters();
  readonly #account = new Account();
  #bytes = 0;
  #isClosed = false;

  constructor(settings: StorageSettings, deps: { readonly clock: Clock; readonly log: Logger }) {
    this.#settings = settings;
    this.#maxBytes = settings.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#clock = deps.clock;
    this.#drops = new DropLog(deps.clock, deps.log);
    this.#expiry = new Expiry(deps.clock, settings.ttlMs, () => {
      this.#dropExpired();
      this.#expiry.watch(this.#oldest()?.time);
    });
  }

  async append(
    batch: Uint8Array,
    count: number,
    options: AppendOptions,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    this.#requireOpen();
    const { pieces, counts } = this.#refusing(options, () => {
      const checked = checkBatch(batch, count, options.values);
      this.#requireRoom(batch.length, count);
      return checked;
    });
    // What follows the wait is synchronous: nobody else takes the room that was found.
    while (this.#settings.whenFull === "wait" && !this.#hasRoom(batch.length, count)) {
      await this.#space.wait(signal);
      this.#requireOpen();
    }
    this.#dropExpired();
    this.#makeRoom(batch.length, count);
    this.#account.stored(counts.values, options.collected);
    for (const piece of pieces) {
      const id = this.#account.nextBlock;
      const records = readBatch(piece.bytes);
      this.#account.nextBlock += 1;
      this.#account.blocks += 1;
      this.#account.records += piece.records;
      this.#bytes += piece.bytes.length;
      const state = new BlockState(id, records, undefined);
      this.#blocks.set(id, { state, text: piece.bytes, time: this.#clock.now() });
      this.#decoded.set(id, records, piece.bytes.length);
    }
    this.#account.check();
    this.#expiry.watch(this.#oldest()?.time);
    if (count > 0) {
      this.#arrived.wake();
    }
  }

  async next(
    after: Cursor,
    limit: { readonly records: number; readonly bytes: number },
    signal: AbortSignal,
  ): Promise<{ readonly records: readonly StoredRecord[]; readonly last: Cursor }> {
    for (;;) {
      signal.throwIfAborted();
      this.#requireOpen();
      this.#dropExpired();
      const records = this.#collect(after, limit);
      const last = records.at(-1);
      if (last !== undefined) {
        return { records, last: last.cursor };
      }
      await this.#arrived.wait(signal);
    }
  }

  async release(cursors: readonly Cursor[]): Promise<void> {
    this.#requireOpen();
    for (const cursor of cursors) {
      const block = this.#blocks.get(blockOf(cursor));
      if (block?.state.finish(indexOf(cursor), "acknowledged") === true) {
        this.#settle(block);
      }
    }
    this.#account.check();
    this.#space.wake();
  }

  /** There is no disk to keep the record on: it is counted and gone. */
  async quarantine(cursor: Cursor, _reason: string): Promise<void> {
    this.#requireOpen();
    const block = this.#blocks.get(blockOf(cursor));
    if (block?.state.finish(indexOf(cursor), "quarantined") === true) {
      this.#settle(block);
    }
    this.#account.check();
    this.#space.wake();
  }

  stats(): StoreStats {
    return {
      durable: false,
      records: this.#account.records,
      values: this.#account.ledger.queued,
      bytes: this.#bytes,
      maxBytes: this.#maxBytes,
      oldestTs: this.#oldest()?.time,
      ledger: this.#account.ledger,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) {
      return;
    }
    this.#isClosed = true;
    this.#expiry[Symbol.dispose]();
    const closed = new TransientError("The event store is closed");
    this.#arrived.fail(closed);
    this.#space.fail(closed);
    this.#blocks.clear();
    this.#decoded.clear();
  }

  /** Counts what `body` refuses. */
  #refusing<T>(options: AppendOptions, body: () => T): T {
    try {
      return body();
    } catch (error) {
      if (error instanceof RejectedError) {
        this.#account.refused(options.values, options.collected, error.reason);
      }
      throw error;
    }
  }

  /** @throws RejectedError reason `store-full` when the batch cannot be taken, at this time or ever. */
  #requireRoom(bytes: number, count: number): void {
    const isTooBig = count > this.#settings.maxRecords || bytes > this.#maxBytes;
    if (isTooBig || (this.#settings.whenFull === "drop-newest" && !this.#hasRoom(bytes, count))) {
      throw new RejectedError(
        `Cannot store ${count} records: ${this.#account.records} of ${this.#settings.maxRecords} are waiting`,
        { reason: "store-full" },
      );
    }
  }

  #hasRoom(bytes: number, count: number): boolean {
    return (
      this.#account.records + count <= this.#settings.maxRecords &&
      this.#bytes + bytes <= this.#maxBytes
    );
  }

  /** Drops the oldest records, one by one, until there is room. */
  #makeRoom(bytes: number, count: number): void {
    let dropped = 0;
    while (!this.#hasRoom(bytes, count)) {
      const block = this.#oldest();
      if (block === undefined) {
        break;
      }
      const isShortOfBytes = this.#bytes + bytes > this.#maxBytes;
      const surplus = this.#account.records + count - this.#settings.maxRecords;
      dropped += this.#drop(block, isShortOfBytes ? block.state.records : surplus, "quota");
    }
    this.#drops.count({ quota: dropped });
  }

  #dropExpired(): void {
    let dropped = 0;
    for (
      let block = this.#oldest();
      block !== undefined && this.#expiry.isExpired(block.time);
      block = this.#oldest()
    ) {
      dropped += this.#drop(block, block.state.records, "ttl");
    }
    this.#drops.count({ ttl: dropped });
  }

  /** Drops up to `count` records of the block; returns their values. */
  #drop(block: MemoryBlock, count: number, reason: string): number {
    let left = count;
    for (let index = 0; index < block.state.size && left > 0; index += 1) {
      left -= block.state.finish(index, "dropped") ? 1 : 0;
    }
    const { dropped } = block.state.pending;
    this.#account.dropped(dropped, reason);
    this.#settle(block);
    return dropped;
  }

  /** Brings the account up to date with what was finished in the block, and forgets the block when nothing is left. */
  #settle({ state, text }: MemoryBlock): void {
    const { pending } = state;
    this.#account.records -= pending.records;
    this.#account.acknowledged(pending.acknowledged);
    this.#account.quarantined(pending.quarantined);
    state.settle();
    if (state.records === 0) {
      state.markGone();
      this.#account.blocks -= 1;
      this.#bytes -= text.length;
      this.#blocks.delete(state.id);
      this.#decoded.delete(state.id);
    }
  }

  #collect(
    after: Cursor,
    limit: { readonly records: number; readonly bytes: number },
  ): readonly StoredRecord[] {
    const selection = new Selection(limit);
    const started = blockOf(after);
    for (const [id, block] of this.#blocks) {
      if (id >= started) {
        selection.take(this.#open(id, block), id === started ? indexOf(after) + 1 : 0);
      }
      if (selection.isFull) {
        break;
      }
    }
    return selection.records;
  }

  #open(id: number, block: MemoryBlock): OpenBlock {
    const cached = this.#decoded.get(id);
    const records = cached ?? readBatch(block.text);
    if (cached === undefined) {
      this.#decoded.set(id, records, block.text.length);
    }
    return { state: block.state, records };
  }

  #oldest(): MemoryBlock | undefined {
    for (const block of this.#blocks.values()) {
      return block;
    }
    return undefined;
  }

  #requireOpen(): void {
    if (this.#isClosed) {
      throw new TransientError("The event store is closed");
    }
  }
}
