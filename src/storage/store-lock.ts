import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Database, SqliteError } from "#platform/sqlite";
import { TransientError } from "#sdk/errors";

/** An empty database whose lock says that the folder is in use. The system lets go of it when the process ends, however it ends. */
export const LOCK_FILE = "events.lock";

/** Says which process has the lock. */
const OWNER_FILE = "events.lock.owner";

/**
 * The right to use a data folder, for one process at a time. A thread that was started again in the same process gets it even while
 * the lock of the thread before it has not been collected.
 */
export class StoreLock implements Disposable {
  /** `undefined`: another thread of this process has it. */
  #database: Database | undefined;

  private constructor(database: Database | undefined) {
    this.#database = database;
  }

  /** Takes the lock of a folder that exists. @throws TransientError when another process has it or the disk refuses. */
  static take(dataDir: string): StoreLock {
    const path = join(dataDir, LOCK_FILE);
    let database: Database | undefined;
    try {
      database = new Database(path);
      chmodSync(path, 0o600);
      database.query("PRAGMA journal_mode = MEMORY");
      database.exec("BEGIN EXCLUSIVE");
      writeFileSync(join(dataDir, OWNER_FILE), `${identity()}\n`, { mode: 0o600 });
      return new StoreLock(database);
    } catch (error) {
      closeQuietly(database);
      const isTaken = error instanceof SqliteError && error.code.startsWith("SQLITE_BUSY");
      if (!isTaken) {
        throw new TransientError(`Cannot use ${path}`, { cause: error });
      }
      const owner = readOwner(dataDir);
      if (owner === identity()) {
        return new StoreLock(undefined);
      }
      throw new TransientError(
        `Cannot use ${dataDir}: process ${owner.split(" ")[0]} has it; one gateway per data directory`,
        { cause: error },
      );
    }
  }

  [Symbol.dispose](): void {
    closeQuietly(this.#database);
    this.#database = undefined;
  }
}

/** Number and start time of this process: the number alone comes back, and is the same in two containers. */
function identity(): string {
  // The name in field 2 may hold spaces and brackets; field 22 is the start time (proc_pid_stat(5)).
  const fields = readFileSync("/proc/self/stat", "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return `${process.pid} ${fields[19]}`;
}

function readOwner(dataDir: string): string {
  try {
    return readFileSync(join(dataDir, OWNER_FILE), "utf8").trim();
  } catch {
    return "unknown"; // The owner has yet to write it.
  }
}

/** A lock that cannot be closed properly ends with the process. */
function closeQuietly(database: Database | undefined): void {
  try {
    database?.close();
  } catch {
    return;
  }
}
