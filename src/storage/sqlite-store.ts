import { SqliteError } from "#platform/sqlite";
import { backoffMs } from "#sdk/backoff";
import type { Clock } from "#sdk/clock";
import { DataError, InvariantError, RejectedError, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { Account } from "./account.ts";
import { BlockReader } from "./block-reader.ts";
import { type OpenBlock, Selection } from "./block-state.ts";
import { type WriteResult, writePlan } from "./block-writer.ts";
import { Connection } from "./connection.ts";
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
import { GroupCommit } from "./group-commit.ts";
import { type CheckedBatch, checkBatch } from "./intake.ts";
import { quarantineBytes } from "./quarantine-table.ts";
import { isDamage, type OpenedFile } from "./recovery.ts";
import { Waiters } from "./waiters.ts";
import { WritePlan } from "./write-plan.ts";

const COUNT_DELAY_MS = 250;

/** After so many failed commits the file is opened afresh: a disk that was away and is back has another handle. */
const REOPEN_AFTER_FAILURES = 5;

/** A store that uses less and has more free than this gives the space back to the file system. */
const SHRINK_BELOW_BYTES = 1024 * 1024;
const SHRINK_FREE_BYTES = 16 * 1024 * 1024;

/** With the quota worked out. */
export interface SqliteStoreSettings extends StorageSettings {
  readonly maxBytes: number;
}

/** What the store on disk needs. `path`: the database file, in a folder that exists. */
export interface SqliteStoreDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly path: string;
}

/** The event store in a SQLite file; README.md says how. One object per file, one process per file. */
export class SqliteStore implements EventStore {
  readonly #settings: SqliteStoreSettings;
  readonly #deps: SqliteStoreDeps;
  readonly #reader = new BlockReader();
  readonly #plan = new WritePlan();
  readonly #group: GroupCommit;
  readonly #drops: DropLog;
  readonly #arrived = new Waiters();
  readonly #space = new Waiters();
  readonly #expiry: Expiry;
  readonly #connection: Connection;
  #account = new Account();
  #saved: ReadonlyMap<string, number> = new Map();
  #usedBytes = 0;
  #oldestTime: number | undefined;
  #failures = 0;
  #isClosed = false;

