import { existsSync, readdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { Database, SqliteError } from "#platform/sqlite";
import { readBatch } from "#sdk/batch";
import { DataError, TransientError } from "#sdk/errors";
import { type Ledger, ledgerImbalance } from "#sdk/ledger";
import { Account } from "./account.ts";
import { BlockState } from "./block-state.ts";
import { makeCursor } from "./cursor.ts";
import type { DamagedEntry } from "./damaged-table.ts";
import type { StoredRecord } from "./event-store.ts";
import type { QuarantineEntry } from "./quarantine-table.ts";
import { QUOTA_COUNTER } from "./quota-counter.ts";
import { decodeBlock } from "./record.ts";
import { hasTables } from "./sqlite-schema.ts";
import { SqliteTables } from "./sqlite-tables.ts";

const BUSY_MS = 5000;

/** A shorter history says nothing about the rate of growth. */
const MIN_SPAN_MS = 60_000;

/** What a store holds, as a person wants to know it. */
export interface StoreInfo {
  readonly path: string;
  readonly records: number;
  readonly values: number;
  readonly bytes: number;
  readonly maxBytes: number | undefined;
  /** Epoch milliseconds at which the oldest and the newest record were stored. */
  readonly oldestTs: number | undefined;
  readonly newestTs: number | undefined;
  /** How long the free part of the quota lasts at the rate at which the backlog grew. */
  readonly horizonMs: number | undefined;
  readonly ledger: Ledger;
  readonly quarantine: readonly QuarantineEntry[];
  /** Quarantined records that were deleted for want of space. */
  readonly quarantineForgotten: number;
}

/** What is wrong with a store. */
export interface StoreVerdict {
  readonly path: string;
  readonly blocks: number;
  /** Blocks in the store that cannot be read. */
  readonly damaged: readonly { readonly block: number; readonly reason: string }[];
  /** Damage found earlier. */
  readonly evidence: readonly Omit<DamagedEntry, "data">[];
  /** What SQLite says about the file; `undefined` when it is sound. */
  readonly file: string | undefined;
  /** Values of the ledger that are not accounted for; 0 in a sound store. */
  readonly imbalance: number;
  /** Names of the files that were set aside, in the same folder. */
  readonly setAside: readonly string[];
  /** Values lost by damage, as the ledger has them. */
  readonly lostValues: number;
}

/**
 * Opens a store for reading while the gateway runs or not, and changes nothing. Records are read without a transaction:
 * a reader that takes its time must not make the log of a running store grow.
 * @throws TransientError when there is no store at `path` or it cannot be opened
 */
export class StoreInspector implements Disposable {
  readonly #path: string;
  readonly #database: Database;
  readonly #tables: SqliteTables;

  constructor(path: string) {
    if (!existsSync(path)) {
      throw new TransientError(`Cannot open ${path}: there is no event store`);
    }
    this.#path = path;
    let database: Database | undefined;
    try {
      database = new Database(path, { readonly: true });
      database.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
      if (!hasTables(database)) {
        throw new DataError("it has no tables of an event store", { reason: "corrupt" });
      }
      this.#tables = new SqliteTables(database);
      this.#database = database;
    } catch (error) {
      database?.close();
      throw new TransientError(`Cannot read the event store ${path}`, { cause: error });
    }
  }

  /** @throws SqliteError when the file is damaged there */
  info(): StoreInfo {
    this.#database.exec("BEGIN"); // One state of the store; it ends with the connection.
    const tables = this.#tables;
    const counters = tables.readCounters();
    const { ledger, records } = Account.fromRows(counters);
    const named = new Map(counters);
    const oldestTs = tables.oldest()?.time;
    const last = tables.previousId(Number.MAX_SAFE_INTEGER);
    const newestTs = last === undefined ? undefined : tables.readLeft(last)?.time;
    const { usedBytes } = tables.size();
    const maxBytes = named.get(QUOTA_COUNTER);
    return {
      path: this.#path,
      records,
      values: ledger.queued,
      bytes: usedBytes,
      maxBytes,
      oldestTs,
      newestTs,
      horizonMs: horizon({ usedBytes, maxBytes, spanMs: (newestTs ?? 0) - (oldestTs ?? 0) }),
      ledger,
      quarantine: [...this.#quarantine()],
      quarantineForgotten: named.get("quarantine/forgotten") ?? 0,
    };
  }

  /** The records that wait, oldest first; blocks that cannot be read are passed over and their ids given to `onDamaged`. */
  *records(onDamaged: (block: number, reason: string) => void): Generator<StoredRecord> {
    for (let id = this.#tables.nextId(0); id !== undefined; id = this.#tables.nextId(id)) {
      const block = this.#read(id);
      if (typeof block === "string") {
        onDamaged(id, block);
        continue;
      }
      for (const [index, record] of block.records.entries()) {
        if (!block.state.isDone(index)) {
          yield { ...record, cursor: makeCursor(id, index) };
        }
      }
    }
  }

  /** Reads everything and says what is wrong. */
  verify(): StoreVerdict {
    this.#database.exec("BEGIN");
    const damaged: { block: number; reason: string }[] = [];
    let blocks = 0;
    const file = this.#fileVerdict();
    let last = 0;
    try {
      for (let id = this.#tables.nextId(0); id !== undefined; id = this.#tables.nextId(id)) {
        last = id;
        blocks += 1;
        const block = this.#read(id);
        if (typeof block === "string") {
          damaged.push({ block: id, reason: block });
        }
      }
    } catch (error) {
      damaged.push({ block: last + 1, reason: `and those after it: ${reasonOf(error)}` });
    }
    const { ledger } = Account.fromRows(this.#tables.readCounters());
    const folder = dirname(this.#path);
    return {
      path: this.#path,
      blocks,
      damaged,
      evidence: this.#tables.damaged.all().map(({ data: _bytes, ...entry }) => entry),
      file,
      imbalance: ledgerImbalance(ledger).delivery,
      setAside: readdirSync(folder)
        .filter((name) => name.startsWith(`${basename(this.#path)}.corrupt-`))
        .sort(),
      lostValues: ledger.dropped["corruption"] ?? 0,
    };
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  *#quarantine(): Generator<QuarantineEntry> {
    let last = 0;
    for (;;) {
      const entry = this.#tables.quarantine.next(last);
      if (entry === undefined) {
        return;
      }
      last = entry.id;
      const { time, reason, values, record } = entry;
      yield { time, reason, values, record };
    }
  }

  #fileVerdict(): string | undefined {
    try {
      const row = this.#database.query("PRAGMA quick_check(1)")[0];
      const text = String(row?.["quick_check"]);
      return text === "ok" ? undefined : text;
    } catch (error) {
      return reasonOf(error);
    }
  }

  /** The block, or what is wrong with it. */
  #read(
    id: number,
  ): { readonly records: ReturnType<typeof readBatch>; readonly state: BlockState } | string {
    try {
      const row = this.#tables.readBlock(id);
      // Without a row it has been released since its number was read.
      const records = row === undefined ? [] : readBatch(decodeBlock(row.data).text);
      return { records, state: new BlockState(id, records, this.#tables.readBitmap(id)) };
    } catch (error) {
      return reasonOf(error);
    }
  }
}

/** @throws what is neither damage nor a refusal of the disk */
function reasonOf(error: unknown): string {
  if (error instanceof DataError || error instanceof SqliteError) {
    return error.message;
  }
  throw error;
}

function horizon(growth: {
  readonly usedBytes: number;
  readonly maxBytes: number | undefined;
  readonly spanMs: number;
}): number | undefined {
  const { usedBytes, maxBytes, spanMs } = growth;
  if (maxBytes === undefined || spanMs < MIN_SPAN_MS || usedBytes <= 0) {
    return undefined;
  }
  return Math.round((Math.max(0, maxBytes - usedBytes) / usedBytes) * spanMs);
}
