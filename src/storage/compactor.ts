import { SqliteError } from "#platform/sqlite";
import { DataError } from "#sdk/errors";
import type { Account } from "./account.ts";
import { MAX_BLOCK_BYTES } from "./intake.ts";
import { decodeBlock, encodeBlock, MAX_BLOCK_RECORDS } from "./record.ts";
import type { SqliteTables } from "./sqlite-tables.ts";

/** A block with less text than this is worth merging. */
const SMALL_BYTES = 16 * 1024;

/** Merging begins when so many small blocks wait, and takes all of them. */
const ENOUGH_BLOCKS = 256;

/** Blocks further apart in time are not merged: age is that of the whole block. */
const MAX_SPAN_MS = 3_600_000;

/** A share of the age limit by which a record may be dropped too early. */
const SPAN_SHARE = 100;

/** What merging has changed. */
export interface Merged {
  /** Ids of the blocks that were merged; the last of them holds what was in all. */
  readonly removed: readonly number[];
  readonly account: Account;
  readonly usedBytes: number;
}

/**
 * Merges small neighbouring blocks that nobody has read yet: a backlog of small commits would take five times the space. A merged block
 * has the id of its last part, so that order stays and no cursor that was given out changes its meaning.
 */
export class Compactor {
  readonly #maxSpanMs: number;
  /** Ids of small blocks that were not read, in order. */
  readonly #small = new Set<number>();

  /** `ttlMs`: age at which records are dropped, 0 for never. */
  constructor(ttlMs: number) {
    this.#maxSpanMs = ttlMs === 0 ? MAX_SPAN_MS : Math.min(MAX_SPAN_MS, ttlMs / SPAN_SHARE);
  }

  /** A block was written with so many bytes of text. */
  inserted(id: number, textBytes: number): void {
    if (textBytes < SMALL_BYTES) {
      this.#small.add(id);
    }
  }

  /** Records of blocks up to `id` have been given out: those blocks stay as they are. */
  delivered(id: number): void {
    for (const small of this.#small) {
      if (small > id) {
        break;
      }
      this.#small.delete(small);
    }
  }

  /** The block has left the store. */
  gone(id: number): void {
    this.#small.delete(id);
  }

  /** Forgets what waits: these blocks stay small. */
  reset(): void {
    this.#small.clear();
  }

  /**
   * Merges what waits once there is enough of it. When the disk or a damaged block is in the way everything stays as it is: what is
   * wrong is found by those who read.
   */
  attempt(tables: SqliteTables, account: Account): Merged | undefined {
    if (this.#small.size < ENOUGH_BLOCKS) {
      return undefined;
    }
    const draft = account.draft();
    try {
      const removed = tables.database.transaction(() => {
        const merged = this.#run(tables, draft);
        tables.saveCounter("held/blocks", draft.blocks);
        return merged;
      });
      return { removed, account: draft, usedBytes: tables.size().usedBytes };
    } catch (error) {
      if (error instanceof SqliteError || error instanceof DataError) {
        return undefined;
      }
      throw error;
    } finally {
      this.reset();
    }
  }

  #run(tables: SqliteTables, draft: Account): number[] {
    const removed: number[] = [];
    let run: Part[] = [];
    let bytes = 0;
    let records = 0;
    const flush = (): void => {
      if (run.length > 1) {
        removed.push(...merge(tables, run));
        draft.blocks -= run.length - 1;
      }
      run = [];
      bytes = 0;
      records = 0;
    };
    for (const id of this.#small) {
      const part = readPart(tables, id);
      const first = run[0] ?? part;
      if (
        part === undefined ||
        first === undefined ||
        tables.nextId(run.at(-1)?.id ?? id - 1) !== id ||
        bytes + part.text.length > MAX_BLOCK_BYTES ||
        records + part.records > MAX_BLOCK_RECORDS ||
        Math.abs(part.time - first.time) > this.#maxSpanMs
      ) {
        flush();
      }
      if (part !== undefined) {
        run.push(part);
        bytes += part.text.length;
        records += part.records;
      }
    }
    flush();
    return removed;
  }
}

interface Part {
  readonly id: number;
  readonly time: number;
  readonly records: number;
  readonly values: number;
  readonly text: Uint8Array;
}

/** A block of which nothing is done. */
function readPart(tables: SqliteTables, id: number): Part | undefined {
  const row = tables.readBlock(id);
  if (row === undefined || tables.readBitmap(id) !== undefined) {
    return undefined;
  }
  const { time, records, values, text } = decodeBlock(row.data);
  return { id, time, records, values, text };
}

/** Puts one block in the place of the parts; returns the ids that are gone. */
function merge(tables: SqliteTables, parts: readonly Part[]): number[] {
  const id = parts.at(-1)?.id ?? 0;
  const time = Math.min(...parts.map((part) => part.time));
  const text = Buffer.concat(parts.map((part) => part.text));
  const records = parts.reduce((sum, part) => sum + part.records, 0);
  const values = parts.reduce((sum, part) => sum + part.values, 0);
  for (const part of parts) {
    tables.deleteBlock(part.id);
  }
  tables.insertBlock({
    id,
    time,
    records,
    values,
    data: encodeBlock({ time, records, values, text }),
  });
  return parts.map((part) => part.id);
}
