import { DataError } from "#sdk/errors";
import { Float, type Json } from "#sdk/model";
import type { NumberType } from "./value-type.ts";

/** How bytes stand in a register and registers in a value. LITTLE is the default of the configuration. */
export interface Orders {
  readonly byteOrder: "BIG" | "LITTLE";
  readonly wordOrder: "BIG" | "LITTLE";
}

/** Reads one number whose first register begins at byte `offset`. */
export type ReadNumber = (view: DataView, offset: number) => number | bigint;

/**
 * Compiles the reading of a number. With ABCD on the wire: BIG/BIG reads ABCD, BIG/LITTLE (byte, word) CDAB, LITTLE/BIG BADC,
 * LITTLE/LITTLE DCBA. Eight bits are the high byte of the register in every order.
 */
export function numberReader(type: NumberType, orders: Orders): ReadNumber {
  const isLittle = orders.byteOrder === "LITTLE";
  if (type.bits <= 16 || orders.byteOrder === orders.wordOrder) {
    return plainReader(type, isLittle && type.bits > 8);
  }
  const words = type.bits / 16;
  const scratch = new DataView(new ArrayBuffer(8));
  const read = plainReader(type, false);
  return (view, offset) => {
    for (let index = 0; index < words; index += 1) {
      const target = orders.wordOrder === "BIG" ? index : words - 1 - index;
      scratch.setUint16(2 * target, view.getUint16(offset + 2 * index, isLittle));
    }
    return read(scratch, 0);
  };
}

function plainReader(type: NumberType, little: boolean): ReadNumber {
  switch (`${type.kind}${type.bits}`) {
    case "int8":
      return (view, offset) => view.getInt8(offset);
    case "uint8":
      return (view, offset) => view.getUint8(offset);
    case "int16":
      return (view, offset) => view.getInt16(offset, little);
    case "uint16":
      return (view, offset) => view.getUint16(offset, little);
    case "float16":
      return (view, offset) => view.getFloat16(offset, little);
    case "int32":
      return (view, offset) => view.getInt32(offset, little);
    case "uint32":
      return (view, offset) => view.getUint32(offset, little);
    case "float32":
      return (view, offset) => view.getFloat32(offset, little);
    case "int64":
      return (view, offset) => narrow(view.getBigInt64(offset, little));
    case "uint64":
      return (view, offset) => narrow(view.getBigUint64(offset, little));
    default:
      return (view, offset) => view.getFloat64(offset, little);
  }
}

/** A number where it is exact. */
function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The bytes of a number in wire order; eight bits take the high byte of a register. @throws DataError when it does not fit. */
export function encodeNumber(value: number | bigint, type: NumberType, orders: Orders): Uint8Array {
  const bytes = new Uint8Array(Math.max(2, type.bits / 8));
  writeBigEndian(new DataView(bytes.buffer), value, type);
  if (type.bits === 8) {
    return bytes;
  }
  const words = bytes.length / 2;
  const wire = new Uint8Array(bytes.length);
  for (let index = 0; index < words; index += 1) {
    const source = 2 * (orders.wordOrder === "BIG" ? index : words - 1 - index);
    const swap = orders.byteOrder === "LITTLE" ? 1 : 0;
    wire[2 * index] = bytes[source + swap] ?? 0;
    wire[2 * index + 1] = bytes[source + 1 - swap] ?? 0;
  }
  return wire;
}

function writeBigEndian(view: DataView, value: number | bigint, type: NumberType): void {
  if (type.kind === "float") {
    writeFloat(view, Number(value), type.bits);
    return;
  }
  const whole = BigInt(value);
  const least = type.kind === "int" ? -(2n ** BigInt(type.bits - 1)) : 0n;
  const most = 2n ** BigInt(type.kind === "int" ? type.bits - 1 : type.bits) - 1n;
  if (whole < least || whole > most) {
    throw new DataError(
      `Cannot write ${whole} as ${type.bits}${type.kind}: need ${least} to ${most}`,
    );
  }
  switch (type.bits) {
    case 8:
      view.setInt8(0, Number(BigInt.asIntN(8, whole)));
      break;
    case 16:
      view.setInt16(0, Number(BigInt.asIntN(16, whole)));
      break;
    case 32:
      view.setInt32(0, Number(BigInt.asIntN(32, whole)));
      break;
    case 64:
      view.setBigInt64(0, BigInt.asIntN(64, whole));
      break;
  }
}

function writeFloat(view: DataView, value: number, bits: number): void {
  if (bits === 16) {
    view.setFloat16(0, value);
  } else if (bits === 32) {
    view.setFloat32(0, value);
  } else {
    view.setFloat64(0, value);
  }
  const read = bits === 16 ? view.getFloat16(0) : bits === 32 ? view.getFloat32(0) : value;
  if (!Number.isFinite(read)) {
    throw new DataError(`Cannot write ${value} as ${bits}float: it does not fit`);
  }
}

const INTEGER_TEXT = /^\s*[+-]?\d+\s*$/;
const DECIMAL_TEXT = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;
/** Beyond this a text is no number anybody meant. */
const MAX_TEXT = 400;

/** A whole number: fractions are cut off, true is 1; text must be a whole number. @throws DataError */
export function toInteger(value: Json): number | bigint {
  switch (typeof value) {
    case "number":
      return cutOff(value);
    case "bigint":
      return value;
    case "boolean":
      return value ? 1 : 0;
    case "string":
      if (value.length > MAX_TEXT || !INTEGER_TEXT.test(value)) {
        throw new DataError(`Cannot write ${shown(value)}: need a whole number`);
      }
      return BigInt(value.trim().replace(/^\+/, ""));
    default:
      if (value instanceof Float) {
        return cutOff(value.value);
      }
      throw new DataError(`Cannot write ${shown(value)}: need a number`);
  }
}

function cutOff(value: number): number {
  if (!Number.isFinite(value)) {
    throw new DataError(`Cannot write ${value}: need a finite number`);
  }
  return Math.trunc(value);
}

/** A number for a float type; text must be a decimal number. @throws DataError */
export function toNumber(value: Json): number {
  const number =
    value instanceof Float
      ? value.value
      : typeof value === "string"
        ? numberOfText(value)
        : typeof value === "object"
          ? Number.NaN
          : Number(value);
  if (!Number.isFinite(number)) {
    throw new DataError(`Cannot write ${shown(value)}: need a number`);
  }
  return number;
}

function numberOfText(text: string): number {
  return text.length <= MAX_TEXT && DECIMAL_TEXT.test(text) ? Number(text) : Number.NaN;
}

/** A value in an error text, short. */
export function shown(value: Json): string {
  if (value instanceof Float) {
    return String(value.value);
  }
  if (typeof value === "string") {
    return JSON.stringify(value.slice(0, 100));
  }
  return typeof value === "object" && value !== null
    ? Array.isArray(value)
      ? "a list"
      : "an object"
    : String(value);
}
