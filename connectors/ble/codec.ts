import { compileArithmetic } from "#sdk/arithmetic";
import { DataError } from "#sdk/errors";
import type { Json } from "#sdk/model";
import { type NumberFormatName, readNumber } from "./number-format.ts";

/** What makes a value of bytes; throws DataError for bytes it cannot use. */
export type Decode = (bytes: Uint8Array) => Json;

/** The converter of an item: `bytes` gives text, `hex` a number. */
export type ConverterType = "bytes" | "hex";

/** The options of an item that say how its value lies in the bytes. */
export interface ValueOptions {
  readonly valueExpression?: string | undefined;
  readonly compute?: string | undefined;
  readonly format?: NumberFormatName | "utf8" | "hex" | "bool" | undefined;
  readonly offset?: number | undefined;
  readonly length?: number | undefined;
  readonly bit?: number | undefined;
  readonly byteFrom?: number | undefined;
  readonly byteTo?: number | undefined;
}

/** `[`, one character that is not blank, digits and colons, `]`. */
const GROUP = /\[\S[0-9:]*\]/g;
/** What somebody may have meant as a group. */
const BRACKET = /\[[-\s\d:,]*\]/g;

/** Compiles how an item reads its value. @throws DataError for a `compute` that cannot be read, with the position */
export function compileDecode(options: ValueOptions, type: ConverterType): Decode {
  const { valueExpression, format, compute } = options;
  if (format !== undefined) {
    return withCompute(typed(options, format), compute);
  }
  if (valueExpression === undefined) {
    const { byteFrom = 0, byteTo = -1 } = options;
    return (bytes) => utf8(bytes.subarray(byteFrom, byteTo === -1 ? undefined : byteTo));
  }
  return type === "bytes"
    ? (bytes) => fillTemplate(valueExpression, bytes)
    : withCompute(hexDecoder(valueExpression), compute);
}

/** Brackets of an expression that look like a group but are none, or can never be read. */
export function oddBrackets(expression: string): readonly string[] {
  const groups = new Set(expression.match(GROUP));
  const odd = (expression.match(BRACKET) ?? []).filter((text) => !groups.has(text));
  return [...odd, ...[...groups].filter((group) => parseGroup(group) === undefined)];
}

function withCompute(decode: Decode, compute: string | undefined): Decode {
  if (compute === undefined) {
    return decode;
  }
  const arithmetic = compileCompute(compute);
  return (bytes) => {
    const { value } = arithmetic.evaluate({ value: decode(bytes) });
    if (value === undefined) {
      throw new DataError("Cannot compute: there is no value");
    }
    return value;
  };
}

/** @throws DataError with the position of what cannot be read */
export function compileCompute(compute: string): ReturnType<typeof compileArithmetic> {
  const arithmetic = compileArithmetic(compute, ["value"]);
  if (arithmetic.tags.length > 0) {
    throw new DataError(
      `Cannot read "${compute}": \${${arithmetic.tags[0]}} is not known here; the variable is called value`,
      { reason: "bad-expression" },
    );
  }
  return arithmetic;
}

interface Group {
  readonly start: number | undefined;
  /** Absent: a single byte. */
  readonly slice: { readonly end: number | undefined } | undefined;
}

/** `undefined`: it has the look of a group but says nothing. */
function parseGroup(text: string): Group | undefined {
  const body = text.slice(1, -1);
  if (/^-?\d+$/.test(body)) {
    return { start: Number(body), slice: undefined };
  }
  const match = /^(-?\d+)?:(\d+)?$/.exec(body);
  if (match === null) {
    return undefined;
  }
  const [, start, end] = match;
  return {
    start: start === undefined ? undefined : Number(start),
    slice: { end: end === undefined ? undefined : Number(end) },
  };
}

/** The bytes a group stands for. @throws DataError when there are none at a single index, or it is no group */
function bytesOf(text: string, bytes: Uint8Array): Uint8Array {
  const group = parseGroup(text);
  if (group === undefined) {
    throw new DataError(`Cannot read ${text}: need [index] or [from:to]`, {
      reason: "bad-expression",
    });
  }
  const { start, slice } = group;
  if (slice !== undefined) {
    return bytes.subarray(start ?? 0, slice.end ?? bytes.length);
  }
  const index = start ?? 0;
  const place = index < 0 ? bytes.length + index : index;
  if (place < 0 || place >= bytes.length) {
    throw new DataError(`Cannot read ${text}: there are only ${bytes.length} bytes`, {
      reason: "too-short",
    });
  }
  return bytes.subarray(place, place + 1);
}

function fillTemplate(template: string, bytes: Uint8Array): string {
  return template.replaceAll(GROUP, (group) => bytesOf(group, bytes).join(""));
}

function hexDecoder(expression: string): Decode {
  const last = expression.match(GROUP)?.at(-1);
  if (last === undefined) {
    return () => expression;
  }
  return (bytes) => {
    const part = bytesOf(last, bytes);
    if (part.length === 0) {
      throw new DataError(`Cannot read ${last}: there are no bytes`, { reason: "too-short" });
    }
    const value = BigInt(`0x${hexText(part)}`);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  };
}

function typed(options: ValueOptions, format: NonNullable<ValueOptions["format"]>): Decode {
  const { offset = 0, length, bit } = options;
  const part = (bytes: Uint8Array): Uint8Array => {
    const end = length === undefined ? bytes.length : offset + length;
    if (end > bytes.length || offset > bytes.length) {
      throw new DataError(
        `Cannot read bytes ${offset} to ${end}: there are only ${bytes.length} bytes`,
        { reason: "too-short" },
      );
    }
    return bytes.subarray(offset, end);
  };
  switch (format) {
    case "utf8":
      return (bytes) => utf8(part(bytes));
    case "hex":
      return (bytes) => hexText(part(bytes));
    case "bool":
      return (bytes) => {
        const byte = Number(readNumber(bytes, "uint8", offset));
        return bit === undefined ? byte !== 0 : ((byte >> bit) & 1) === 1;
      };
    default:
      return (bytes) => readNumber(bytes, format, offset);
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @throws DataError when the bytes are no UTF-8 */
export function utf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    throw new DataError("Cannot read the bytes as UTF-8 text", {
      cause: error,
      reason: "not-utf8",
    });
  }
}

/** Two digits a byte. */
export function hexText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}
