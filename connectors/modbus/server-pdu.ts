import {
  bitBytes,
  type ServerTable,
  type ServerTables,
  type TableCode,
  wordBytes,
} from "./server-tables.ts";

/** Exception codes a server answers with. */
const ILLEGAL_FUNCTION = 1;
const ILLEGAL_DATA_ADDRESS = 2;
const ILLEGAL_DATA_VALUE = 3;

/** Texts of the device identification by their object number (Modbus application protocol §6.21). */
export type Identity = ReadonlyMap<number, string>;

/** What was written: a table and places of it. */
export interface Written {
  readonly table: TableCode;
  readonly address: number;
  readonly count: number;
}

/** What a server does with a request. */
export interface Served {
  readonly pdu: Uint8Array;
  readonly written: Written | undefined;
}

class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: number;

  constructor(code: number) {
    super(`exception ${code}`);
    this.code = code;
  }
}

/** Answers a request out of the tables, and carries out what it writes. */
export function serve(request: Uint8Array, tables: ServerTables, identity: Identity): Served {
  const [functionCode = 0] = request;
  try {
    return answer(request, tables, identity);
  } catch (error) {
    if (error instanceof Refusal) {
      return { pdu: Uint8Array.of(functionCode | 0x80, error.code), written: undefined };
    }
    throw error;
  }
}

function answer(request: Uint8Array, tables: ServerTables, identity: Identity): Served {
  const [functionCode = 0] = request;
  switch (functionCode) {
    case 1:
    case 2:
    case 3:
    case 4:
      return { pdu: read(request, functionCode, tables), written: undefined };
    case 5:
    case 6:
      return writeOne(request, functionCode, tables);
    case 15:
    case 16:
      return writeMany(request, functionCode, tables);
    default:
      return answerRare(request, tables, identity);
  }
}

function answerRare(request: Uint8Array, tables: ServerTables, identity: Identity): Served {
  switch (request[0]) {
    case 22:
      return maskRegister(request, tables);
    case 23:
      return readAndWrite(request, tables);
    case 43:
      return { pdu: identify(request, identity), written: undefined };
    default:
      throw new Refusal(ILLEGAL_FUNCTION);
  }
}

function word(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
}

function requireSize(bytes: Uint8Array, size: number): void {
  if (bytes.length !== size) {
    throw new Refusal(ILLEGAL_DATA_VALUE);
  }
}

function requireCount(count: number, most: number): void {
  if (count < 1 || count > most) {
    throw new Refusal(ILLEGAL_DATA_VALUE);
  }
}

function requireEnd(address: number, count: number): void {
  if (address + count > 0x1_0000) {
    throw new Refusal(ILLEGAL_DATA_ADDRESS);
  }
}

function valuesOf(table: ServerTable, address: number, count: number): readonly number[] {
  const values = table.read(address, count);
  if (values === undefined) {
    throw new Refusal(ILLEGAL_DATA_ADDRESS);
  }
  return values;
}

function read(request: Uint8Array, code: TableCode, tables: ServerTables): Uint8Array {
  requireSize(request, 5);
  const count = word(request, 3);
  requireCount(count, code <= 2 ? 2000 : 125);
  const values = valuesOf(tables[code], word(request, 1), count);
  const bytes = code <= 2 ? bitBytes(values) : wordBytes(values);
  return Uint8Array.from([code, bytes.length, ...bytes]);
}

function writeOne(request: Uint8Array, code: 5 | 6, tables: ServerTables): Served {
  requireSize(request, 5);
  const address = word(request, 1);
  const value = word(request, 3);
  if (code === 5 && value !== 0 && value !== 0xff00) {
    throw new Refusal(ILLEGAL_DATA_VALUE);
  }
  const table = code === 5 ? 1 : 3;
  tables[table].write(address, [code === 5 ? Number(value > 0) : value]);
  return { pdu: request.slice(0, 5), written: { table, address, count: 1 } };
}

function writeMany(request: Uint8Array, code: 15 | 16, tables: ServerTables): Served {
  const address = word(request, 1);
  const count = word(request, 3);
  requireCount(count, code === 15 ? 1968 : 123);
  const size = code === 15 ? Math.ceil(count / 8) : 2 * count;
  requireSize(request, 6 + size);
  if (request[5] !== size) {
    throw new Refusal(ILLEGAL_DATA_VALUE);
  }
  requireEnd(address, count);
  const values = Array.from({ length: count }, (_, index) =>
    code === 15
      ? ((request[6 + (index >> 3)] ?? 0) >> (index & 7)) & 1
      : word(request, 6 + 2 * index),
  );
  const table = code === 15 ? 1 : 3;
  tables[table].write(address, values);
  return { pdu: request.slice(0, 5), written: { table, address, count } };
}

function maskRegister(request: Uint8Array, tables: ServerTables): Served {
  requireSize(request, 7);
  const address = word(request, 1);
  const [current = 0] = valuesOf(tables[3], address, 1);
  const and = word(request, 3);
  tables[3].write(address, [(current & and) | (word(request, 5) & ~and & 0xffff)]);
  return { pdu: request.slice(), written: { table: 3, address, count: 1 } };
}

/** Writes before it reads (§6.17). */
function readAndWrite(request: Uint8Array, tables: ServerTables): Served {
  const count = word(request, 3);
  const address = word(request, 5);
  const writes = word(request, 7);
  requireCount(count, 125);
  requireCount(writes, 121);
  requireSize(request, 10 + 2 * writes);
  requireEnd(address, writes);
  const readAddress = word(request, 1);
  requireEnd(readAddress, count);
  const values = Array.from({ length: writes }, (_, index) => word(request, 10 + 2 * index));
  tables[3].write(address, values);
  const bytes = wordBytes(valuesOf(tables[3], readAddress, count));
  const pdu = Uint8Array.from([23, bytes.length, ...bytes]);
  return { pdu, written: { table: 3, address, count: writes } };
}

/** Basic texts are 0 to 2, regular ones up to 6 (§6.21). */
const LAST_OF_CATEGORY: Readonly<Record<number, number>> = { 1: 2, 2: 6, 3: 6 };

function identify(request: Uint8Array, identity: Identity): Uint8Array {
  const [, type, category = 0, first = 0] = request;
  if (type !== 14 || identity.size === 0) {
    throw new Refusal(ILLEGAL_FUNCTION);
  }
  const isSingle = category === 4;
  const last = LAST_OF_CATEGORY[category];
  if (!isSingle && last === undefined) {
    throw new Refusal(ILLEGAL_DATA_VALUE);
  }
  const wanted = [...identity]
    .filter(([id]) => (isSingle ? id === first : id >= first && id <= (last ?? 0)))
    .sort(([a], [b]) => a - b);
  if (wanted.length === 0) {
    throw new Refusal(ILLEGAL_DATA_ADDRESS);
  }
  const objects: number[] = [];
  let sent = 0;
  for (const [id, text] of wanted) {
    const bytes = new TextEncoder().encode(text);
    // The answer has 253 bytes at most; the rest is asked for with the next request.
    if (objects.length + bytes.length + 2 > 240) {
      break;
    }
    objects.push(id, bytes.length, ...bytes);
    sent += 1;
  }
  const next = wanted[sent]?.[0];
  const more = next === undefined ? [0, 0] : [0xff, next];
  return Uint8Array.from([43, 14, category, 0x83, ...more, sent, ...objects]);
}
