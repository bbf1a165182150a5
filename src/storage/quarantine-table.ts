import type { Database, SqlRow, Statement } from "#platform/sqlite";
import { readInteger, readText } from "./row-decoders.ts";

/** The quarantine keeps so many records. */
export const MAX_QUARANTINE_RECORDS = 10_000;

const MAX_QUARANTINE_BYTES = 16 * 1024 * 1024;

/** So many bytes of records the quarantine keeps in a store of `maxBytes`: it must not crowd out what waits to be sent. */
export function quarantineBytes(maxBytes: number): number {
  return Math.min(MAX_QUARANTINE_BYTES, Math.floor(maxBytes / 8));
}

/** A record set aside. */
export interface QuarantineEntry {
  /** Epoch milliseconds. */
  readonly time: number;
  readonly reason: string;
  readonly values: number;
  /** The record as a line of the batch codec. */
  readonly record: string;
}

/** Records that the platform will never take, kept for a person to read. */
export class QuarantineTable {
  readonly #add: Statement<SqlRow>;
  readonly #next: Statement<QuarantineEntry & { readonly id: number }>;
  readonly #trimNumber: Statement<SqlRow>;
  readonly #trimBytes: Statement<SqlRow>;

  constructor(database: Database) {
    const raw = (sql: string): Statement<SqlRow> => database.prepare(sql, (row) => row);
    this.#add = raw("INSERT INTO quarantine(time, reason, value_count, record) VALUES(?, ?, ?, ?)");
    this.#next = database.prepare(
      "SELECT id, time, reason, value_count, record FROM quarantine WHERE id > ? ORDER BY id LIMIT 1",
      (row) => ({
        id: readInteger(row, "id"),
        time: readInteger(row, "time"),
        reason: readText(row, "reason"),
        values: readInteger(row, "value_count"),
        record: readText(row, "record"),
      }),
    );
    this.#trimNumber = raw(
      `DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - ${MAX_QUARANTINE_RECORDS}`,
    );
    this.#trimBytes = raw(
      "DELETE FROM quarantine WHERE id < (SELECT max(id) FROM quarantine) AND id <= (SELECT max(id) FROM" +
        " (SELECT id, sum(octet_length(record)) OVER (ORDER BY id DESC) AS bytes FROM quarantine)" +
        " WHERE bytes > ?)",
    );
  }

  add(entry: QuarantineEntry): void {
    this.#add.run(entry.time, entry.reason, entry.values, entry.record);
  }

  /** The first entry after `id`. */
  next(id: number): (QuarantineEntry & { readonly id: number }) | undefined {
    return this.#next.get(id);
  }

  /** Deletes the oldest entries that are over the limits of number and `maxBytes`, but not the newest; how many. */
  trim(maxBytes: number): number {
    return this.#trimNumber.run() + this.#trimBytes.run(maxBytes);
  }
}
