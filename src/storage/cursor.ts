import type { Cursor } from "./event-store.ts";

/** Bits of a cursor that hold the index in the block. */
const INDEX_BITS = 20n;
const INDEX_MASK = (1n << INDEX_BITS) - 1n;

/** The cursor of record `index` (from 0) of block `block` (from 1). */
export function makeCursor(block: number, index: number): Cursor {
  // The brand is made from a position in the store: that is what it stands for.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  return ((BigInt(block) << INDEX_BITS) | BigInt(index)) as Cursor;
}

/** Id of the cursor's block; 0 for `START`. */
export function blockOf(cursor: Cursor): number {
  return Number(cursor >> INDEX_BITS);
}

/** Index of the cursor's record in its block. */
export function indexOf(cursor: Cursor): number {
  return Number(cursor & INDEX_MASK);
}
