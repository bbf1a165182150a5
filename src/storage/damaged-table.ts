import type { Database, SqlRow, Statement } from "#platform/sqlite";
import { readBlob, readInteger, readText } from "./row-decoders.ts";

/** Evidence of so many damaged blocks is kept. */
const MAX_DAMAGED = 100;

/** A longer block is kept without its bytes. */
const MAX_DATA_BYTES = 16 * 1024;

/** A block that could not be read, or values that were missing after damage. */
export interface DamagedEntry {
  /** Epoch milliseconds at which it was found. */
  readonly time: number;
  /** Id of the block; 0 for values whose block is not known. */
  readonly block: number;
  /** What was wrong. */
  readonly reason: string;
  /** Values lost. */
  readonly values: number;
  /** The block's bytes as they were; empty when they could not be read or are too many. */
  readonly data: Uint8Array;
}

/** Evidence of damage, for a person to look at: the newest hundred. */
export class DamagedTable {
  readonly #add: Statement<SqlRow>;
  readonly #all: Statement<DamagedEntry>;
  readonly #trim: Statement<SqlRow>;

  constructor(database: Database) {
    const raw = (sql: string): Statement<SqlRow> => database.prepare(sql, (row) => row);
    this.#add = raw(
      "INSERT INTO damaged(time, block, reason, value_count, data) VALUES(?, ?, ?, ?, ?)",
    );
    this.#all = database.prepare(
      "SELECT time, block, reason, value_count, data FROM damaged ORDER BY id",
      (row) => ({
        time: readInteger(row, "time"),
        block: readInteger(row, "block"),
        reason: readText(row, "reason"),
        values: readInteger(row, "value_count"),
        data: readBlob(row, "data"),
      }),
    );
    this.#trim = raw(
      `DELETE FROM damaged WHERE id <= (SELECT max(id) FROM damaged) - ${MAX_DAMAGED}`,
    );
  }

  /** Adds an entry; the oldest goes when there are too many. */
  add(entry: DamagedEntry): void {
    const { time, block, reason, values, data } = entry;
    const kept = data.length > MAX_DATA_BYTES ? new Uint8Array() : data;
    this.#add.run(time, block, reason, values, kept);
    this.#trim.run();
  }

  all(): readonly DamagedEntry[] {
    return this.#all.all();
  }
}
