import { DataError } from "#sdk/errors";
import type { QuarantineEntry } from "../quarantine-table.ts";
import { type Block, decodeBlock, HEADER_BYTES } from "../record.ts";
import { PAGE_BYTES } from "../sqlite-tables.ts";
import type { PageView } from "./page-view.ts";
import {
  type Cell,
  type Column,
  cellPlaces,
  INDEX_LEAF,
  readColumns,
  readPayload,
  readTableCell,
  readVarint,
  TABLE_LEAF,
} from "./sqlite-cells.ts";

/** Something found in the pages of a damaged file. */
export type SalvagedRow =
  | {
      readonly kind: "block";
      /** `undefined` when its place in the order is lost. */
      readonly id: number | undefined;
      readonly block: Block;
      readonly data: Uint8Array;
    }
  | { readonly kind: "partial"; readonly id: number; readonly done: Uint8Array }
  | { readonly kind: "counter"; readonly name: string; readonly value: number }
  | { readonly kind: "quarantine"; readonly id: number; readonly entry: QuarantineEntry };

/** First bytes of a block, as `record.ts` writes them. */
const MAGIC = Buffer.from("TBGB");
const MAGIC_TEXT = "TBGB";
/** Ids beyond it were never given: a damaged one must not use up the numbers. */
const MAX_ID = 2 ** 42;
/** What may lie in a row in front of the block: the record's header and four columns. */
const MIN_PREFIX = 8;
const MAX_PREFIX = 40;
const FILE_HEADER_BYTES = 100;

/**
 * Everything in the pages that can be proven or has the shape of one of our rows, page by page. Pages that the list of free pages names
 * are passed over, and so is what was deleted in a sound page. Blocks have passed their CRC.
 */
export function* salvageRows(view: PageView): Generator<SalvagedRow> {
  const free = freePages(view);
  const find = (number: number): Uint8Array | undefined => view.page(number);
  for (let number = 1; number <= view.count; number += 1) {
    view.advance(number);
    const page = free.has(number) ? undefined : view.page(number);
    if (page === undefined) {
      continue;
    }
    const header = number === 1 ? FILE_HEADER_BYTES : 0;
    let isSound = false;
    const places = new Set<number>();
    if (page[header] === TABLE_LEAF) {
      isSound = yield* tableRows(page, header, find, places);
    } else if (page[header] === INDEX_LEAF) {
      yield* counterRows(page, header);
    }
    if (!isSound) {
      yield* blocksByMagic(page, find, places);
    }
  }
}

/** The rows of a table leaf. True when the page is sound: then nothing else in it is alive. */
function* tableRows(
  page: Uint8Array,
  header: number,
  find: (number: number) => Uint8Array | undefined,
  blockPlaces: Set<number>,
): Generator<SalvagedRow, boolean> {
  const { places, isSound } = cellPlaces(page, header);
  let isWhole = isSound;
  for (const place of places) {
    const cell = readTableCell(page, place);
    const row = cell === undefined ? undefined : tableRow(page, cell, find);
    if (row === undefined) {
      isWhole = false;
      continue;
    }
    if (row.kind === "block") {
      blockPlaces.add(Buffer.from(page.buffer, page.byteOffset, page.length).indexOf(MAGIC, place));
    }
    yield row;
  }
  return isWhole;
}

function tableRow(
  page: Uint8Array,
  cell: Cell,
  find: (number: number) => Uint8Array | undefined,
): SalvagedRow | undefined {
  if (cell.rowId < 1 || cell.rowId > MAX_ID) {
    return undefined;
  }
  for (const isConsecutive of [false, true]) {
    const payload = readPayload(page, cell, find, isConsecutive);
    const columns = payload === undefined ? undefined : readColumns(payload);
    const row = columns === undefined ? undefined : rowOf(cell.rowId, columns);
    if (row !== undefined) {
      return row;
    }
  }
  return undefined;
}

/** Tells by the shape of a row which table it is of. */
function rowOf(id: number, columns: readonly Column[]): SalvagedRow | undefined {
  const [, second, third, fourth, fifth] = columns;
  if (columns.length === 5 && fifth instanceof Uint8Array) {
    const block = provenBlock(fifth);
    return block === undefined ? undefined : { kind: "block", id, block, data: fifth };
  }
  if (columns.length === 4 && fourth instanceof Uint8Array) {
    return { kind: "partial", id, done: fourth };
  }
  const isEntry =
    columns.length === 5 &&
    typeof second === "number" &&
    typeof third === "string" &&
    typeof fourth === "number" &&
    typeof fifth === "string";
  return isEntry
    ? {
        kind: "quarantine",
        id,
        entry: { time: second, reason: third, values: fourth, record: fifth },
      }
    : undefined;
}

