import { Database, SqliteError } from "#platform/sqlite";
import { DataError } from "#sdk/errors";
import { readInteger } from "./row-decoders.ts";
import { PAGE_BYTES, SqliteTables } from "./sqlite-tables.ts";

/** Says in the file's header whose it is: "TBGW". */
export const APPLICATION_ID = 0x54_42_47_57;

/** Reason of the DataError for a file of another program or version: there is nothing of ours in it to be saved. */
export const FOREIGN = "foreign";

/** Version of the tables. */
export const SCHEMA_VERSION = 1;

const CACHE_KIB = 2048;
const WAL_BYTES = 4 * 1024 * 1024;
const CHECK_BYTES = 4 * 1024 * 1024;
const BUSY_MS = 1000;

const SCHEMA = `
CREATE TABLE IF NOT EXISTS blocks(
  id INTEGER PRIMARY KEY, time INTEGER NOT NULL, records INTEGER NOT NULL, value_count INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS partial(
  block INTEGER PRIMARY KEY, records INTEGER NOT NULL, value_count INTEGER NOT NULL, done BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantine(
  id INTEGER PRIMARY KEY, time INTEGER NOT NULL, reason TEXT NOT NULL, value_count INTEGER NOT NULL, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS damaged(
  id INTEGER PRIMARY KEY, time INTEGER NOT NULL, block INTEGER NOT NULL, reason TEXT NOT NULL, value_count INTEGER NOT NULL, data BLOB NOT NULL);
`;

/**
 * Opens the file and makes the tables when it is empty. `walBytes`: size at which the log is written back;
 * `isChecked`: a small file is looked through for damage.
 * @throws DataError reason `foreign` when the file is of another program or version, `corrupt` when its tables are damaged. SqliteError.
 */
export function openTables(
  path: string,
  options: {
    readonly isDurable: boolean;
    readonly isChecked: boolean;
    readonly walBytes?: number;
  },
): SqliteTables {
  const database = new Database(path);
  try {
    database.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    database.exec(`PRAGMA page_size = ${PAGE_BYTES}`);
    database.exec(`PRAGMA cache_size = -${CACHE_KIB}`);
    checkOwner(database);
    database.query("PRAGMA journal_mode = WAL");
    database.exec(`PRAGMA synchronous = ${options.isDurable ? "FULL" : "NORMAL"}`);
    const walBytes = options.walBytes ?? WAL_BYTES;
    database.exec(`PRAGMA wal_autocheckpoint = ${Math.ceil(walBytes / PAGE_BYTES)}`);
    database.exec(`PRAGMA journal_size_limit = ${walBytes}`);
    if (pragma(database, "user_version") === 0) {
      database.transaction(() => {
        database.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
        database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
        database.exec(SCHEMA);
      });
    }
    if (options.isChecked) {
      checkSmall(database);
    }
    return prepareTables(database);
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Whether the open file has all of our tables. */
export function hasTables(database: Database): boolean {
  checkOwner(database);
  const rows = database.query(
    "SELECT count(*) AS tables FROM sqlite_schema WHERE name IN ('blocks', 'partial', 'counters', 'quarantine', 'damaged')",
  );
  return rows[0]?.["tables"] === 5;
}

/** A small file is looked through at open: that takes some milliseconds. @throws DataError reason `corrupt` */
function checkSmall(database: Database): void {
  if (pragma(database, "page_count") * PAGE_BYTES > CHECK_BYTES) {
    return;
  }
  const result = database.query("PRAGMA quick_check(1)")[0]?.["quick_check"];
  if (result !== "ok") {
    throw new DataError(`Cannot read the event store: ${String(result)}`, { reason: "corrupt" });
  }
}

/** Makes a table that is missing; what was in it is found missing in its turn. @throws DataError when a column is missing. */
function prepareTables(database: Database): SqliteTables {
  database.exec(SCHEMA);
  try {
    return new SqliteTables(database);
  } catch (error) {
    if (error instanceof SqliteError && error.code === "SQLITE_ERROR") {
      throw new DataError("Cannot read the event store: its tables are not as they should be", {
        cause: error,
        reason: hasOurShape(database) ? "corrupt" : FOREIGN,
      });
    }
    throw error;
  }
}

/** Whether the definitions of the tables are as long as ours: then a flipped bit is likelier than another program. */
function hasOurShape(database: Database): boolean {
  const rows = database.query("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL");
  const lengths = rows.map((row) => String(row["sql"]).length).sort((left, right) => left - right);
  using ours = new Database(":memory:");
  ours.exec(SCHEMA);
  const expected = ours
    .query("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")
    .map((row) => String(row["sql"]).length)
    .sort((left, right) => left - right);
  return lengths.join() === expected.join();
}

/** Bits in which two 32-bit numbers differ. */
function differentBits(left: number, right: number): number {
  return ((left ^ right) >>> 0).toString(2).replaceAll("0", "").length;
}

/** @throws DataError unless the file is empty or ours: reason `corrupt` when one bit makes the difference, else `foreign`. */
function checkOwner(database: Database): void {
  const id = pragma(database, "application_id");
  const version = pragma(database, "user_version");
  const tables = database.query("SELECT count(*) AS tables FROM sqlite_schema")[0];
  const isEmpty = id === 0 && version === 0 && tables?.["tables"] === 0;
  if (!isEmpty && (id !== APPLICATION_ID || version !== SCHEMA_VERSION)) {
    const bits = differentBits(id, APPLICATION_ID) + differentBits(version, SCHEMA_VERSION);
    throw new DataError(
      `Cannot read the event store: application id ${id} and version ${version}, need ${APPLICATION_ID} and ${SCHEMA_VERSION}`,
      { reason: bits <= 1 ? "corrupt" : FOREIGN },
    );
  }
}

function pragma(database: Database, name: string): number {
  const row = database.query(`PRAGMA ${name}`)[0];
  return row === undefined ? 0 : readInteger(row, name);
}
