import { PAGE_BYTES } from "../sqlite-tables.ts";

/** Kinds of b-tree pages ("B-tree Pages" of the SQLite file format). */
export const TABLE_LEAF = 0x0d;
/** The kind of page in which rows of a table WITHOUT ROWID lie. */
export const INDEX_LEAF = 0x0a;

/** A column as it lies in a row. */
export type Column = number | string | Uint8Array | null;

/** How to find a page by its number. */
export type FindPage = (number: number) => Uint8Array | undefined;

/** A cell of a leaf page: where its payload begins and how long it is in all. */
export interface Cell {
  readonly rowId: number;
  /** Place of the payload in the page. */
  readonly at: number;
  readonly payloadBytes: number;
}

const LEAF_HEADER_BYTES = 8;
/** Most of a payload that stays in a leaf of a table, and least ("Cell Payload Overflow Pages"). */
const MAX_LOCAL = PAGE_BYTES - 35;
const MIN_LOCAL = Math.floor(((PAGE_BYTES - 12) * 32) / 255) - 23;
const OVERFLOW_BYTES = PAGE_BYTES - 4;

const decoder = new TextDecoder();

/** A variable-length integer at `at`; `undefined` when the bytes end before it or it is too big for a number. */
export function readVarint(
  bytes: Uint8Array,
  at: number,
): { readonly value: number; readonly next: number } | undefined {
  let value = 0;
  for (let index = 0; index < 8; index += 1) {
    const byte = bytes[at + index];
    if (byte === undefined) {
      return undefined;
    }
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      return Number.isSafeInteger(value) ? { value, next: at + index + 1 } : undefined;
    }
  }
  return undefined;
}

/** Places of the cells of a leaf page. `isSound`: all of them lie in the page and behind their list. */
export function cellPlaces(
  page: Uint8Array,
  header: number,
): { readonly places: readonly number[]; readonly isSound: boolean } {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const list = header + LEAF_HEADER_BYTES;
  const count = view.getUint16(header + 3);
  const places: number[] = [];
  let isSound = list + count * 2 <= PAGE_BYTES;
  for (let at = list; at < list + count * 2 && at + 2 <= PAGE_BYTES; at += 2) {
    const place = view.getUint16(at);
    if (place >= list + count * 2 && place < PAGE_BYTES) {
      places.push(place);
    } else {
      isSound = false;
    }
  }
  return { places, isSound };
}

/** The cell of a table leaf at `place`; `undefined` when there is none. */
export function readTableCell(page: Uint8Array, place: number): Cell | undefined {
  const length = readVarint(page, place);
  const rowId = length === undefined ? undefined : readVarint(page, length.next);
  if (length === undefined || rowId === undefined || rowId.next >= PAGE_BYTES) {
    return undefined;
  }
  return { rowId: rowId.value, at: rowId.next, payloadBytes: length.value };
}

/**
 * The whole payload of a cell, put together from the page and its chain of overflow pages. A page that is missing makes it `undefined`.
 * `isConsecutive`: the chain is taken to be pages in a row, for a chain whose pointers are damaged.
 */
export function readPayload(
  page: Uint8Array,
  cell: { readonly at: number; readonly payloadBytes: number },
  find: FindPage,
  isConsecutive = false,
): Uint8Array | undefined {
  const { at, payloadBytes } = cell;
  const surplus = MIN_LOCAL + ((payloadBytes - MIN_LOCAL) % OVERFLOW_BYTES);
  const local = surplus <= MAX_LOCAL ? surplus : MIN_LOCAL;
  const localBytes = payloadBytes <= MAX_LOCAL ? payloadBytes : local;
  const hasOverflow = localBytes < payloadBytes;
  if (at + localBytes + (hasOverflow ? 4 : 0) > PAGE_BYTES) {
    return undefined;
  }
  const parts: Uint8Array[] = [page.subarray(at, at + localBytes)];
  let next = hasOverflow ? readUint32(page, at + localBytes) : 0;
  for (let left = payloadBytes - localBytes; left > 0; left -= OVERFLOW_BYTES) {
    const overflow = find(next);
    if (overflow === undefined) {
      return undefined;
    }
    parts.push(overflow.subarray(4, 4 + Math.min(left, OVERFLOW_BYTES)));
    next = isConsecutive ? next + 1 : readUint32(overflow, 0);
  }
  return Buffer.concat(parts);
}

/** The columns of a row ("Record Format"); `undefined` when the bytes are none. Whole numbers beyond 2^53 make it none. */
export function readColumns(payload: Uint8Array): Column[] | undefined {
  const header = readVarint(payload, 0);
  if (header === undefined || header.value > payload.length) {
    return undefined;
  }
  const columns: Column[] = [];
  let body = header.value;
  for (let at = header.next; at < header.value; ) {
    const type = readVarint(payload, at);
    if (type === undefined) {
      return undefined;
    }
    at = type.next;
    const bytes = columnBytes(type.value);
    const column = readColumn(payload.subarray(body, body + bytes), type.value);
    if (column === undefined || body + bytes > payload.length) {
      return undefined;
    }
    columns.push(column);
    body += bytes;
  }
  return columns;
}

/** Bytes of a column by its serial type. */
export function columnBytes(type: number): number {
  return type >= 12
    ? (type - (type % 2 === 0 ? 12 : 13)) / 2
    : ([0, 1, 2, 3, 4, 6, 8, 8][type] ?? 0);
}

function readColumn(bytes: Uint8Array, type: number): Column | undefined {
  if (type === 0) {
    return null;
  }
  if (type >= 12) {
    return type % 2 === 0 ? bytes : decoder.decode(bytes);
  }
  if (type >= 8) {
    return type <= 9 ? type - 8 : undefined;
  }
  if (type === 7 || bytes.length === 0) {
    return undefined; // A float: no column of ours.
  }
  let value = (bytes[0] ?? 0) >= 128 ? -1n : 0n;
  for (const byte of bytes) {
    value = (value << 8n) | BigInt(byte);
  }
  return Number.isSafeInteger(Number(value)) ? Number(value) : undefined;
}

function readUint32(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0);
}