function provenBlock(data: Uint8Array): Block | undefined {
  try {
    return decodeBlock(data);
  } catch (error) {
    if (error instanceof DataError) {
      return undefined;
    }
    throw error;
  }
}

function* counterRows(page: Uint8Array, header: number): Generator<SalvagedRow> {
  for (const place of cellPlaces(page, header).places) {
    const length = readVarint(page, place);
    if (length === undefined || length.next + length.value > PAGE_BYTES) {
      continue;
    }
    const columns = readColumns(page.subarray(length.next, length.next + length.value));
    const [name, value] = columns ?? [];
    if (
      columns?.length === 2 &&
      typeof name === "string" &&
      typeof value === "number" &&
      value >= 0
    ) {
      yield { kind: "counter", name, value };
    }
  }
}

/** Blocks whose cells cannot be found: by their magic, their own length and their CRC. */
function* blocksByMagic(
  page: Uint8Array,
  find: (number: number) => Uint8Array | undefined,
  known: ReadonlySet<number>,
): Generator<SalvagedRow> {
  const bytes = Buffer.from(page.buffer, page.byteOffset, page.length);
  for (let at = bytes.indexOf(MAGIC); at >= 0; at = bytes.indexOf(MAGIC, at + MAGIC_TEXT.length)) {
    if (at + HEADER_BYTES > PAGE_BYTES || known.has(at)) {
      continue;
    }
    const row = blockAt(bytes, at, find);
    if (row !== undefined) {
      yield row;
    }
  }
}

/**
 * The block whose magic is at `at`. How much of it lies in this page depends on the length of the row, and that on the columns in front
 * of the block: each possible length is tried, and the CRC decides.
 */
function blockAt(
  page: Buffer,
  at: number,
  find: (number: number) => Uint8Array | undefined,
): SalvagedRow | undefined {
  const blockBytes = HEADER_BYTES + page.readUInt32BE(at + 28);
  for (const isConsecutive of [false, true]) {
    for (let prefix = MIN_PREFIX; prefix <= MAX_PREFIX && prefix <= at; prefix += 1) {
      const cell = { at: at - prefix, payloadBytes: prefix + blockBytes };
      const data = readPayload(page, cell, find, isConsecutive)?.subarray(prefix);
      const block = data === undefined ? undefined : provenBlock(data);
      if (data !== undefined && block !== undefined) {
        return { kind: "block", id: rowIdBefore(page, cell), block, data };
      }
    }
  }
  return undefined;
}

/** The row id that ends where the payload begins, if the length in front of it agrees. */
function rowIdBefore(
  page: Uint8Array,
  cell: { readonly at: number; readonly payloadBytes: number },
): number | undefined {
  for (let back = 2; back <= 13 && back <= cell.at; back += 1) {
    const found = readTableCell(page, cell.at - back);
    if (
      found?.at === cell.at &&
      found.payloadBytes === cell.payloadBytes &&
      found.rowId >= 1 &&
      found.rowId <= MAX_ID
    ) {
      return found.rowId;
    }
  }
  return undefined;
}

/** Numbers of the free pages; none when the list does not agree with itself. */
function freePages(view: PageView): { has(number: number): boolean } {
  const nothing = { has: () => false };
  const first = view.page(1);
  if (first === undefined) {
    return nothing;
  }
  const bits = new Uint8Array((view.count >> 3) + 1);
  const header = new DataView(first.buffer, first.byteOffset, first.byteLength);
  const expected = header.getUint32(36);
  let count = 0;
  for (let trunk = header.getUint32(32); trunk !== 0; ) {
    const page = view.page(trunk);
    if (page === undefined || count >= expected) {
      return nothing;
    }
    const list = new DataView(page.buffer, page.byteOffset, page.byteLength);
    const leaves = list.getUint32(4);
    if (leaves > PAGE_BYTES / 4 - 2) {
      return nothing;
    }
    for (const number of [
      trunk,
      ...Array.from({ length: leaves }, (_, at) => list.getUint32(8 + at * 4)),
    ]) {
      bits[number >> 3] = (bits[number >> 3] ?? 0) | (1 << (number & 7));
      count += 1;
    }
    trunk = list.getUint32(0);
  }
  return count === expected
    ? { has: (number) => ((bits[number >> 3] ?? 0) & (1 << (number & 7))) !== 0 }
    : nothing;
}
