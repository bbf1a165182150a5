import { EncodedJson } from "./encoded.ts";
import { DataError } from "./errors.ts";
import { Float, type Json, type Values } from "./model.ts";

/** The platform stores a number with more fraction digits as text. */
const MAX_FRACTION_DIGITS = 16;
/** Deeper values are refused: they are cyclic, or nothing the platform could show. */
const MAX_DEPTH = 256;
const MIN_LONG = -(2n ** 63n);
const MAX_LONG = 2n ** 63n - 1n;
/** A bound on memory: 8,192 keys of at most 64 characters. Keys beyond it are quoted each time. */
const MAX_CACHED_KEYS = 8192;
const MAX_CACHED_KEY_LENGTH = 64;

const quotedKeys = new Map<string, string>();

/** What `encodeValues` made: the JSON object, how many values are in it, and how many could not be written. */
export interface EncodedValues {
  /** A JSON object without any raw control character; `{}` when `count` is 0. */
  readonly text: string;
  readonly count: number;
  readonly rejected: number;
}

/**
 * Writes the values of one moment as a JSON object, by the number rules of `Json`. A value that is `null` or absent is left
 * out; one that has no JSON form (NaN, ±Infinity, a function, a class instance, a cycle) is left out and counted as rejected.
 * Inside an array or object, NaN and ±Infinity become `null`. `keys`: those of the values, where they are at hand.
 */
export function encodeValues(
  values: Values,
  keys: readonly string[] = Object.keys(values),
): EncodedValues {
  let text = "";
  let count = 0;
  let rejected = 0;
  for (const key of keys) {
    const value = values[key];
    if (value === null || value === undefined) {
      continue;
    }
    const encoded = typeof value === "number" ? numberText(value) : encodeMember(value);
    if (encoded === undefined) {
      rejected += 1;
      continue;
    }
    text += (count === 0 ? "{" : ",") + quotedKey(key) + encoded;
    count += 1;
  }
  return { text: count === 0 ? "{}" : `${text}}`, count, rejected };
}

/** Text of one value as `encodeValues` writes it; `undefined` when it has no JSON form. For `null`, which is no value, it is "null". */
export function encodeValue(value: Json): string | undefined {
  return typeof value === "number" ? numberText(value) : encodeMember(value);
}

/** Writes a JSON object of values member by member, for values that are looked at one by one. */
export class ValuesWriter {
  #text = "";
  count = 0;

  /** `json` is the text of the value; the caller adds a key once. */
  add(key: string, json: string): void {
    this.#text += (this.count === 0 ? "{" : ",") + quotedKey(key) + json;
    this.count += 1;
  }

  /** The object so far; `{}` when `count` is 0. */
  get text(): string {
    return this.count === 0 ? "{}" : `${this.#text}}`;
  }
}

/**
 * JSON text with exact numbers (`bigint`, `Float`), which `JSON.stringify` cannot write. NaN and ±Infinity become `null`.
 * The text holds no raw control character. @throws DataError for what is not `Json`: functions, `undefined`, class
 * instances, more than 256 levels (a cycle).
 */
export function encodeJson(value: Json): string {
  return encodeAt(value, 0);
}

/**
 * One number as JSON text, or `undefined` when it is no value (NaN, ±Infinity). A safe integer is written bare, a `bigint`
 * with all its digits (outside signed 64 bit as a JSON string), anything else in plain decimal with 1 to 16 fraction digits.
 */
export function encodeNumber(value: number | bigint | Float): string | undefined {
  if (typeof value === "number") {
    return numberText(value);
  }
  return typeof value === "bigint" ? bigintText(value) : floatText(value.value);
}

/**
 * A value as it reads inside a text: a string as it is, a number read from JSON in its own spelling (`21.0`), `true`,
 * `false`, `null`, and an array or object as compact JSON. @throws DataError as `encodeJson`.
 */
export function textOf(value: Json): string {
  switch (typeof value) {
    case "string":
      return value;
    case "number":
      return Number.isSafeInteger(value) ? String(value) : (floatText(value) ?? String(value));
    case "bigint":
      return String(value);
    default:
      return value instanceof Float
        ? (value.text ?? floatText(value.value) ?? String(value.value))
        : encodeJson(value);
  }
}

/** Text of a value directly under a key; `undefined` when it has none. */
function encodeMember(value: Json): string | undefined {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "boolean":
      return value ? "true" : "false";
    case "bigint":
      return bigintText(value);
    default:
      return value instanceof Float ? floatText(value.value) : encodeContainer(value);
  }
}

function encodeContainer(value: Json): string | undefined {
  if (value instanceof EncodedJson) {
    return value.text;
  }
  try {
    return encodeAt(value, 0);
  } catch (error) {
    if (error instanceof DataError) {
      return undefined;
    }
    throw error;
  }
}

