import { copyFileSync, existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Clock } from "#sdk/clock";
import { DataError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { Account } from "./account.ts";
import { OLDEST_COUNTER } from "./oldest-counter.ts";
import { copyReadable, isDamage } from "./salvage/copy-rows.ts";
import { salvage } from "./salvage/salvage.ts";
import { readWal, type WalImage } from "./salvage/wal-image.ts";
import { FOREIGN, openTables } from "./sqlite-schema.ts";
import type { SqliteTables } from "./sqlite-tables.ts";

/** Up to so many blocks the rows are counted at open; beyond it the totals are believed until the store has been drained. */
const COUNT_AT_OPEN_BLOCKS = 20_000;

/** So many damaged files are kept beside the store. */
const MAX_SET_ASIDE = 3;

/** Where the store lies and how it syncs. */
export interface StoreFile {
  readonly path: string;
  /** Sync each commit. */
  readonly isDurable: boolean;
  /** Most bytes of records in quarantine. */
  readonly quarantineBytes: number;
  /** The log is written back when it is this long. */
  readonly walBytes: number;
}

/** What opening and repairing needs. */
export interface RecoveryDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** What is known about a damaged file. */
export interface Damage {
  readonly error: unknown;
  /** The account as it is known to be right; without it the counters of the old file go on where they can be read. */
  readonly account: Account | undefined;
  /** The log as it was before the file was opened. */
  readonly wal?: WalImage;
}

/** An open file and the account that goes with it. */
export interface OpenedFile {
  readonly tables: SqliteTables;
  readonly account: Account;
}

/**
 * Opens the store whatever state the file is in: replays the WAL, makes the account agree with the blocks, sets a damaged file aside
 * and copies what can be read from it. @throws SqliteError when the disk itself refuses.
 */
export function openFile(file: StoreFile, deps: RecoveryDeps): OpenedFile {
  let tables: SqliteTables | undefined;
  // SQLite cuts off whatever follows a damaged frame of the log, so this comes first.
  const wal = readWal(`${file.path}-wal`);
  const damagedLog = wal.ignored.size > 0 ? keepLog(file.path, deps.clock.now()) : undefined;
  try {
    tables = openTables(file.path, { ...file, isChecked: true });
    const account = Account.fromRows(tables.readCounters());
    if (damagedLog !== undefined) {
      salvageLog({ tables, account, wal, aside: damagedLog, path: file.path }, deps);
    }
    reconcile(tables, account, deps);
    trimQuarantine(tables, file.quarantineBytes);
    return { tables, account };
  } catch (error) {
    tables?.[Symbol.dispose]();
    if (!isDamage(error)) {
      throw error;
    }
    return rebuildFile(file, deps, { error, account: undefined, wal });
  }
}

/**
 * Sets the closed, damaged file aside under a new name and begins a fresh one with everything that can be read of the old one, by SQLite
 * and, where that cannot go on, page by page. @throws SqliteError when the disk refuses.
 */
export function rebuildFile(file: StoreFile, deps: RecoveryDeps, damage: Damage): OpenedFile {
  const nowMs = deps.clock.now();
  const aside = setAside(file.path, nowMs);
  const tables = openTables(file.path, { ...file, isChecked: true });
  try {
    const { account, salvagedBlocks } = fillFresh(tables, aside, damage);
    const lostValues = Math.max(0, account.reconcile(tables.totals(), "corruption"));
    saveAccount(tables, account);
    noteLoss(tables, { time: nowMs, values: lostValues, reason: `see ${basename(aside)}` });
    trimQuarantine(tables, file.quarantineBytes);
    deps.log.error("The event store was damaged; set the file aside and kept what could be read", {
      aside,
      keptBlocks: account.blocks,
      salvagedBlocks,
      keptValues: account.ledger.queued,
      lostValues,
      error: damage.error,
    });
    return { tables, account };
  } catch (error) {
    tables[Symbol.dispose]();
    throw error;
  }
}

/** Puts what can be read of the file `aside` into fresh tables; the account it had, not yet compared with what was found. */
function fillFresh(
  tables: SqliteTables,
  aside: string,
  damage: Damage,
): { readonly account: Account; readonly salvagedBlocks: number } {
  const wal = damage.wal ?? readWal(`${aside}-wal`);
  const copied = copyReadable(aside, tables);
  // Also when SQLite came to an end: a damaged page of the index passes over rows without an error.
  const salvaged = isForeign(damage.error)
    ? undefined
    : salvage({
        path: aside,
        wal,
        target: tables,
        wants: () => true,
        withQuarantine: !copied.hasQuarantine,
      });
  const counters = copied.account ?? Account.fromRows([...(salvaged?.counters ?? [])]);
  const account = (damage.account ?? counters).draft();
  account.nextBlock = Math.max(account.nextBlock, copied.nextBlock, salvaged?.nextBlock ?? 1);
  return { account, salvagedBlocks: salvaged?.blocks ?? 0 };
}

function isForeign(error: unknown): boolean {
  return error instanceof DataError && error.reason === FOREIGN;
}

/** Blocks in the part of the log that SQLite did not take; `account` still knows nothing of them. */
function salvageLog(
  found: {
    readonly tables: SqliteTables;
    readonly account: Account;
    readonly wal: WalImage;
    readonly aside: string;
    readonly path: string;
  },
  deps: RecoveryDeps,
): void {
  const { tables, account, wal, aside, path } = found;
  // Older ones that are not there any more have been deleted in the part that was taken.
  const wants = (id: number): boolean => id >= account.nextBlock;
  const { blocks, nextBlock, counters } = salvage({
    path,
    wal,
    target: tables,
    wants,
    withQuarantine: false,
  });
  const later = Account.fromRows([...counters]);
  if (later.nextBlock > account.nextBlock && later.ledger.stored >= account.ledger.stored) {
    account.ledger = later.ledger;
    deleteBefore(tables, counters.get(OLDEST_COUNTER) ?? 0);
  }
  account.nextBlock = Math.max(account.nextBlock, nextBlock);
  account.blocks = -1; // Whatever it was, it has to be counted afresh.
  noteLoss(tables, { time: deps.clock.now(), values: 0, reason: `see ${basename(aside)}` }, true);
  deps.log.error("The log of the event store was damaged; kept what could be read", {
    aside,
    salvagedBlocks: blocks,
  });
}

/** Deletes blocks that a later state of the file did not hold any more. */
function deleteBefore(tables: SqliteTables, oldest: number): void {
  tables.database.transaction(() => {
    for (let id = tables.nextId(0); id !== undefined && id < oldest; id = tables.nextId(id)) {
      tables.deleteBlock(id);
    }
  });
}

/** Leaves a trace of values that are missing without a block that could be named. */
function noteLoss(
  tables: SqliteTables,
  loss: { readonly time: number; readonly values: number; readonly reason: string },
  isCertain = loss.values > 0,
): void {
  if (isCertain) {
    tables.database.transaction(() =>
      tables.damaged.add({ ...loss, block: 0, data: new Uint8Array() }),
    );
  }
}

/** Makes `account` agree with the blocks, in memory and in the file. */
function reconcile(tables: SqliteTables, account: Account, deps: RecoveryDeps): void {
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
  noteLoss(tables, {
    time: deps.clock.now(),
    values: Math.max(0, missing),
    reason: "in the ledger and not in the file",
  });
  deps.log.error("The ledger of the event store did not agree with its blocks; corrected it", {
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

/** Copies the log aside; SQLite is about to cut it. Returns the name of the copy. */
function keepLog(path: string, nowMs: number): string {
  const aside = freeName(path, nowMs);
  copyFileSync(`${path}-wal`, `${aside}-wal`);
  forgetOldest(path, aside);
  return aside;
}

/** Renames the file with its WAL and index; returns the name it got. */
function setAside(path: string, nowMs: number): string {
  const aside = freeName(path, nowMs);
  for (const suffix of ["", "-wal", "-shm"]) {
    if (existsSync(path + suffix)) {
      renameSync(path + suffix, aside + suffix);
    }
  }
  forgetOldest(path, aside);
  return aside;
}

function freeName(path: string, nowMs: number): string {
  let name = `${path}.corrupt-${nowMs}`;
  for (let attempt = 1; existsSync(name) || existsSync(`${name}-wal`); attempt += 1) {
    name = `${path}.corrupt-${nowMs}-${attempt}`;
  }
  return name;
}

/**
 * Files set aside must not fill the disk: the newest stay, among them `aside`, which has yet to be read. The clock that named it may
 * be years behind the one that named the others.
 */
function forgetOldest(path: string, aside: string): void {
  const folder = dirname(path);
  const names = [
    ...new Set(
      readdirSync(folder)
        .filter((name) => name.startsWith(`${basename(path)}.corrupt-`))
        .map((name) => name.replace(/-(wal|shm)$/, "")),
    ),
  ].filter((name) => name !== basename(aside));
  for (const name of names.sort().slice(0, 1 - MAX_SET_ASIDE)) {
    for (const suffix of ["", "-wal", "-shm"]) {
      rmSync(join(folder, name + suffix), { force: true });
    }
  }
}
