import { DataError } from "#sdk/errors";
import { MAX_WRITE_COILS, MAX_WRITE_REGISTERS } from "./encoder.ts";
import { coilsOf, isNumber, registersOf, type ValueType, valueType } from "./value-type.ts";

/** Places of a table of registers or coils. */
export const ADDRESS_SPACE = 65_536;

interface Item {
  readonly tag: string;
  readonly type?: string | undefined;
  readonly functionCode: number;
  readonly address: number | string;
  readonly objectsCount: number;
  readonly registerBit?: number | undefined;
}

/** First and last value of an address; equal for a single one. */
export function addressRange(address: number | string): {
  readonly first: number;
  readonly last: number;
  readonly isRange: boolean;
} {
  if (typeof address === "number") {
    return { first: address, last: address, isRange: false };
  }
  const [first, last] = address.split("-").map(Number);
  return { first: first ?? 0, last: last ?? first ?? 0, isRange: last !== undefined };
}

/** What is wrong with an item that is read, or `undefined`. */
export function readProblem(item: Item): string | undefined {
  const { first, last } = addressRange(item.address);
  if (last < first) {
    return `address "${item.address}" ends before it begins`;
  }
  return problemOf(item, (type) => {
    const isRegister = item.functionCode >= 3;
    if (isRegister && type.kind === "bits" && item.objectsCount > 16) {
      return `objectsCount must be at most 16: bits are those of one register, but is ${item.objectsCount}`;
    }
    const length = isRegister
      ? type.kind === "bits"
        ? 1
        : registersOf(type, item.objectsCount)
      : coilsOf(type, item.objectsCount);
    return beyondEnd(last, length);
  });
}

/** What is wrong with an item that is written, or `undefined`. */
export function writeProblem(item: Item): string | undefined {
  const address = addressRange(item.address).first;
  if (item.functionCode <= 4) {
    return `functionCode must be 5, 6, 15 or 16 to write, but is ${item.functionCode}`;
  }
  if (item.functionCode === 5) {
    return undefined;
  }
  return problemOf(item, (type) => {
    const isCoils = item.functionCode === 15;
    const length = isCoils
      ? coilsOf(type, item.objectsCount)
      : registersOf(type, item.objectsCount);
    const most = isCoils ? MAX_WRITE_COILS : MAX_WRITE_REGISTERS;
    return length > most
      ? `one request writes at most ${most} ${isCoils ? "coils" : "registers"}, but these are ${length}`
      : beyondEnd(address, length);
  });
}

function problemOf(item: Item, look: (type: ValueType) => string | undefined): string | undefined {
  try {
    return look(valueType(item.type ?? item.tag, item.objectsCount));
  } catch (error) {
    if (error instanceof DataError) {
      return error.message;
    }
    throw error;
  }
}

function beyondEnd(address: number, length: number): string | undefined {
  return address + length > ADDRESS_SPACE
    ? `address ${address} with ${length} registers or coils goes beyond the last address 65535`
    : undefined;
}

/** What is odd about an item that is read but does not keep it from being read. */
export function readAdvice(
  item: Item & { readonly divider?: number | undefined; readonly multiplier?: number | undefined },
): readonly string[] {
  const type = valueType(item.type ?? item.tag, item.objectsCount);
  const advice: string[] = [];
  if (isNumber(type) && item.functionCode >= 3 && 16 * item.objectsCount < type.bits) {
    advice.push(
      `objectsCount ${item.objectsCount} is too small for ${item.type}: ${type.bits / 16} are read`,
    );
  }
  const scales = (item.divider ?? 0) !== 0 || item.multiplier !== undefined;
  if (scales && (!isNumber(type) || item.functionCode <= 2)) {
    advice.push("divider and multiplier have no effect here: they are for numbers in registers");
  }
  return advice;
}
