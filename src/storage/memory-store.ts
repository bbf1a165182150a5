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
import { type HandedOver, handedOver } from "./hand-over.ts";
import { Horizon } from "./horizon.ts";
import { checkBatch } from "./intake.ts";
import type { LedgerFile } from "./ledger-file.ts";
import { LruBytes } from "./lru-bytes.ts";
import type { Inherited } from "./migrate.ts";
import { Waiters } from "./waiters.ts";

/** Bytes of text that are held when the settings name no quota. */
export const DEFAULT_MAX_BYTES = 256 * 1024 * 1024;
/** The ledger is written down at most this often. */
const LEDGER_EVERY_MS = 60_000;
const DECODED_BYTES = 2 * 1024 * 1024;

interface MemoryBlock {
  readonly state: BlockState;
  readonly text: Uint8Array;
  /** Epoch milliseconds. */
  readonly time: number;
}

/** What the store in memory needs. */
export interface MemoryStoreDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Where the ledger is kept, once a minute at most and at the end; without it nothing is. */
  readonly ledgerFile?: LedgerFile;
  /** What a store before this one has left. */
  readonly inherited?: Inherited;
  /** Closed with the store. */
  readonly lock?: Disposable;
}

/** A ring of records in memory, bounded in number and bytes. Of what waits nothing survives the process; the ledger does. */
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
  readonly #deps: MemoryStoreDeps;
  #ledgerTimer: Disposable | undefined;
  readonly #horizon = new Horizon();
  #bytes = 0;
  #isClosed = false;

  constructor(settings: StorageSettings, deps: MemoryStoreDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.#maxBytes = settings.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#clock = deps.clock;
    this.#drops = new DropLog(deps.clock, deps.log);
    this.#expiry = new Expiry(deps.clock, settings.ttlMs, () => {
      this.#dropExpired();
      this.#expiry.watch(this.#oldest()?.time);
    });
    this.#inherit(deps.inherited);
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
    if (options.mark !== undefined) {
      this.#account.marked(options.mark);
    }
    for (const piece of pieces) {
      this.#insert(piece.bytes, this.#clock.now());
    }
    this.#changed();
    this.#horizon.add(this.#clock.monotonicMs(), this.#usedShare());
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
    this.#changed();
    this.#space.wake();
  }

  /** There is no disk to keep the record on: it is counted and gone. */
  async quarantine(cursor: Cursor, _reason: string): Promise<void> {
    this.#requireOpen();
    const block = this.#blocks.get(blockOf(cursor));
    if (block?.state.finish(indexOf(cursor), "quarantined") === true) {
      this.#settle(block);
    }
    this.#changed();
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
      horizonMs: this.#horizon.estimate(this.#clock.monotonicMs(), this.#usedShare()),
      ledger: this.#account.ledger,
      marks: this.#account.marks,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) {
      return;
    }
    this.#isClosed = true;
    this.#ledgerTimer?.[Symbol.dispose]();
    this.#saveLedger();
    this.#deps.lock?.[Symbol.dispose]();
    this.#expiry[Symbol.dispose]();
    const closed = new TransientError("The event store is closed");
    this.#arrived.fail(closed);
    this.#space.fail(closed);
    this.#blocks.clear();
    this.#decoded.clear();
  }

  /**
   * Gives away what waits, oldest first, and closes the store: whoever takes the batches counts their values as received and stored,
   * so this store's ledger forgets them.
   */
  async handOver(): Promise<readonly HandedOver[]> {
    const batches = [...handedOver(this.#blocks.values())];
    const { ledger } = this.#account;
    const { received, stored, queued } = ledger;
    const rest = { received: received - queued, stored: stored - queued, queued: 0 };
    this.#account.ledger = { ...ledger, ...rest };
    this.#account.blocks = 0;
    this.#account.records = 0;
    if (rest.received === 0) {
      this.#deps.ledgerFile?.delete();
    }
    await this[Symbol.asyncDispose]();
    return batches;
  }

  /** Begins with what a store before this one has left. */
  #inherit(inherited: Inherited | undefined): void {
    if (inherited === undefined) {
      return;
    }
    this.#account.ledger = inherited.account.ledger;
    this.#account.marks = inherited.account.marks;
    for (const { text, time } of inherited.batches) {
      this.#insert(text, time);
    }
    this.#account.check();
    this.#saveLedger();
    this.#expiry.watch(this.#oldest()?.time);
  }

  #insert(text: Uint8Array, time: number): void {
    const id = this.#account.nextBlock;
    const records = readBatch(text);
    this.#account.nextBlock += 1;
    this.#account.blocks += 1;
    this.#account.records += records.length;
    this.#bytes += text.length;
    this.#blocks.set(id, { state: new BlockState(id, records, undefined), text, time });
    this.#decoded.set(id, records, text.length);
  }

  /** Sees to it that the ledger is right and is written down within a minute. */
  #changed(): void {
    this.#account.check();
    if (this.#deps.ledgerFile !== undefined && !this.#isClosed) {
      this.#ledgerTimer ??= this.#clock.timer(LEDGER_EVERY_MS, () => {
        this.#ledgerTimer = undefined;
        this.#saveLedger();
      });
    }
  }

  #saveLedger(): void {
    if (this.#account.ledger.received === 0) {
      return; // Nothing has happened that is worth a file.
    }
    try {
      this.#deps.ledgerFile?.write(this.#account);
    } catch (error) {
      this.#deps.log.warn("Cannot write down the ledger of the event store", { error });
    }
  }

  /** Counts what `body` refuses. */
  #refusing<T>(options: AppendOptions, body: () => T): T {
    try {
      return body();
    } catch (error) {
      if (error instanceof RejectedError) {
        this.#account.refused(options.values, options.collected, error.reason);
        this.#changed();
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

  /** Of the limit that is reached first. */
  #usedShare(): number {
    return Math.max(
      this.#account.records / this.#settings.maxRecords,
      this.#bytes / this.#maxBytes,
    );
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
