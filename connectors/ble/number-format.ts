import { DataError } from "#sdk/errors";
import { Float, type Json } from "#sdk/model";

/** How a number lies in bytes. */
interface NumberFormat {
  readonly sizeBytes: number;
  read(view: DataView, offset: number): number | bigint | Float;
  write(view: DataView, value: number | bigint): void;
}

function integer(bits: 8 | 16 | 32, isSigned: boolean, isLittle: boolean): NumberFormat {
  const name = `${isSigned ? "Int" : "Uint"}${bits}` as const;
  const min = isSigned ? -(2 ** (bits - 1)) : 0;
  const max = 2 ** (isSigned ? bits - 1 : bits) - 1;
  return {
    sizeBytes: bits / 8,
    read: (view, offset) => view[`get${name}`](offset, isLittle),
    write: (view, value) => {
      const number = Math.round(Number(value));
      if (number < min || number > max) {
        throw new DataError(`Cannot write ${value}: need a number from ${min} to ${max}`);
      }
      view[`set${name}`](0, number, isLittle);
    },
  };
}

function wide(isSigned: boolean, isLittle: boolean): NumberFormat {
  const min = isSigned ? -(2n ** 63n) : 0n;
  const max = 2n ** (isSigned ? 63n : 64n) - 1n;
  return {
    sizeBytes: 8,
    read: (view, offset) => {
      const value = isSigned
        ? view.getBigInt64(offset, isLittle)
        : view.getBigUint64(offset, isLittle);
      const number = Number(value);
      return Number.isSafeInteger(number) ? number : value;
    },
    write: (view, value) => {
      const whole = typeof value === "bigint" ? value : BigInt(Math.round(value));
      if (whole < min || whole > max) {
        throw new DataError(`Cannot write ${value}: need a number from ${min} to ${max}`);
      }
      view.setBigUint64(0, BigInt.asUintN(64, whole), isLittle);
    },
  };
}

function float(bits: 32 | 64, isLittle: boolean): NumberFormat {
  return {
    sizeBytes: bits / 8,
    read: (view, offset) => {
      const value = view[`getFloat${bits}`](offset, isLittle);
      if (!Number.isFinite(value)) {
        throw new DataError(`Cannot use ${value}: it is no number`, { reason: "no-value" });
      }
      // A 32-bit number has about 7 digits; all 17 of its 64-bit form would be noise.
      return new Float(bits === 32 ? Number(value.toPrecision(7)) : value);
    },
    write: (view, value) => view[`setFloat${bits}`](0, Number(value), isLittle),
  };
}

/** Names of the number formats. */
export const NUMBER_FORMAT_NAMES = [
  "uint8",
  "int8",
  "uint16le",
  "uint16be",
  "int16le",
  "int16be",
  "uint32le",
  "uint32be",
  "int32le",
  "int32be",
  "uint64le",
  "uint64be",
  "int64le",
  "int64be",
  "floatle",
  "floatbe",
  "doublele",
  "doublebe",
] as const;

/** Name of a number format. */
export type NumberFormatName = (typeof NUMBER_FORMAT_NAMES)[number];

/** The number formats of `format` and `encoding`, by name. */
const NUMBER_FORMATS: Readonly<Record<NumberFormatName, NumberFormat>> = {
  uint8: integer(8, false, true),
  int8: integer(8, true, true),
  uint16le: integer(16, false, true),
  uint16be: integer(16, false, false),
  int16le: integer(16, true, true),
  int16be: integer(16, true, false),
  uint32le: integer(32, false, true),
  uint32be: integer(32, false, false),
  int32le: integer(32, true, true),
  int32be: integer(32, true, false),
  uint64le: wide(false, true),
  uint64be: wide(false, false),
  int64le: wide(true, true),
  int64be: wide(true, false),
  floatle: float(32, true),
  floatbe: float(32, false),
  doublele: float(64, true),
  doublebe: float(64, false),
};

/** The number at `offset`. @throws DataError when the bytes end before it does, or it is NaN */
export function readNumber(bytes: Uint8Array, format: NumberFormatName, offset: number): Json {
  const layout: NumberFormat = NUMBER_FORMATS[format];
  if (offset + layout.sizeBytes > bytes.length) {
    throw new DataError(
      `Cannot read ${format} at byte ${offset}: there are only ${bytes.length} bytes`,
      { reason: "too-short" },
    );
  }
  return layout.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset);
}

/** A number as bytes. @throws DataError when it does not fit */
export function writeNumber(value: number | bigint, format: NumberFormatName): Uint8Array {
  const layout: NumberFormat = NUMBER_FORMATS[format];
  const bytes = new Uint8Array(layout.sizeBytes);
  layout.write(new DataView(bytes.buffer), value);
  return bytes;
}
