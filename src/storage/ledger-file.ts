import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { Account, type CounterRow } from "./account.ts";

/** Name of the file in the data folder. */
export const LEDGER_FILE = "events.ledger.json";

/** The ledger of a store in memory, kept across restarts. */
export class LedgerFile {
  readonly #path: string;

  constructor(dataDir: string) {
    this.#path = join(dataDir, LEDGER_FILE);
  }

  /**
   * The account of the run before this one; what was still queued then is `dropped(restart)`. `undefined` when there is no file or it
   * cannot be read.
   */
  read(): Account | undefined {
    const rows = this.#rows();
    if (rows === undefined) {
      return undefined;
    }
    const account = Account.fromRows(rows);
    account.reconcile({ blocks: 0, records: 0, values: 0 }, "restart");
    return account;
  }

  /** Replaces the file in one step. @throws Error when the disk refuses */
  write(account: Account): void {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    const temporary = `${this.#path}.new`;
    const file = openSync(temporary, "w", 0o600);
    try {
      writeSync(file, `${JSON.stringify(Object.fromEntries(account.rows()))}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, this.#path);
  }

  /** Deletes the file: its counts are kept elsewhere. */
  delete(): void {
    rmSync(this.#path, { force: true });
  }

  #rows(): CounterRow[] | undefined {
    try {
      const parsed: unknown = JSON.parse(readFileSync(this.#path, "utf8"));
      if (typeof parsed !== "object" || parsed === null) {
        return undefined;
      }
      const rows: CounterRow[] = [];
      for (const [name, value] of Object.entries(parsed)) {
        if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) {
          rows.push([name, value]);
        }
      }
      return rows;
    } catch {
      return undefined; // No file, or one that a power cut left empty: counting starts again.
    }
  }
}
