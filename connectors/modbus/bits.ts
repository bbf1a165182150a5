import { DataError } from "#sdk/errors";
import { Float, type Json } from "#sdk/model";
import { shown } from "./codec.ts";

/** The order of a list of bits: as the Python gateway gives it, or element 0 first. */
export type BitOrder = "python" | "natural";

/** Coil number `index` of a response, whose bytes hold eight coils each, the first one in the lowest bit. */
export function coilAt(view: DataView, index: number): boolean {
  return ((view.getUint8(index >> 3) >> (index & 7)) & 1) === 1;
}

/**
 * The coils of an item as its list. In Python's order they are cut into groups of eight (the last may be shorter) and each group
 * is turned round.
 */
export function arrangeCoils<T>(coils: readonly T[], order: BitOrder): readonly T[] {
  if (order === "natural") {
    return coils;
  }
  const list: T[] = [];
  for (let start = 0; start < coils.length; start += 8) {
    list.push(...coils.slice(start, start + 8).reverse());
  }
  return list;
}

/**
 * The last `count` of the 16 elements that a register gives: the bits 0 to 7 of the high byte, then those of the low byte. In
 * natural order its lowest `count` bits, the lowest first.
 */
export function registerBits(register: number, count: number, order: BitOrder): readonly boolean[] {
  const list: boolean[] = [];
  for (let element = 16 - count; element < 16; element += 1) {
    const bit =
      order === "natural" ? element - (16 - count) : element < 8 ? 8 + element : element - 8;
    list.push(((register >> bit) & 1) === 1);
  }
  return list;
}

/** The coils of an item with their first one in the highest bit of the first byte; the last byte is filled with zeros. */
export function coilBytes(view: DataView, start: number, count: number): DataView<ArrayBuffer> {
  const bytes = new DataView(new ArrayBuffer(Math.max(8, 2 * Math.ceil(count / 16))));
  for (let index = 0; index < count; index += 1) {
    if (coilAt(view, start + index)) {
      bytes.setUint8(index >> 3, bytes.getUint8(index >> 3) | (0x80 >> (index & 7)));
    }
  }
  return bytes;
}

/** Bytes as coils, the highest bit first: the inverse of `coilBytes`. */
export function bytesToCoils(bytes: Uint8Array, count: number): readonly boolean[] {
  return Array.from(
    { length: count },
    (_, index) => (((bytes[index >> 3] ?? 0) >> (7 - (index & 7))) & 1) === 1,
  );
}

/**
 * A list of `count` bits out of a value: a list by the truth of its elements, a number by its binary digits with the highest
 * first, and true or false. A shorter list is filled with zeros at its end. @throws DataError for a longer one.
 */
export function toBits(value: Json, count: number): readonly boolean[] {
  const list = bitList(value);
  if (list.length > count) {
    throw new DataError(`Cannot write ${list.length} bits: objectsCount is ${count}`);
  }
  return Array.from({ length: count }, (_, index) => list[index] ?? false);
}

function bitList(value: Json): readonly boolean[] {
  if (isList(value)) {
    return value.map(isOn);
  }
  if (typeof value === "string" && !/^\s*\d+\s*$/.test(value)) {
    const inner = /^\s*\[(.*)\]\s*$/.exec(value)?.[1];
    return inner === undefined ? [isOn(value)] : inner.split(",").map((part) => isOn(part.trim()));
  }
  if (typeof value === "boolean") {
    return [value];
  }
  const whole = wholeOf(value);
  if (whole === undefined || whole < 0n) {
    throw new DataError(
      `Cannot write ${shown(value)} as bits: need a list, a whole number, true or false`,
    );
  }
  return Array.from(whole.toString(2), (digit) => digit === "1");
}

/** A whole number, exact beyond 2^53 too. */
function wholeOf(value: Json): bigint | undefined {
  switch (typeof value) {
    case "bigint":
      return value;
    case "string":
      return BigInt(value);
    default: {
      const number = value instanceof Float ? value.value : value;
      return typeof number === "number" && Number.isInteger(number) ? BigInt(number) : undefined;
    }
  }
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

const ON_WORDS: ReadonlySet<string> = new Set(["1", "true", "on"]);
const OFF_WORDS: ReadonlySet<string> = new Set(["0", "false", "off"]);

/** Whether a value switches a coil on: a number other than 0, true, or the text `1`, `true`, `on`. @throws DataError */
export function isOn(value: Json): boolean {
  if (typeof value === "boolean") {
    return value;
  }
  if (typeof value === "string") {
    const word = value.trim().toLowerCase();
    if (ON_WORDS.has(word)) {
      return true;
    }
    if (OFF_WORDS.has(word)) {
      return false;
    }
    const number = Number(word);
    if (word !== "" && Number.isFinite(number)) {
      return number !== 0;
    }
  } else if (value instanceof Float) {
    return value.value !== 0;
  } else if (typeof value === "number" || typeof value === "bigint") {
    return Number(value) !== 0;
  }
  throw new DataError(`Cannot write ${shown(value)} to a coil: need true, false, 1 or 0`);
}

/** Bits packed into bytes, element i in bit (i mod 8) of byte (i div 8): how they stand in registers, high byte first. */
export function packBits(bits: readonly boolean[]): Uint8Array {
  const bytes = new Uint8Array(2 * Math.ceil(bits.length / 16));
  for (const [index, bit] of bits.entries()) {
    if (bit) {
      bytes[index >> 3] = (bytes[index >> 3] ?? 0) | (1 << (index & 7));
    }
  }
  return bytes;
}
