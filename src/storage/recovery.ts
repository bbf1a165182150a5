import { existsSync, renameSync } from "node:fs";
import { SqliteError } from "#platform/sqlite";
import type { Clock } from "#sdk/clock";
import { DataError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { Account } from "./account.ts";
import { openTables } from "./sqlite-schema.ts";
import type { SqliteTables } from "./sqlite-tables.ts";

/** Up to so many blocks the rows are counted at open; beyond it the totals are believed until the store has been drained. */
const COUNT_AT_OPEN_BLOCKS = 20_000;

/** Blocks copied in one transaction. */
const COPY_BLOCKS = 200;

/** Where the store lies and how it syncs. */
export interface StoreFile {
  readonly path: string;
  /** Sync each commit. */
  readonly isDurable: boolean;
  /** Most bytes of records in quarantine. */
  readonly quarantineBytes: number;
}

/** What opening and repairing needs. */
export interface RecoveryDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** An open file and the account that goes with it. */
export interface OpenedFile {
  readonly tables: SqliteTables;
  readonly account: Account;
}

/** Whether `error` says that the file is damaged or not ours, so that trying again changes nothing. */
export function isDamage(error: unknown): boolean {
  return error instanceof DataError || (error instanceof SqliteError && error.isCorrupt);
}

/**
 * Opens the store whatever state the file is in: replays the WAL, makes the account agree with the blocks, sets a damaged file aside
 * and copies what can be read from it. @throws SqliteError when the disk itself refuses.
 */
export function openFile(file: StoreFile, deps: RecoveryDeps): OpenedFile {
  let tables: SqliteTables | undefined;
  try {
    tables = openTables(file.path, { isDurable: file.isDurable, isChecked: true });
    const account = Account.fromRows(tables.readCounters());
    reconcile(tables, account, deps.log);
    trimQuarantine(tables, file.quarantineBytes);
    return { tables, account };
  } catch (error) {
    tables?.[Symbol.dispose]();
    if (!isDamage(error)) {
      throw error;
    }
    return rebuildFile(file, deps, { error, account: undefined });
  }
}

/**
 * Sets the closed, damaged file aside under a new name and begins a fresh one with everything that can be read of the old one.
 * `damage.account`: what is known to be right; without it the counters of the old file go on where they can be read.
 * @throws SqliteError when the disk refuses.
 */
export function rebuildFile(
  file: StoreFile,
  deps: RecoveryDeps,
  damage: { readonly error: unknown; readonly account: Account | undefined },
): OpenedFile {
  const aside = setAside(file.path, deps.clock.now());
  const tables = openTables(file.path, { isDurable: file.isDurable, isChecked: true });
  try {
    const copied = copyReadable(aside, tables);
    const account = (damage.account ?? copied.account).draft();
    account.nextBlock = Math.max(account.nextBlock, copied.nextBlock);
    const lostValues = account.reconcile(tables.totals(), "corruption");
    saveAccount(tables, account);
    trimQuarantine(tables, file.quarantineBytes);
    deps.log.error("The event store was damaged; set the file aside and kept what could be read", {
      aside,
      keptBlocks: account.blocks,
      keptValues: account.ledger.queued,
      lostValues: Math.max(0, lostValues),
      error: damage.error,
    });
    return { tables, account };
  } catch (error) {
    tables[Symbol.dispose]();
    throw error;
  }
}

/** Makes `account` agree with the blocks, in memory and in the file. */
function reconcile(tables: SqliteTables, account: Account, log: Logger): void {
  const before = account.ledger.queued;
  const isSmall = account.blocks <= COUNT_AT_OPEN_BLOCKS;
  const held = isSmall
    ? tables.totals()
    : { blocks: account.blocks, records: account.records, values: before };
  const lastId = tables.previousId(Number.MAX_SAFE_INTEGER) ?? 0;
  const isRight =
    held.blocks === account.blocks && held.records === account.records && held.values === before;
  const missing = account.reconcile(held, "corruption");
  if (isRight && missing === 0 && lastId < account.nextBlock) {
    return;
  }
  account.nextBlock = Math.max(account.nextBlock, lastId + 1);
  saveAccount(tables, account);
  log.error("The ledger of the event store did not agree with its blocks; corrected it", {
    missingValues: missing,
    heldValues: held.values,
  });
}

function saveAccount(tables: SqliteTables, account: Account): void {
  tables.database.transaction(() => {
    for (const [name, value] of account.rows()) {
      tables.saveCounter(name, value);
    }
  });
}

/** The quota may be smaller than it was. */
function trimQuarantine(tables: SqliteTables, maxBytes: number): void {
  tables.database.transaction(() => {
    const forgotten = tables.quarantine.trim(maxBytes);
    if (forgotten > 0) {
      tables.addToCounter("quarantine/forgotten", forgotten);
    }
  });
}

/** Renames the file with its WAL and index; returns the name it got. */
function setAside(path: string, nowMs: number): string {
  let aside = `${path}.corrupt-${nowMs}`;
  for (let attempt = 1; existsSync(aside); attempt += 1) {
    aside = `${path}.corrupt-${nowMs}-${attempt}`;
  }
  for (const suffix of ["", "-wal", "-shm"]) {
    if (existsSync(path + suffix)) {
      renameSync(path + suffix, aside + suffix);
    }
  }
  return aside;
}

/** Copies what can be read, from the oldest block on until an error, then from the newest back. */
function copyReadable(
  aside: string,
  target: SqliteTables,
): { readonly account: Account; readonly nextBlock: number } {
  let source: SqliteTables;
  try {
    source = openTables(aside, { isDurable: false, isChecked: false });
  } catch (error) {
    if (error instanceof SqliteError || error instanceof DataError) {
      return { account: new Account(), nextBlock: 1 };
    }
    throw error;
  }
  using _closing = source;
  const account = readable(() => Account.fromRows(source.readCounters())) ?? new Account();
  const forward = copyBlocks(source, target, 0, (id) => source.nextId(id));
  const backward = forward.isComplete
    ? forward
    : copyBlocks(source, target, Number.MAX_SAFE_INTEGER, (id) => {
        const previous = source.previousId(id);
        return previous !== undefined && previous > forward.last ? previous : undefined;
      });
  target.database.transaction(() => copyQuarantine(source, target));
  return { account, nextBlock: Math.max(account.nextBlock, forward.highest, backward.highest) };
}

/** Follows `step` from `from` and copies each block; stops where the source cannot be read. */
function copyBlocks(
  source: SqliteTables,
  target: SqliteTables,
  from: number,
  step: (id: number) => number | undefined,
): { readonly last: number; readonly highest: number; readonly isComplete: boolean } {
  let last = from;
  let highest = 1;
  for (;;) {
    let outcome: "more" | "end" | "damaged" = "more";
    target.database.transaction(() => {
      for (let count = 0; count < COPY_BLOCKS && outcome === "more"; count += 1) {
        const id = readable(() => step(last) ?? 0);
        if (id === undefined || id === 0) {
          outcome = id === 0 ? "end" : "damaged";
          return;
        }
        last = id;
        highest = Math.max(highest, id + 1);
        copyBlock(source, target, id);
      }
    });
    if (outcome !== "more") {
      return { last, highest, isComplete: outcome === "end" };
    }
  }
}

/** Copies one block with its bitmap; passes over one that cannot be read. */
function copyBlock(source: SqliteTables, target: SqliteTables, id: number): void {
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

/** Copies the quarantine as far as it can be read. */
function copyQuarantine(source: SqliteTables, target: SqliteTables): void {
  let last = 0;
  for (;;) {
    const entry = readable(() => source.quarantine.next(last));
    if (entry === undefined) {
      return;
    }
    target.quarantine.add(entry);
    last = entry.id;
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
