import type { Database, SqlRow, Statement } from "#platform/sqlite";
import { DataError } from "#sdk/errors";
import type { CounterRow } from "./account.ts";
import { DamagedTable } from "./damaged-table.ts";
import { QuarantineTable } from "./quarantine-table.ts";
import { QUOTA_COUNTER } from "./quota-counter.ts";
import { readBlob, readInteger, readText } from "./row-decoders.ts";

/** Size of a page: a commit writes whole pages to the WAL. */
export const PAGE_BYTES = 1024;

/** What is left in a block, without its records. */
export interface BlockSummary {
  readonly id: number;
  /** Epoch milliseconds at which it was stored. */
  readonly time: number;
  readonly records: number;
  readonly values: number;
}

/** A block as it lies in its row; `records` and `values` are those of the whole block. */
export interface BlockRow extends BlockSummary {
  readonly data: Uint8Array;
}

/** What the `blocks` table holds in all. */
export interface HeldTotals {
  readonly blocks: number;
  readonly records: number;
  readonly values: number;
}

/** The tables of the event store in an open file. All calls block; all of them may throw a SqliteError. */
export class SqliteTables implements Disposable {
  readonly database: Database;
  readonly #insert: Statement<SqlRow>;
  readonly #delete: Statement<SqlRow>;
  readonly #read: Statement<BlockRow>;
  readonly #readBytes: Statement<Uint8Array>;
  readonly #next: Statement<number>;
  readonly #last: Statement<number>;
  readonly #oldest: Statement<BlockSummary>;
  readonly #left: Statement<BlockSummary>;
  readonly #totals: Statement<HeldTotals>;
  readonly #readPartial: Statement<Uint8Array>;
  readonly #savePartial: Statement<SqlRow>;
  readonly #deletePartial: Statement<SqlRow>;
  readonly #readCounters: Statement<CounterRow>;
  readonly #saveCounter: Statement<SqlRow>;
  readonly #addToCounter: Statement<SqlRow>;
  readonly quarantine: QuarantineTable;
  readonly damaged: DamagedTable;
  readonly #pages: Statement<number>;
  readonly #freePages: Statement<number>;

