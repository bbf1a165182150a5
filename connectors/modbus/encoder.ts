import { textOf } from "#sdk/encode";
import { DataError } from "#sdk/errors";
import { Float, type Json } from "#sdk/model";
import { arrangeCoils, bytesToCoils, isOn, packBits, toBits } from "./bits.ts";
import { encodeNumber, type Orders, shown, toInteger, toNumber } from "./codec.ts";
import { coilsOf, isNumber, registersOf, type ValueType, valueType } from "./value-type.ts";

/** 5 one coil, 6 one register, 15 coils, 16 registers. */
export type WriteCode = 5 | 6 | 15 | 16;

/** Most registers of one write (Modbus application protocol §6.12). */
export const MAX_WRITE_REGISTERS = 123;
/** Most coils of one write (§6.11). */
export const MAX_WRITE_COILS = 1968;

/** How an item of the configuration is written. */
export interface WriteSettings {
  readonly functionCode: WriteCode;
  readonly type: string;
  readonly objectsCount: number;
  /** Number of the one bit of a register that is changed; bit 0 is the lowest. */
  readonly registerBit?: number | undefined;
  readonly bitOrder?: "python" | "natural" | undefined;
}

/** Orders of a device that is written. */
export interface WriteOrders extends Orders {
  /** With little byte order: the bytes of each register are swapped once more at the end. */
  readonly repack: boolean;
}

/** What goes out: register words, coils, or one bit of a register to change. */
export type WriteData =
  | { readonly functionCode: 5; readonly on: boolean }
  | { readonly functionCode: 6; readonly register: number }
  | { readonly functionCode: 15; readonly coils: readonly boolean[] }
  | { readonly functionCode: 16; readonly registers: readonly number[] }
  | { readonly functionCode: "bit"; readonly bit: number; readonly on: boolean };

/** Encodes a value. More than one register with function code 6 becomes 16. @throws DataError for a value that does not fit */
export function encodeWrite(value: Json, settings: WriteSettings, orders: WriteOrders): WriteData {
  const { functionCode, objectsCount, registerBit } = settings;
  if (functionCode === 5) {
    return { functionCode, on: isOn(firstOf(value)) };
  }
  const type = valueType(settings.type, objectsCount);
  if (functionCode === 15) {
    return { functionCode, coils: encodeCoils(value, type, settings, orders) };
  }
  if (registerBit !== undefined) {
    return { functionCode: "bit", bit: registerBit, on: isOn(firstOf(value)) };
  }
  const registers = words(encodeBytes(value, type, objectsCount, orders), orders);
  checkSize(registers.length, MAX_WRITE_REGISTERS, "registers");
  const [only] = registers;
  return functionCode === 6 && registers.length === 1 && only !== undefined
    ? { functionCode, register: only }
    : { functionCode: 16, registers };
}

/** A list for a single coil is that of its one element. */
function firstOf(value: Json): Json {
  return Array.isArray(value) && value.length === 1 ? (value[0] ?? null) : value;
}

function encodeCoils(
  value: Json,
  type: ValueType,
  settings: WriteSettings,
  orders: Orders,
): readonly boolean[] {
  const { objectsCount, bitOrder = "python" } = settings;
  const count = coilsOf(type, objectsCount);
  checkSize(count, MAX_WRITE_COILS, "coils");
  return type.kind === "bits"
    ? arrangeCoils(toBits(value, count), bitOrder)
    : bytesToCoils(encodeBytes(value, type, objectsCount, orders), count);
}

function checkSize(count: number, most: number, what: string): void {
  if (count > most) {
    throw new DataError(`Cannot write ${count} ${what} in one request: the limit is ${most}`);
  }
}

/** The bytes in wire order, a whole number of registers but for eight bits, which are the high byte of one. */
function encodeBytes(
  value: Json,
  type: ValueType,
  objectsCount: number,
  orders: Orders,
): Uint8Array {
  if (isNumber(type)) {
    return encodeNumber(type.kind === "float" ? toNumber(value) : toInteger(value), type, orders);
  }
  switch (type.kind) {
    case "bits":
      return packBits(toBits(value, objectsCount));
    case "string":
      return encodeText(value, 2 * registersOf(type, objectsCount));
    default:
      return encodeHex(value, 2 * registersOf(type, objectsCount));
  }
}

const utf8 = new TextEncoder();

/** UTF-8, filled with NUL or cut between two characters. */
function encodeText(value: Json, size: number): Uint8Array {
  if (value === null || (typeof value === "object" && !(value instanceof Float))) {
    throw new DataError(`Cannot write ${shown(value)} as text`);
  }
  const bytes = new Uint8Array(size);
  utf8.encodeInto(textOf(value), bytes);
  return bytes;
}

function encodeHex(value: Json, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const text = typeof value === "string" ? value.replaceAll(/\s/g, "") : "";
  if (!/^([0-9a-f]{2})*$/i.test(text) || typeof value !== "string" || text.length > 2 * size) {
    throw new DataError(
      `Cannot write ${shown(value)} as bytes: need at most ${2 * size} hexadecimal digits, two for each byte`,
    );
  }
  bytes.set(Uint8Array.fromHex(text));
  return bytes;
}

function words(bytes: Uint8Array, { byteOrder, repack }: WriteOrders): readonly number[] {
  const swap = repack && byteOrder === "LITTLE";
  const registers: number[] = [];
  for (let index = 0; index < bytes.length; index += 2) {
    const first = bytes[index] ?? 0;
    const second = bytes[index + 1] ?? 0;
    registers.push(swap ? (second << 8) | first : (first << 8) | second);
  }
  return registers;
}
