import { SqliteError } from "#platform/sqlite";
import { TransientError } from "#sdk/errors";
import type { Account } from "./account.ts";
import {
  type OpenedFile,
  openFile,
  type RecoveryDeps,
  rebuildFile,
  type StoreFile,
} from "./recovery.ts";
import { isDamage } from "./salvage/copy-rows.ts";
import type { SqliteTables } from "./sqlite-tables.ts";

/** What the owner of a connection provides. */
export interface ConnectionOwner {
  /** The file was opened, or replaced by a repaired one: everything known about it starts from here. */
  adopt(opened: OpenedFile): void;
  /** The account to go on with when the file is replaced. */
  account(): Account;
}

/** The store's file: opened when it is needed, replaced when it is damaged. */
export class Connection {
  readonly #file: StoreFile;
  readonly #deps: RecoveryDeps;
  readonly #owner: ConnectionOwner;
  /** `undefined` before the first use, and after an attempt to open the file has failed. */
  #tables: SqliteTables | undefined;

  constructor(file: StoreFile, deps: RecoveryDeps, owner: ConnectionOwner) {
    this.#file = file;
    this.#deps = deps;
    this.#owner = owner;
  }

  /** The open file; opens it when it is not. @throws SqliteError when the disk refuses. */
  tables(): SqliteTables {
    if (this.#tables !== undefined) {
      return this.#tables;
    }
    return this.#adopt(openFile(this.#file, this.#deps));
  }

  /** Runs what reads the file; a damaged one is repaired and read again. @throws TransientError when the disk refuses. */
  guarded<T>(action: string, body: () => T): T {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return body();
      } catch (error) {
        if (!isDamage(error) && !(error instanceof SqliteError)) {
          throw error;
        }
        if (!isDamage(error) || attempt > 1 || !this.repair(error)) {
          throw new TransientError(`Cannot ${action}`, { cause: error });
        }
      }
    }
  }

  /** Replaces a file that SQLite found to be damaged. False when the disk does not let us; the next use opens what is there. */
  repair(error: unknown): boolean {
    if (this.#tables === undefined) {
      return false;
    }
    this.close();
    try {
      const account = this.#owner.account();
      this.#adopt(rebuildFile(this.#file, this.#deps, { error, account }));
      return true;
    } catch (cause) {
      if (!isDamage(cause) && !(cause instanceof SqliteError)) {
        throw cause;
      }
      this.#deps.log.error("Cannot replace the damaged file of the event store", { error: cause });
      return false;
    }
  }

  /** Writes the quota down for those who look into the file; no harm when that fails. */
  noteQuota(maxBytes: number): void {
    this.#attempt("write down the quota of the event store", () =>
      this.#tables?.noteQuota(maxBytes),
    );
  }

  /** Writes the log back into the file, so that its space is used again from the front; no harm when that fails. */
  rewind(): void {
    this.#attempt("write the log of the event store back", () => this.#tables?.rewind());
  }

  /** Gives free space back to the file system; no harm when that fails: it is used again. */
  shrink(): void {
    this.#attempt("give free space of the event store back", () => this.#tables?.shrink());
  }

  /** Closes the file, with everything in it and nothing in the WAL when `checkpoint` is asked for. Never throws. */
  close(options: { readonly checkpoint: boolean } = { checkpoint: false }): void {
    const tables = this.#tables;
    this.#tables = undefined;
    if (options.checkpoint) {
      // Nothing is lost when it fails: the WAL is read at the next start.
      this.#attempt("write the WAL of the event store back", () => tables?.checkpoint());
    }
    this.#attempt("close the event store", () => tables?.[Symbol.dispose]());
  }

  #adopt(opened: OpenedFile): SqliteTables {
    this.#tables = opened.tables;
    this.#owner.adopt(opened);
    return opened.tables;
  }

  #attempt(action: string, body: () => void): void {
    try {
      body();
    } catch (error) {
      this.#deps.log.warn(`Cannot ${action}`, { error });
    }
  }
}
