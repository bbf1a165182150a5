import { existsSync } from "node:fs";
import { BatchWriter, readBatch } from "#sdk/batch";
import { DataError } from "#sdk/errors";
import { type Ledger, mergeReasons } from "#sdk/ledger";
import { Account } from "./account.ts";
import { BlockState } from "./block-state.ts";
import { LedgerFile } from "./ledger-file.ts";
import { decodeBlock } from "./record.ts";
import { openFile, type RecoveryDeps, type StoreFile } from "./recovery.ts";
import type { SqliteTables } from "./sqlite-tables.ts";

/** What a store in memory begins with. */
export interface Inherited {
  /** The ledger so far, with the values of `batches` as queued. */
  readonly account: Account;
  /** Batches of records that wait, with the time they were stored (epoch ms), oldest first. */
  readonly batches: readonly { readonly text: Uint8Array; readonly time: number }[];
}

/** Both ledgers in one. */
export function joinLedgers(left: Ledger, right: Ledger): Ledger {
  return {
    received: left.received + right.received,
    stored: left.stored + right.stored,
    acknowledged: left.acknowledged + right.acknowledged,
    queued: left.queued + right.queued,
    quarantined: left.quarantined + right.quarantined,
    filtered: mergeReasons(left.filtered, right.filtered),
    rejected: mergeReasons(left.rejected, right.rejected),
    dropped: mergeReasons(left.dropped, right.dropped),
  };
}

/**
 * From disk to memory: takes the waiting records and the ledger out of the file, which keeps its quarantine. `undefined` when the
 * records do not fit into the ring: the file goes on being the store until they have been sent. @throws SqliteError
 */
export function takeFromDisk(
  file: StoreFile,
  deps: RecoveryDeps,
  limits: { readonly maxRecords: number; readonly maxBytes: number },
): Inherited | undefined {
  const { tables, account } = openFile(file, deps);
  using _closing = tables;
  if (account.records > limits.maxRecords) {
    return undefined;
  }
  const batches: { text: Uint8Array; time: number }[] = [];
  let bytes = 0;
  for (let id = tables.nextId(0); id !== undefined; id = tables.nextId(id)) {
    const batch = remaining(tables, id);
    bytes += batch?.text.length ?? 0;
    if (bytes > limits.maxBytes) {
      return undefined;
    }
    if (batch !== undefined) {
      batches.push(batch);
    }
  }
  const held = { blocks: 0, records: 0, values: 0 };
  for (const { text } of batches) {
    held.values += readBatch(text).reduce((sum, record) => sum + record.values, 0);
  }
  const inherited = account.draft();
  inherited.reconcile(held, "corruption");
  empty(tables, account.nextBlock);
  return { account: inherited, batches };
}

/** From memory to disk: adds the ledger that the store in memory has left to that of the file. @throws SqliteError */
export function addLedgerToDisk(file: StoreFile, deps: RecoveryDeps, dataDir: string): void {
  const ledgerFile = new LedgerFile(dataDir);
  const left = ledgerFile.read();
  if (left === undefined) {
    return;
  }
  const { tables, account } = openFile(file, deps);
  using _closing = tables;
  account.ledger = joinLedgers(account.ledger, left.ledger);
  save(tables, account);
  ledgerFile.delete();
}

/** Whether there is a store on disk. */
export function isOnDisk(path: string): boolean {
  return existsSync(path);
}

/** What is left of a block; `undefined` when nothing is or it cannot be read. */
function remaining(
  tables: SqliteTables,
  id: number,
): { readonly text: Uint8Array; readonly time: number } | undefined {
  try {
    const row = tables.readBlock(id);
    const records = row === undefined ? [] : readBatch(decodeBlock(row.data).text);
    const state = new BlockState(id, records, tables.readBitmap(id));
    const writer = new BatchWriter();
    for (const [index, record] of records.entries()) {
      if (!state.isDone(index)) {
        writer.add(record);
      }
    }
    return writer.records === 0 ? undefined : { text: writer.take(), time: row?.time ?? 0 };
  } catch (error) {
    if (error instanceof DataError) {
      return undefined;
    }
    throw error;
  }
}

/** Nothing waits in the file any more, and its ledger is kept elsewhere. */
function empty(tables: SqliteTables, nextBlock: number): void {
  const nothing = new Account();
  nothing.nextBlock = nextBlock;
  tables.database.transaction(() => {
    tables.database.exec("DELETE FROM blocks; DELETE FROM partial; DELETE FROM counters");
    for (const [name, value] of nothing.rows()) {
      tables.saveCounter(name, value);
    }
  });
  tables.checkpoint();
}

function save(tables: SqliteTables, account: Account): void {
  tables.database.transaction(() => {
    for (const [name, value] of account.rows()) {
      tables.saveCounter(name, value);
    }
  });
}
