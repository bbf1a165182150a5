import { textOf } from "./encode.ts";
import { DataError } from "./errors.ts";
import { readJson } from "./json-reader.ts";
import { Float, isJsonObject, type Json } from "./model.ts";

/** What a type name of a configuration file asks for. */
export type DataKind = "text" | "integer" | "float" | "boolean" | "json";

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;
/** Beyond this an integer is nothing anybody measured, and its text would only cost memory. */
const MAX_EXPONENT = 308;
const TRUE_WORDS = new Set(["y", "yes", "t", "true", "on", "1"]);
const FALSE_WORDS = new Set(["n", "no", "f", "false", "off", "0"]);

/**
 * What a type name means; case does not matter and the first rule that applies counts: contains `str` → text, contains `int`
 * or `long` → integer, contains `float` or `double` → float, contains `bool` → boolean, `json` → json; any other name → text.
 */
export function dataKind(type: string): DataKind {
  const name = type.toLowerCase();
  if (name.includes("str")) {
    return "text";
  }
  if (name.includes("int") || name.includes("long")) {
    return "integer";
  }
  if (name.includes("float") || name.includes("double")) {
    return "float";
  }
  if (name.includes("bool")) {
    return "boolean";
  }
  return name === "json" ? "json" : "text";
}

/**
 * Converts a value to a type named in a configuration file (`dataKind` tells which). Integers are exact and truncated toward zero; a
 * float is a `Float`, so that it is stored as DOUBLE even when whole; a boolean counts as 1 or 0 among numbers; objects and
 * arrays become compact JSON as text, and stay what they are as `json`.
 * @throws DataError with reason `bad-value` for what cannot be converted: null, `abc` or `0x10` as a number, infinities, `2` as
 * a boolean.
 */
export function coerce(value: Json, type: string): Json {
  return coerceTo(value, dataKind(type));
}

/** `coerce` for a caller that has looked up the kind once. @throws DataError as `coerce`. */
export function coerceTo(value: Json, kind: DataKind): Json {
  if (value === null) {
    throw new DataError(`Cannot convert null to ${kind}`);
  }
  switch (kind) {
    case "text":
      return textOf(value);
    case "integer":
      return toInteger(value);
    case "float":
      return toFloat(value);
    case "boolean":
      return toBoolean(value);
    case "json":
      return typeof value === "string" ? readStructure(value) : value;
  }
}

function toInteger(value: Json): number | bigint {
  switch (typeof value) {
    case "number":
      return truncate(value);
    case "bigint":
      return value;
    case "boolean":
      return value ? 1 : 0;
    case "string":
      return truncateText(value);
    default:
      if (value instanceof Float) {
        return value.text === undefined ? truncate(value.value) : truncateText(value.text);
      }
      throw refuse(value, "integer");
  }
}

function truncate(value: number): number | bigint {
  if (!Number.isFinite(value)) {
    throw refuse(value, "integer");
  }
  const whole = Math.trunc(value);
  // Adding 0 turns -0 into 0.
  return Number.isSafeInteger(whole) ? whole + 0 : BigInt(whole);
}

/** By its digits: the way through a float would change integers beyond 2^53. */
function truncateText(text: string): number | bigint {
  const [, sign, whole = "", fraction = "", exponent = "0"] = DECIMAL.exec(text.trim()) ?? [];
  const shift = Number(exponent);
  if (whole + fraction === "" || shift > MAX_EXPONENT || whole.length > MAX_EXPONENT) {
    throw refuse(text, "integer");
  }
  const digits =
    shift >= 0 ? whole + fraction.padEnd(shift, "0").slice(0, shift) : whole.slice(0, shift);
  const size = BigInt(digits === "" ? "0" : digits);
  const value = sign === "-" ? -size : size;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function toFloat(value: Json): Float {
  switch (typeof value) {
    case "number":
    case "bigint":
    case "boolean":
      return finite(Number(value), value);
    case "string": {
      const text = value.trim();
      const match = DECIMAL.exec(text);
      if (match === null || (match[2] ?? "") + (match[3] ?? "") === "") {
        throw refuse(value, "float");
      }
      return finite(Number(text), value);
    }
    default:
      if (value instanceof Float) {
        finite(value.value, value);
        return value;
      }
      throw refuse(value, "float");
  }
}

function finite(number: number, value: Json): Float {
  if (!Number.isFinite(number)) {
    throw refuse(value, "float");
  }
  return new Float(number);
}

function toBoolean(value: Json): boolean {
  if (typeof value === "boolean") {
    return value;
  }
  if (value instanceof Float || typeof value === "number" || typeof value === "bigint") {
    const number = value instanceof Float ? value.value : Number(value);
    if (number === 0 || number === 1) {
      return number === 1;
    }
    throw refuse(value, "boolean");
  }
  const word = typeof value === "string" ? value.trim().toLowerCase() : "";
  if (TRUE_WORDS.has(word)) {
    return true;
  }
  if (FALSE_WORDS.has(word)) {
    return false;
  }
  throw refuse(value, "boolean");
}

/** Text that is a JSON object or array becomes that; any other text stays as it is. */
function readStructure(text: string): Json {
  if (!/^\s*[[{]/.test(text)) {
    return text;
  }
  try {
    const value = readJson(text);
    return isJsonObject(value) || Array.isArray(value) ? value : text;
  } catch (error) {
    if (error instanceof DataError) {
      return text;
    }
    throw error;
  }
}

function refuse(value: Json, kind: DataKind): DataError {
  const text = typeof value === "string" ? JSON.stringify(value) : textOf(value);
  return new DataError(`Cannot convert ${text.slice(0, 100)} to ${kind}`);
}
