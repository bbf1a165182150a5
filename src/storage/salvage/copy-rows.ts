import { SqliteError } from "#platform/sqlite";
import { DataError } from "#sdk/errors";
import { Account } from "../account.ts";
import { openTables } from "../sqlite-schema.ts";
import type { SqliteTables } from "../sqlite-tables.ts";

/** Blocks copied in one transaction. */
const COPY_BLOCKS = 200;

/** What SQLite could read of a damaged file. */
export interface CopiedRows {
  /** The counters; `undefined` when they could not be read. */
  readonly account: Account | undefined;
  readonly nextBlock: number;
  readonly hasQuarantine: boolean;
}

const NOTHING: CopiedRows = {
  account: undefined,
  nextBlock: 1,
  hasQuarantine: false,
};

/** Copies what SQLite can read, from the oldest block on until an error, then from the newest back. @throws SqliteError of the target */
export function copyReadable(path: string, target: SqliteTables): CopiedRows {
  const source = openDamaged(path);
  if (source === undefined) {
    return NOTHING;
  }
  using _closing = source;
  const account = readAccount(source);
  const forward = copyBlocks({ source, target }, 0, (id) => source.nextId(id));
  const backward = forward.isComplete
    ? undefined
    : copyBlocks({ source, target }, Number.MAX_SAFE_INTEGER, (id) => {
        const previous = source.previousId(id);
        return previous !== undefined && previous > forward.last ? previous : undefined;
      });
  const hasQuarantine = target.database.transaction(() => copyQuarantine(source, target));
  return {
    account,
    nextBlock: Math.max(account?.nextBlock ?? 1, forward.highest, backward?.highest ?? 1),
    hasQuarantine,
  };
}

/** The file as SQLite sees it; `undefined` when it sees nothing. */
function openDamaged(path: string): SqliteTables | undefined {
  try {
    return openTables(path, { isDurable: false, isChecked: false });
  } catch (error) {
    if (error instanceof SqliteError || error instanceof DataError) {
      return undefined;
    }
    throw error;
  }
}

function readAccount(source: SqliteTables): Account | undefined {
  const counters = readable(() => source.readCounters());
  return counters === undefined ? undefined : Account.fromRows(counters);
}

/** Where a copy goes from and to. */
interface Copy {
  readonly source: SqliteTables;
  readonly target: SqliteTables;
}

/** Follows `step` from `from` and copies each block; stops where the source cannot be read. */
function copyBlocks(
  copy: Copy,
  from: number,
  step: (id: number) => number | undefined,
): { readonly last: number; readonly highest: number; readonly isComplete: boolean } {
  let last = from;
  let highest = 1;
  for (;;) {
    let outcome: "more" | "end" | "damaged" = "more";
    copy.target.database.transaction(() => {
      for (let count = 0; count < COPY_BLOCKS && outcome === "more"; count += 1) {
        const id = readable(() => step(last) ?? 0);
        if (id === undefined || id === 0) {
          outcome = id === 0 ? "end" : "damaged";
          return;
        }
        last = id;
        highest = Math.max(highest, id + 1);
        copyBlock(copy, id);
      }
    });
    if (outcome !== "more") {
      return { last, highest, isComplete: outcome === "end" };
    }
  }
}

/** Copies one block with its bitmap; passes over one that cannot be read. */
function copyBlock({ source, target }: Copy, id: number): void {
  const row = readable(() => source.readBlock(id));
  if (row === undefined) {
    return;
  }
  target.insertBlock(row);
  const done = readable(() => source.readBitmap(id));
  const left = done === undefined ? undefined : readable(() => source.readLeft(id));
  if (done !== undefined && left !== undefined) {
    target.savePartial(left, done);
  }
}

/** Copies the quarantine as far as it can be read; false when nothing of it could be. */
function copyQuarantine(source: SqliteTables, target: SqliteTables): boolean {
  let last = 0;
  try {
    for (;;) {
      const entry = source.quarantine.next(last);
      if (entry === undefined) {
        return true;
      }
      target.quarantine.add(entry);
      last = entry.id;
    }
  } catch (error) {
    if (isDamage(error)) {
      return last > 0;
    }
    throw error;
  }
}

/** What `read` returns; `undefined` when the damage reaches there. */
function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isDamage(error)) {
      return undefined;
    }
    throw error;
  }
}

/** Whether `error` says that the file is damaged or not ours, so that trying again changes nothing. */
export function isDamage(error: unknown): boolean {
  return error instanceof DataError || (error instanceof SqliteError && error.isCorrupt);
}