  /** Takes over `database`, which has the tables already. */
  constructor(database: Database) {
    const raw = (sql: string): Statement<SqlRow> => database.prepare(sql, (row) => row);
    const left =
      "SELECT b.id, b.time, coalesce(p.records, b.records) AS records, coalesce(p.value_count, b.value_count) AS value_count" +
      " FROM blocks b LEFT JOIN partial p ON p.block = b.id";
    this.database = database;
    this.#insert = raw(
      "INSERT INTO blocks(id, time, records, value_count, data) VALUES(?, ?, ?, ?, ?)",
    );
    this.#delete = raw("DELETE FROM blocks WHERE id = ?");
    this.#read = database.prepare(
      "SELECT id, time, records, value_count, data FROM blocks WHERE id = ?",
      (row) => ({ ...readSummary(row), data: readBlob(row, "data") }),
    );
    this.#readBytes = database.prepare(
      "SELECT data FROM blocks WHERE id = ? AND typeof(data) = 'blob'",
      (row) => readBlob(row, "data"),
    );
    this.#next = database.prepare("SELECT id FROM blocks WHERE id > ? ORDER BY id LIMIT 1", readId);
    this.#last = database.prepare(
      "SELECT id FROM blocks WHERE id < ? ORDER BY id DESC LIMIT 1",
      readId,
    );
    this.#oldest = database.prepare(`${left} ORDER BY b.id LIMIT 1`, readSummary);
    this.#left = database.prepare(`${left} WHERE b.id = ?`, readSummary);
    this.#totals = database.prepare(
      `SELECT count(*) AS blocks, coalesce(sum(records), 0) AS records, coalesce(sum(value_count), 0) AS value_count FROM (${left})`,
      (row) => ({
        blocks: readInteger(row, "blocks"),
        records: readInteger(row, "records"),
        values: readInteger(row, "value_count"),
      }),
    );
    this.#readPartial = database.prepare("SELECT done FROM partial WHERE block = ?", (row) =>
      readBlob(row, "done"),
    );
    this.#savePartial = raw(
      "INSERT INTO partial(block, records, value_count, done) VALUES(?, ?, ?, ?) ON CONFLICT(block) DO UPDATE" +
        " SET records = excluded.records, value_count = excluded.value_count, done = excluded.done",
    );
    this.#deletePartial = raw("DELETE FROM partial WHERE block = ?");
    this.#readCounters = database.prepare("SELECT name, value FROM counters", (row) => [
      readText(row, "name"),
      readInteger(row, "value"),
    ]);
    this.#saveCounter = raw(
      "INSERT INTO counters(name, value) VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value",
    );
    this.#addToCounter = raw(
      "INSERT INTO counters(name, value) VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET value = value + excluded.value",
    );
    this.quarantine = new QuarantineTable(database);
    this.damaged = new DamagedTable(database);
    this.#pages = database.prepare("PRAGMA page_count", (row) => readInteger(row, "page_count"));
    this.#freePages = database.prepare("PRAGMA freelist_count", (row) =>
      readInteger(row, "freelist_count"),
    );
  }

  insertBlock(block: BlockRow): void {
    this.#insert.run(block.id, block.time, block.records, block.values, block.data);
  }

  /** Deletes a block with what is known about its parts. */
  deleteBlock(id: number): void {
    const deleted = this.#delete.run(id);
    if (deleted !== 1) {
      // A row that can be found and not deleted would be dropped again and again.
      throw new DataError(`Cannot delete block ${id}: ${deleted} rows of that id`, {
        reason: "corrupt",
      });
    }
    this.#deletePartial.run(id);
  }

  /** The block, done records included. */
  readBlock(id: number): BlockRow | undefined {
    return this.#read.get(id);
  }

  /** The bytes of a block whatever else its row holds; `undefined` when it has none. */
  readBytes(id: number): Uint8Array | undefined {
    return this.#readBytes.get(id);
  }

  /** Which records of the block are done; `undefined` when none is. */
  readBitmap(id: number): Uint8Array | undefined {
    return this.#readPartial.get(id);
  }

  /** What is left in the block. */
  readLeft(id: number): BlockSummary | undefined {
    return this.#left.get(id);
  }

  /** The first block after `id`. */
  nextId(id: number): number | undefined {
    const next = this.#next.get(id);
    if (next !== undefined && next <= id) {
      throw outOfOrder(id, next);
    }
    return next;
  }

  /** The last block before `id`. */
  previousId(id: number): number | undefined {
    const previous = this.#last.get(id);
    if (previous !== undefined && previous >= id) {
      throw outOfOrder(id, previous);
    }
    return previous;
  }

  oldest(): BlockSummary | undefined {
    return this.#oldest.get();
  }

  /** Reads the head of every row: slow on a big file. */
  totals(): HeldTotals {
    return this.#totals.get() ?? { blocks: 0, records: 0, values: 0 };
  }

  savePartial(
    block: { readonly id: number; readonly records: number; readonly values: number },
    done: Uint8Array,
  ): void {
    this.#savePartial.run(block.id, block.records, block.values, done);
  }

  readCounters(): CounterRow[] {
    return this.#readCounters.all();
  }

  saveCounter(name: string, value: number): void {
    this.#saveCounter.run(name, value);
  }

  /** Writes down the quota for those who look into the file, unless it is there. */
  noteQuota(maxBytes: number): void {
    if (
      !this.readCounters().some(([name, value]) => name === QUOTA_COUNTER && value === maxBytes)
    ) {
      this.saveCounter(QUOTA_COUNTER, maxBytes);
    }
  }

  /** Adds to a counter that is no part of the account. */
  addToCounter(name: string, by: number): void {
    this.#addToCounter.run(name, by);
  }

  /** Bytes of the pages in use, and of the free ones. The WAL is not counted. */
  size(): { readonly usedBytes: number; readonly freeBytes: number } {
    const pages = this.#pages.get() ?? 0;
    const free = this.#freePages.get() ?? 0;
    return { usedBytes: (pages - free) * PAGE_BYTES, freeBytes: free * PAGE_BYTES };
  }

  /** Writes the WAL back into the file and cuts it to nothing. */
  checkpoint(): void {
    this.database.query("PRAGMA wal_checkpoint(TRUNCATE)");
  }

  /** Writes the WAL back into the file; it keeps its size and is written from the front again. */
  rewind(): void {
    this.database.query("PRAGMA wal_checkpoint(RESTART)");
  }

  /** Gives free pages back to the file system. Costs as much as the store holds. */
  shrink(): void {
    this.database.exec("VACUUM");
    this.checkpoint();
  }

  [Symbol.dispose](): void {
    this.database.close();
  }
}

/** A damaged index can lead in a circle; whoever follows it would never come to an end. */
function outOfOrder(from: number, to: number): DataError {
  return new DataError(`Cannot read the event store: block ${to} follows block ${from}`, {
    reason: "corrupt",
  });
}

function readId(row: SqlRow): number {
  return readInteger(row, "id");
}

function readSummary(row: SqlRow): BlockSummary {
  return {
    id: readInteger(row, "id"),
    time: readInteger(row, "time"),
    records: readInteger(row, "records"),
    values: readInteger(row, "value_count"),
  };
}
