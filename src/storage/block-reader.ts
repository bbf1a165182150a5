import { type EncodedRecord, readBatch } from "#sdk/batch";
import { DataError } from "#sdk/errors";
import { BlockState, type OpenBlock } from "./block-state.ts";
import { LruBytes } from "./lru-bytes.ts";
import { decodeBlock } from "./record.ts";
import type { SqliteTables } from "./sqlite-tables.ts";

const DECODED_BYTES = 2 * 1024 * 1024;
const FRESH_BYTES = 2 * 1024 * 1024;
const MAX_STATES = 512;

/**
 * Opens blocks for reading: from memory when they were just written or read, else from their rows. Keeps the states of blocks
 * while they matter; a state with something pending is never forgotten.
 */
export class BlockReader {
  readonly #decoded = new LruBytes<readonly EncodedRecord[]>(DECODED_BYTES);
  readonly #fresh = new LruBytes<Uint8Array>(FRESH_BYTES);
  readonly #states = new Map<number, BlockState>();

  /** A block was written with this text. */
  written(id: number, text: Uint8Array): void {
    this.#fresh.set(id, text, text.length);
  }

  /** The block has left the store. */
  gone(id: number): void {
    this.#fresh.delete(id);
    this.#decoded.delete(id);
    this.#states.get(id)?.markGone();
    this.#states.delete(id);
  }

  /** Nothing that was read counts any more; states with something pending stay. */
  reset(): void {
    this.#fresh.clear();
    this.#decoded.clear();
    this.#trim(0);
  }

  /**
   * The block with its records, `undefined` when there is none.
   * @throws DataError when it is there and cannot be read. SqliteError.
   */
  open(id: number, tables: SqliteTables): OpenBlock | undefined {
    const cached = this.#decoded.get(id);
    const records = cached ?? this.#read(id, tables);
    if (records === undefined) {
      return undefined;
    }
    return { records, state: this.#stateOf(id, records, tables) };
  }

  /** The block's state when it is in memory: while the block is being sent it is. */
  state(id: number): BlockState | undefined {
    return this.#states.get(id);
  }

  #read(id: number, tables: SqliteTables): readonly EncodedRecord[] | undefined {
    const fresh = this.#fresh.get(id);
    let text = fresh;
    let expected: number | undefined;
    if (text === undefined) {
      const row = tables.readBlock(id);
      if (row === undefined) {
        return undefined;
      }
      const block = decodeBlock(row.data);
      ({ text } = block);
      expected = block.records;
    }
    const records = readBatch(text);
    if (expected !== undefined && expected !== records.length) {
      throw new DataError(`Cannot read a block: ${records.length} records, need ${expected}`, {
        reason: "corrupt",
      });
    }
    this.#fresh.delete(id);
    this.#decoded.set(id, records, text.length);
    return records;
  }

  #stateOf(id: number, records: readonly EncodedRecord[], tables: SqliteTables): BlockState {
    const known = this.#states.get(id);
    if (known !== undefined) {
      // Moves it to the end: forgotten last.
      this.#states.delete(id);
      this.#states.set(id, known);
      return known;
    }
    const state = readState(id, records, tables);
    this.#states.set(id, state);
    this.#trim(MAX_STATES);
    return state;
  }

  #trim(max: number): void {
    for (const [id, state] of this.#states) {
      if (this.#states.size <= max) {
        return;
      }
      if (!state.isDirty) {
        this.#states.delete(id);
      }
    }
  }
}

/** A bitmap that does not agree with the number beside it is damaged: then everything is sent again rather than some of it never. */
function readState(
  id: number,
  records: readonly EncodedRecord[],
  tables: SqliteTables,
): BlockState {
  const done = tables.readBitmap(id);
  const state = new BlockState(id, records, done);
  const isRight = done === undefined || tables.readLeft(id)?.records === state.records;
  return isRight ? state : new BlockState(id, records, undefined);
}