function encodeAt(value: Json, depth: number): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "number":
      return numberText(value) ?? "null";
    case "bigint":
      return bigintText(value);
    case "boolean":
      return value ? "true" : "false";
    case "object":
      if (value === null) {
        return "null";
      }
      if (value instanceof Float) {
        return floatText(value.value) ?? "null";
      }
      if (value instanceof EncodedJson) {
        return value.text;
      }
      return encodeNested(value, depth + 1);
    default:
      throw new DataError(`Cannot write a value of type ${typeof value} as JSON`);
  }
}

function encodeNested(
  value: readonly Json[] | { readonly [key: string]: Json },
  depth: number,
): string {
  if (depth > MAX_DEPTH) {
    throw new DataError(`Cannot write a value as JSON: more than ${MAX_DEPTH} levels deep`);
  }
  if (isList(value)) {
    const items: string[] = [];
    // By index: a hole of a sparse array is found, which `map` would skip.
    for (let index = 0; index < value.length; index += 1) {
      items.push(encodeAt(present(value[index]), depth));
    }
    return `[${items.join(",")}]`;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new DataError("Cannot write an instance of a class as JSON: need a plain object");
  }
  let text = "";
  for (const key of Object.keys(value)) {
    text += `${text === "" ? "" : ","}${quotedKey(key)}${encodeAt(present(value[key]), depth)}`;
  }
  return `{${text}}`;
}

function present(value: Json | undefined): Json {
  if (value === undefined) {
    throw new DataError("Cannot write undefined as JSON");
  }
  return value;
}

/** `Array.isArray` does not narrow a readonly array. */
function isList(
  value: readonly Json[] | { readonly [key: string]: Json },
): value is readonly Json[] {
  return Array.isArray(value);
}

function quotedKey(key: string): string {
  const cached = quotedKeys.get(key);
  if (cached !== undefined) {
    return cached;
  }
  const quoted = `${JSON.stringify(key)}:`;
  if (quotedKeys.size < MAX_CACHED_KEYS && key.length <= MAX_CACHED_KEY_LENGTH) {
    quotedKeys.set(key, quoted);
  }
  return quoted;
}

function bigintText(value: bigint): string {
  return value >= MIN_LONG && value <= MAX_LONG ? String(value) : `"${value}"`;
}

function numberText(value: number): string | undefined {
  return Number.isSafeInteger(value) ? String(value) : floatText(value);
}

/** `undefined` for NaN and ±Infinity. */
function floatText(value: number): string | undefined {
  const size = Math.abs(value);
  // Within these bounds the run time writes no exponent.
  if (size >= 1e-6 && size < 1e21) {
    const text = String(value);
    const point = text.indexOf(".");
    if (point === -1) {
      return `${text}.0`;
    }
    return text.length - point - 1 <= MAX_FRACTION_DIGITS ? text : plainDecimal(value);
  }
  if (value === 0) {
    return Object.is(value, -0) ? "-0.0" : "0.0";
  }
  return Number.isFinite(value) ? plainDecimal(value) : undefined;
}

/** The shortest round-trip digits without an exponent, rounded half-even to 16 fraction digits where there are more. */
function plainDecimal(value: number): string {
  const sign = value < 0 ? "-" : "";
  const [mantissa = "0", exponent = "0"] = Math.abs(value).toExponential().split("e");
  const digits = mantissa.replace(".", "");
  const fractionDigits = digits.length - 1 - Number(exponent);
  if (fractionDigits <= 0) {
    return `${sign}${digits}${"0".repeat(-fractionDigits)}.0`;
  }
  const scaled = roundDigits(digits, fractionDigits - MAX_FRACTION_DIGITS);
  const places = Math.min(fractionDigits, MAX_FRACTION_DIGITS);
  const padded = scaled.padStart(places + 1, "0");
  const fraction = padded.slice(-places).replace(/0+$/, "");
  return `${sign}${padded.slice(0, -places)}.${fraction === "" ? "0" : fraction}`;
}

/** `digits` without its last `drop` ones, rounded half-even. */
function roundDigits(digits: string, drop: number): string {
  if (drop <= 0) {
    return digits;
  }
  if (drop > digits.length) {
    return "0";
  }
  const kept = digits.slice(0, digits.length - drop);
  const rest = digits.slice(digits.length - drop);
  const quotient = BigInt(kept === "" ? "0" : kept);
  const half = `5${"0".repeat(drop - 1)}`;
  const up = rest === half ? quotient % 2n === 1n : rest > half;
  return String(up ? quotient + 1n : quotient);
}
