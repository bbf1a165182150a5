import { SqliteError } from "#platform/sqlite";
import { backoffMs } from "#sdk/backoff";
import { DataError, InvariantError, RejectedError, TransientError } from "#sdk/errors";
import { Account } from "./account.ts";
import { type Fill, mustWait, requireRoom } from "./admission.ts";
import { BlockReader } from "./block-reader.ts";
import { type OpenBlock, select } from "./block-state.ts";
import { type WriteResult, writePlan } from "./block-writer.ts";
import { Compactor } from "./compactor.ts";
import { Connection } from "./connection.ts";
import { blockOf, indexOf } from "./cursor.ts";
import { DropLog } from "./drop-log.ts";
import type { AppendOptions, Cursor, EventStore, StoredRecord, StoreStats } from "./event-store.ts";
import { Expiry } from "./expiry.ts";
import { GroupCommit } from "./group-commit.ts";
import { Horizon } from "./horizon.ts";
import { InFlight } from "./in-flight.ts";
import { type CheckedBatch, checkBatch } from "./intake.ts";
import { OLDEST_COUNTER } from "./oldest-counter.ts";
import { quarantineBytes } from "./quarantine-table.ts";
import type { OpenedFile } from "./recovery.ts";
import { Reserve, reserveBytes } from "./reserve.ts";
import { isDamage } from "./salvage/copy-rows.ts";
import { type SqliteStoreDeps, type SqliteStoreSettings, storeFile } from "./sqlite-settings.ts";
import { Waiters } from "./waiters.ts";
import { WritePlan } from "./write-plan.ts";

const COUNT_DELAY_MS = 250;

/** After so many failed commits the file is opened afresh: a disk that was away and is back has another handle. */
const REOPEN_AFTER_FAILURES = 5;

/** A store that uses less and has more free than this gives the space back to the file system. */
const SHRINK_BELOW_BYTES = 1024 * 1024;
const SHRINK_FREE_BYTES = 16 * 1024 * 1024;

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
  readonly #compactor: Compactor;
  readonly #reserve: Reserve;
  readonly #horizon = new Horizon();
  readonly #inFlight = new InFlight();
  #account = new Account();
  #saved: ReadonlyMap<string, number> = new Map();
  #usedBytes = 0;
  #freeBytes = 0;
  #oldestTime: number | undefined;
  #failures = 0;
  #isClosed = false;

  private constructor(settings: SqliteStoreSettings, deps: SqliteStoreDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.#drops = new DropLog(deps.clock, deps.log);
    this.#group = new GroupCommit(deps.clock, settings.commitIntervalMs, () => this.#commit());
    this.#expiry = new Expiry(deps.clock, settings.ttlMs, () => this.#commit());
    this.#compactor = new Compactor(settings.ttlMs);
    this.#reserve = new Reserve(deps.path, reserveBytes(settings.maxBytes));
    this.#connection = new Connection(storeFile(deps.path, settings), deps, {
      adopt: (opened) => this.#adopt(opened),
      account: () => this.#account,
    });
  }

  /** Opens or creates the file, and repairs it when needed. @throws TransientError when the disk refuses. */
  static open(settings: SqliteStoreSettings, deps: SqliteStoreDeps): SqliteStore {
    const store = new SqliteStore(settings, deps);
    try {
      store.#connection.guarded("open the event store", () => store.#connection.tables());
      store.#connection.noteQuota(settings.maxBytes);
      store.#reserve.restore();
      return store;
    } catch (error) {
      deps.lock?.[Symbol.dispose]();
      throw error;
    }
  }

  async append(
    batch: Uint8Array,
    count: number,
    options: AppendOptions,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    this.#requireOpen();
    const checked = this.#admit(batch, count, options);
    if (count === 0 && options.collected === undefined) {
      return;
    }
    // What follows the wait is synchronous: nobody else takes the room that was found.
    while (mustWait(batch.length, this.#fill)) {
      await this.#space.wait(signal);
      this.#requireOpen();
    }
    const stored = this.#plan.append({ ...checked, ...options }, signal);
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
        select(after, limit, {
          open: (id) => this.#open(id),
          nextId: (id) => this.#connection.tables().nextId(id),
        }),
      );
      const last = records.at(-1);
      if (last !== undefined) {
        this.#inFlight.delivered(records);
        this.#compactor.delivered(blockOf(last.cursor));
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
      horizonMs: this.#horizon.estimate(this.#deps.clock.monotonicMs(), this.#usedShare),
      ledger: this.#account.ledger,
      marks: this.#account.marks,
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
    this.#deps.lock?.[Symbol.dispose]();
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

  /** The batch when it may come in; counts it when it may not. @throws RejectedError */
  #admit(batch: Uint8Array, count: number, options: AppendOptions): CheckedBatch {
    try {
      const checked = checkBatch(batch, count, options.values);
      requireRoom(batch.length, this.#fill);
      return checked;
    } catch (error) {
      if (error instanceof RejectedError) {
        this.#plan.refuse(options.values, options.collected, error.reason);
        this.#group.within(COUNT_DELAY_MS);
      }
      throw error;
    }
  }

  get #usedShare(): number {
    return this.#usedBytes / this.#settings.maxBytes;
  }

  get #fill(): Fill {
    const { maxBytes, whenFull } = this.#settings;
    const waitingBytes = this.#plan.appendBytes;
    return { usedBytes: this.#usedBytes, maxBytes, waitingBytes, whenFull };
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
      this.#plan.lost.set(id, error.message);
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
    if (!this.#reserve.allows(this.#plan.appendBytes, this.#freeBytes)) {
      this.#plan.failAppends(new TransientError("The disk of the event store is full"));
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
          isInFlight: (id) => this.#inFlight.has(id),
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
    this.#saved = new Map([...draft.rows(), [OLDEST_COUNTER, result.oldestId]]);
    this.#usedBytes = result.usedBytes;
    this.#freeBytes = result.freeBytes;
    this.#oldestTime = result.oldestTime;
    for (const { id, text } of result.inserted) {
      this.#reader.written(id, text);
      this.#compactor.inserted(id, text.length);
    }
    this.#plan.settle();
    this.#forget(result.removed);
    this.#horizon.add(this.#deps.clock.monotonicMs(), this.#usedShare);
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
    if (this.#reserve.isSpent) {
      this.#connection.rewind(); // What was released is room in the file, and the log's own is used again.
    } else {
      this.#compact();
    }
    this.#expiry.watch(this.#oldestTime);
    if (result.hasMoreToDrop) {
      this.#group.within(0);
    }
    if (result.freeBytes > SHRINK_FREE_BYTES && result.usedBytes < SHRINK_BELOW_BYTES) {
      this.#connection.shrink();
    }
  }

  #forget(ids: readonly number[]): void {
    for (const id of ids) {
      this.#reader.gone(id);
      this.#compactor.gone(id);
      this.#inFlight.gone(id);
    }
  }

  #compact(): void {
    const merged = this.#compactor.attempt(this.#connection.tables(), this.#account);
    if (merged !== undefined) {
      this.#account = merged.account;
      this.#saved = new Map([...this.#saved, ["held/blocks", merged.account.blocks]]);
      this.#usedBytes = merged.usedBytes;
      this.#forget(merged.removed);
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
    if (error instanceof SqliteError && error.code === "SQLITE_FULL") {
      this.#reserve.spend();
      this.#connection.rewind();
    }
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
    this.#compactor.reset();
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
