import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Database, SqliteError, type SqlRow } from "#platform/sqlite";
import { DataError, TransientError } from "#sdk/errors";
import { type EpochMs, epochMs } from "#sdk/model";
import type { LeftBacklog, LeftFile, LeftRecord } from "./python-source.ts";

const DATA_FILE = /^data.*\.db$/;
const ROWS_AT_ONCE = 200;
/** Most rows in a row that are tried one by one in damaged pages: about a second. */
const MAX_PROBES = 100_000;
const BUSY_MS = 500;

/** A row of `messages`. */
interface MessageRow {
  readonly position: number;
  readonly text: string | undefined;
  readonly storedMs: EpochMs;
}

/**
 * The `data*.db` files of a folder in the order of their names, in which the Python gateway reads them too. `undefined` when
 * there is none. @throws Error when the folder cannot be read.
 */
export function findDatabases(folder: string): LeftBacklog | undefined {
  const names = existsSync(folder)
    ? readdirSync(folder).filter((name) => DATA_FILE.test(name))
    : [];
  if (names.length === 0) {
    return undefined;
  }
  const files = names.sort().map((name): LeftFile => {
    const path = join(folder, name);
    const records = (position: number): Iterable<LeftRecord> => readDatabase(path, position);
    return { path, identity: `${name}/${statSync(path).ino}`, startAt: -1, records };
  });
  return { folder, files, others: [], warnings: [] };
}

/**
 * The rows after `position` in the order of their ids; sent rows have been deleted. What a damaged page held is counted and
 * passed over. @throws TransientError when another process has the file open; SqliteError when it cannot be read at all.
 */
function* readDatabase(path: string, position: number): Generator<LeftRecord> {
  using database = new Database(path);
  const storedMs = epochMs(statSync(path).mtimeMs);
  const read = openMessages(path, database, storedMs);
  if (read === undefined) {
    return;
  }
  let last = position;
  for (;;) {
    let rows = readable(() => read(last, ROWS_AT_ONCE));
    if (rows === undefined) {
      rows = readAcrossDamage(read, last);
      const count = unreadableCount(last, rows[0]?.position);
      if (count > 0) {
        yield { position: last, text: undefined, count, storedMs };
      }
    }
    if (rows.length === 0) {
      return;
    }
    for (const row of rows) {
      yield { ...row, count: 1 };
      last = row.position;
    }
  }
}

type ReadMessages = (after: number, limit: number) => MessageRow[];

/** How to read the messages; `undefined` when the file has no such table. */
function openMessages(path: string, database: Database, fileMs: EpochMs): ReadMessages | undefined {
  database.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
  lockOut(path, database);
  const columns = database.query("PRAGMA table_info(messages)").map((row) => row["name"]);
  if (!columns.includes("message")) {
    return undefined;
  }
  // The rowid is the id where there is one: both schemas are read alike.
  const time = columns.includes("timestamp") ? "timestamp" : "NULL";
  const statement = database.prepare(
    `SELECT rowid AS position, ${time} AS stored, message FROM messages WHERE rowid > ? ORDER BY rowid LIMIT ?`,
    (row) => readRow(row, fileMs),
  );
  return (after, limit) => statement.all(after, limit);
}

/** A gateway that still runs would send the same records. @throws TransientError when another process has the file open. */
function lockOut(path: string, database: Database): void {
  try {
    database.query("PRAGMA locking_mode = EXCLUSIVE");
    database.exec("BEGIN EXCLUSIVE");
    database.exec("COMMIT");
  } catch (error) {
    if (error instanceof SqliteError && /^SQLITE_(BUSY|LOCKED)/.test(error.code)) {
      throw new TransientError(`${path} is in use: is a Python gateway still running?`, {
        cause: error,
      });
    }
    if (!(error instanceof SqliteError && error.code.startsWith("SQLITE_READONLY"))) {
      throw error;
    }
    // Where nobody may write, no other gateway works.
  }
}

function readRow(row: SqlRow, fileMs: EpochMs): MessageRow {
  const position = row["position"];
  const { message, stored } = row;
  if (typeof position !== "number" || !Number.isSafeInteger(position)) {
    throw new DataError("Cannot read a message: its id is no integer", { reason: "corrupt" });
  }
  const isTime = typeof stored === "number" && Number.isFinite(stored) && stored > 0;
  return {
    position,
    text: typeof message === "string" ? message : undefined,
    storedMs: isTime ? epochMs(stored) : fileMs,
  };
}

/** What `body` reads; `undefined` when the pages it needs are damaged. */
function readable<T>(body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (error instanceof DataError || (error instanceof SqliteError && error.isCorrupt)) {
      return undefined;
    }
    throw error;
  }
}

/** The first row after `last` that can be read, alone; none when there is none within reach. */
function readAcrossDamage(read: ReadMessages, last: number): MessageRow[] {
  for (let probe = 0; probe < MAX_PROBES; probe += 1) {
    const rows = readable(() => read(last + probe, 1));
    if (rows !== undefined) {
      return rows;
    }
  }
  return [];
}

/** How many rows damage has cost between two positions: ids have no gaps but before the first row. At the end nobody knows. */
function unreadableCount(last: number, position: number | undefined): number {
  return position === undefined || last < 0 ? 1 : position - last - 1;
}