  private constructor(settings: SqliteStoreSettings, deps: SqliteStoreDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.#drops = new DropLog(deps.clock, deps.log);
    this.#group = new GroupCommit(deps.clock, settings.commitIntervalMs, () => this.#commit());
    this.#expiry = new Expiry(deps.clock, settings.ttlMs, () => this.#commit());
    const file = {
      path: deps.path,
      isDurable: settings.durability === "durable",
      quarantineBytes: quarantineBytes(settings.maxBytes),
    };
    this.#connection = new Connection(file, deps, {
      adopt: (opened) => this.#adopt(opened),
      account: () => this.#account,
    });
  }

  /** Opens or creates the file, and repairs it when needed. @throws TransientError when the disk refuses. */
  static open(settings: SqliteStoreSettings, deps: SqliteStoreDeps): SqliteStore {
    const store = new SqliteStore(settings, deps);
    store.#connection.guarded("open the event store", () => store.#connection.tables());
    return store;
  }

  async append(
    batch: Uint8Array,
    count: number,
    options: AppendOptions,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    this.#requireOpen();
    const checked = this.#check(batch, count, options);
    if (count === 0 && options.collected === undefined) {
      return;
    }
    this.#requireRoom(batch.length, options);
    // What follows the wait is synchronous: nobody else takes the room that was found.
    while (this.#mustWait(batch.length)) {
      await this.#space.wait(signal);
      this.#requireOpen();
    }
    const { collected } = options;
    const stored = this.#plan.append({ ...checked, collected }, signal);
    this.#group.appended(count, options.urgent);
    await stored;
  }

  async next(
    after: Cursor,
    limit: { readonly records: number; readonly bytes: number },
    signal: AbortSignal,
  ): Promise<{ readonly records: readonly StoredRecord[]; readonly last: Cursor }> {
    for (;;) {
      signal.throwIfAborted();
      this.#requireOpen();
      const records = this.#connection.guarded("read the event store", () =>
        this.#collect(after, limit),
      );
      const last = records.at(-1);
      if (last !== undefined) {
        return { records, last: last.cursor };
      }
      await this.#arrived.wait(signal);
    }
  }

  async release(cursors: readonly Cursor[]): Promise<void> {
    this.#requireOpen();
    let released = 0;
    this.#connection.guarded("read the event store", () => {
      for (const cursor of cursors) {
        const id = blockOf(cursor);
        const state = this.#reader.state(id) ?? this.#open(id)?.state;
        if (state?.finish(indexOf(cursor), "acknowledged") === true) {
          this.#plan.dirty.add(state);
          released += 1;
        }
      }
    });
    await this.#releaseCommitted(released);
  }

  async quarantine(cursor: Cursor, reason: string): Promise<void> {
    this.#requireOpen();
    const index = indexOf(cursor);
    const block = this.#connection.guarded("read the event store", () =>
      this.#open(blockOf(cursor)),
    );
    const record = block?.records[index];
    if (block?.state.finish(index, "quarantined") === true && record !== undefined) {
      this.#plan.quarantine(record, reason);
      this.#plan.dirty.add(block.state);
    }
    await this.#releaseCommitted(1);
  }

  stats(): StoreStats {
    return {
      durable: this.#settings.durability === "durable",
      records: this.#account.records,
      values: this.#account.ledger.queued,
      bytes: this.#usedBytes,
      maxBytes: this.#settings.maxBytes,
      oldestTs: this.#oldestTime,
      ledger: this.#account.ledger,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) {
      return;
    }
    this.#commit();
    this.#isClosed = true;
    this.#group[Symbol.dispose]();
    this.#expiry[Symbol.dispose]();
    const closed = new TransientError("The event store is closed");
    this.#plan.failAll(closed);
    this.#arrived.fail(closed);
    this.#space.fail(closed);
    this.#connection.close({ checkpoint: true });
    this.#reader.reset();
  }

  /** Resolves with the commit that holds what is pending. */
  async #releaseCommitted(records: number): Promise<void> {
    if (records === 0 && this.#plan.dirty.size === 0) {
      return;
    }
    const committed = this.#plan.released();
    this.#group.released(records);
    await committed;
  }

  #check(batch: Uint8Array, count: number, options: AppendOptions): CheckedBatch {
    try {
      return checkBatch(batch, count, options.values);
    } catch (error) {
      if (error instanceof RejectedError) {
        this.#refuse(options, error.reason);
      }
      throw error;
    }
  }

  /** @throws RejectedError reason `store-full` when the batch cannot be taken, at this time or ever. */
  #requireRoom(bytes: number, options: AppendOptions): void {
    const { maxBytes, whenFull } = this.#settings;
    const isFull = bytes > 0 && this.#usedBytes >= maxBytes;
    if (bytes > maxBytes || (whenFull === "drop-newest" && isFull)) {
      this.#refuse(options, "store-full");
      throw new RejectedError(
        `Cannot store ${bytes} bytes: ${this.#usedBytes} of ${maxBytes} are in use`,
        { reason: "store-full" },
      );
    }
  }

  /** Beside others a batch counts with its text, which is more than it will take; alone it may pass the limit. */
  #mustWait(bytes: number): boolean {
    const { maxBytes, whenFull } = this.#settings;
    const othersBytes = this.#plan.appendBytes;
    const takenBytes = this.#usedBytes + (othersBytes > 0 ? othersBytes + bytes : 1);
    return whenFull === "wait" && bytes > 0 && takenBytes > maxBytes;
  }

  #refuse(options: AppendOptions, reason: string): void {
    this.#plan.refuse(options.values, options.collected, reason);
    this.#group.within(COUNT_DELAY_MS);
  }

  #collect(
    after: Cursor,
    limit: { readonly records: number; readonly bytes: number },
  ): readonly StoredRecord[] {
    const selection = new Selection(limit);
    let id = blockOf(after);
    const started = id === 0 ? undefined : this.#open(id);
    if (started !== undefined) {
      selection.take(started, indexOf(after) + 1);
    }
    while (!selection.isFull) {
      const next = this.#connection.tables().nextId(id);
      if (next === undefined) {
        break;
      }
      id = next;
      const block = this.#open(id);
      if (block !== undefined) {
        selection.take(block, 0);
      }
    }
    return selection.records;
  }

  /** The block for reading; `undefined` when it is gone or cannot be read, which is then dropped with the next commit. */
  #open(id: number): OpenBlock | undefined {
    if (this.#plan.lost.has(id)) {
      return undefined;
    }
    try {
      return this.#reader.open(id, this.#connection.tables());
    } catch (error) {
      if (!(error instanceof DataError)) {
        throw error;
      }
      this.#plan.lost.add(id);
      this.#group.within(0);
      this.#deps.log.error("A block of the event store is damaged; its records are lost", {
        block: id,
        error,
      });
      return undefined;
    }
  }

  #commit(): void {
    const { clock } = this.#deps;
    const startMs = clock.monotonicMs();
    if (this.#isClosed || (this.#plan.isEmpty && !this.#hasToDrop())) {
      this.#group.done(startMs);
      this.#expiry.watch(this.#oldestTime);
      this.#space.wake(); // Those whose batch was here may have given up.
      return;
    }
    try {
      const tables = this.#connection.tables();
      const draft = this.#account.draft();
      const { whenFull, maxBytes } = this.#settings;
      const result = tables.database.transaction(() =>
        writePlan(this.#plan, draft, {
          tables,
          nowMs: clock.now(),
          isExpired: (time) => this.#expiry.isExpired(time),
          quarantineBytes: quarantineBytes(maxBytes),
          evictAboveBytes: whenFull === "drop-oldest" ? maxBytes : undefined,
          saved: this.#saved,
        }),
      );
      this.#group.done(startMs);
      this.#committed(draft, result);
    } catch (error) {
      this.#group.done(startMs);
      this.#failed(error);
    }
  }

  /** Memory follows the disk, then those who wait go on. */
  #committed(draft: Account, result: WriteResult): void {
    this.#account = draft;
    this.#saved = new Map(draft.rows());
    this.#usedBytes = result.usedBytes;
    this.#oldestTime = result.oldestTime;
    for (const { id, text } of result.inserted) {
      this.#reader.written(id, text);
    }
    this.#plan.settle();
    for (const id of result.removed) {
      this.#reader.gone(id);
    }
    if (this.#failures > 0) {
      this.#deps.log.info("The event store can be written again", { failures: this.#failures });
      this.#failures = 0;
    }
    this.#drops.count({
      ttl: result.expiredValues,
      quota: result.evictedValues,
      corruption: Math.max(0, result.missingValues),
    });
    if (result.inserted.length > 0) {
      this.#arrived.wake();
    }
    this.#space.wake();
    this.#expiry.watch(this.#oldestTime);
    if (result.hasMoreToDrop) {
      this.#group.within(0);
    }
    if (result.freeBytes > SHRINK_FREE_BYTES && result.usedBytes < SHRINK_BELOW_BYTES) {
      this.#connection.shrink();
    }
  }

  /** Batches go back to their owners; what must not be lost stays and is tried again. */
  #failed(error: unknown): void {
    if (error instanceof InvariantError || !(isDamage(error) || error instanceof SqliteError)) {
      this.#deps.log.error("The event store found a fault in itself", { error });
      this.#plan.failAll(error);
      return;
    }
    this.#failures += 1;
    const refused = new TransientError("Cannot write to the event store", { cause: error });
    if (isDamage(error)) {
      this.#connection.repair(error);
    } else if (this.#failures === 1) {
      this.#deps.log.warn("Cannot write to the event store; trying again", { error });
    }
    if (this.#failures % REOPEN_AFTER_FAILURES === 0) {
      this.#connection.close();
    }
    this.#plan.failAppends(refused);
    if (!this.#plan.isEmpty) {
      this.#group.within(backoffMs(this.#failures, 0));
    }
    this.#space.wake();
  }

  #adopt({ tables, account }: OpenedFile): void {
    this.#account = account;
    this.#saved = new Map(tables.readCounters());
    this.#usedBytes = tables.size().usedBytes;
    this.#oldestTime = tables.oldest()?.time;
    this.#reader.reset();
    this.#plan.forgetMissing((id) => tables.readLeft(id) !== undefined);
    this.#expiry.watch(this.#oldestTime);
    if (this.#hasToDrop()) {
      this.#group.within(0);
    }
  }

  #hasToDrop(): boolean {
    const { whenFull, maxBytes } = this.#settings;
    const isOver = whenFull === "drop-oldest" && this.#usedBytes > maxBytes;
    return this.#expiry.isExpired(this.#oldestTime) || isOver;
  }

  #requireOpen(): void {
    if (this.#isClosed) {
      throw new TransientError("The event store is closed");
    }
  }
}
