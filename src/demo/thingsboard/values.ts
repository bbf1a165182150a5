import { DataError } from "#sdk/errors";
import { type EpochMs, Float, type Json } from "#sdk/model";
import type { JsonNode } from "./json.ts";

/** How the server stores a value. */
export type ValueType = "LONG" | "DOUBLE" | "BOOLEAN" | "STRING" | "JSON";

/** A value as the server keeps it. */
export interface TypedValue {
  readonly type: ValueType;
  /**
   * LONG: a number, or a bigint when the number would not be exact. DOUBLE: a number. JSON: its compact text.
   * STRING: the text without quotes.
   */
  readonly value: number | bigint | boolean | string;
  /** The JSON text as the client wrote it: tells `5` from `5.0` and from `"5"`. */
  readonly text: string;
}

/** A value of a time series. */
export interface DataPoint extends TypedValue {
  readonly key: string;
  readonly ts: EpochMs;
}

/** Most fraction digits a DOUBLE may have; one more and the server stores text. */
const MAX_FRACTION_DIGITS = 16;
/** Longest number text this double expands to plain notation. */
const MAX_EXPONENT = 100_000;
const MIN_LONG = -(2n ** 63n);
const MAX_LONG = 2n ** 63n - 1n;
const CASTABLE = /^-?(?:\d+(?:\.\d+)?|\.\d+)$/;
const SHORT_INTEGER = /^-?\d{1,15}$/;
const PLAIN_DECIMAL = /^-?\d*\.(\d+)$/;
const DECIMAL = /^(-?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;

/**
 * The typing rule of ThingsBoard with its string cast switched on. A JSON null is no value (undefined).
 * @throws DataError for a number whose exponent is beyond ±100,000.
 */
export function typeValue(node: JsonNode): TypedValue | undefined {
  switch (node.kind) {
    case "null":
      return undefined;
    case "boolean":
      return { type: "BOOLEAN", value: node.text.length === 4, text: ownText(node.text) };
    case "number":
      return typeNumber(node.text, node.text);
    case "string":
      return CASTABLE.test(node.content)
        ? typeNumber(node.content, node.text)
        : { type: "STRING", value: ownText(node.content), text: ownText(node.text) };
    default:
      return { type: "JSON", value: compactText(node), text: ownText(node.text) };
  }
}

/**
 * A copy that shares no memory with the payload it was cut from. Without it one short text would keep a whole 64 KiB
 * payload alive for as long as the point is stored.
 */
export function ownText(text: string): string {
  return Buffer.from(text, "utf8").toString("utf8");
}

function typeNumber(number: string, text: string): TypedValue {
  if (SHORT_INTEGER.test(number)) {
    const value = Number(number) + 0;
    const printed = String(value);
    return { type: "LONG", value, text: printed === text ? printed : ownText(text) };
  }
  const fraction = PLAIN_DECIMAL.exec(number)?.[1];
  if (fraction !== undefined && fraction.length <= MAX_FRACTION_DIGITS) {
    // Adding zero turns -0 into 0: the server reads through a decimal type that has no negative zero.
    const value = Number(number) + 0;
    const printed = String(value);
    return { type: "DOUBLE", value, text: printed === text ? printed : ownText(text) };
  }
  return typeDecimal(number, ownText(text));
}

function typeDecimal(number: string, text: string): TypedValue {
  const [, sign = "", whole = "", fraction = "", exponentText = "0"] = DECIMAL.exec(number) ?? [];
  const exponent = Number(exponentText);
  if (Math.abs(exponent) > MAX_EXPONENT) {
    throw new DataError(`Cannot store the number ${number}: its exponent is beyond ±100,000`);
  }
  const digits = whole + fraction;
  const scale = fraction.length - exponent;
  const isPlainDecimal = number.includes(".") && !/[eE]/.test(number);
  if (isIntegral(digits, scale) && !isPlainDecimal) {
    return typeInteger(BigInt(sign + plainDigits(digits, scale).replace(/\..*$/, "")), text);
  }
  if (scale <= MAX_FRACTION_DIGITS) {
    return { type: "DOUBLE", value: Number(number) + 0, text };
  }
  return { type: "STRING", value: sign + plainDigits(digits, scale), text };
}

/** Whether `digits` × 10^-`scale` has no fraction. */
function isIntegral(digits: string, scale: number): boolean {
  const significant = digits.replace(/0+$/, "");
  return significant === "" || significant.length <= digits.length - Math.max(scale, 0);
}

function typeInteger(value: bigint, text: string): TypedValue {
  if (value < MIN_LONG || value > MAX_LONG) {
    return { type: "STRING", value: value.toString(), text };
  }
  const short = Number(value);
  return { type: "LONG", value: Number.isSafeInteger(short) ? short : value, text };
}

/** `digits` × 10^-`scale` without an exponent. */
function plainDigits(digits: string, scale: number): string {
  const padded = digits + "0".repeat(Math.max(-scale, 0));
  if (scale <= 0) {
    return padded.replace(/^0+(?=\d)/, "");
  }
  const full = padded.padStart(scale + 1, "0");
  const whole = full.slice(0, -scale).replace(/^0+(?=\d)/, "");
  return `${whole}.${full.slice(-scale)}`;
}

/** Compact JSON text. Members that are null are left out, null elements of arrays stay, numbers keep their text. */
export function compactText(node: JsonNode): string {
  switch (node.kind) {
    case "array":
      return `[${node.items.map(compactText).join(",")}]`;
    case "object": {
      const parts: string[] = [];
      for (const [name, member] of node.members) {
        if (member.kind !== "null") {
          parts.push(`${quote(name)}:${compactText(member)}`);
        }
      }
      return `{${parts.join(",")}}`;
    }
    case "string":
      return quote(node.content);
    case "boolean":
    case "null":
      return node.text.toLowerCase();
    default:
      return node.text;
  }
}

/** A JSON string literal. */
export function quote(text: string): string {
  return JSON.stringify(text).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** The JSON text in which the server sends a stored value down: a DOUBLE always shows that it is one (`5.0`). */
export function downlinkText(stored: TypedValue): string {
  if (stored.type === "STRING") {
    return quote(String(stored.value));
  }
  return stored.type === "DOUBLE" ? javaDouble(Number(stored.value)) : String(stored.value);
}

/** A double as Java prints it: `1.0`, from 10^7 on `1.0E7`, below 10^-3 `1.0E-4`. */
export function javaDouble(value: number): string {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) {
    return String(value);
  }
  if (size === 0 || (size >= 1e-3 && size < 1e7)) {
    const text = String(value);
    return text.includes(".") ? text : `${text}.0`;
  }
  const [mantissa = "0", exponent = "+0"] = value.toExponential().split("e");
  const fraction = mantissa.includes(".") ? mantissa : `${mantissa}.0`;
  return `${fraction}E${exponent.replace("+", "")}`;
}

/** JSON text of a value given in code: a `Float` shows its fraction, a `bigint` all its digits. */
export function jsonText(value: Json): string {
  if (value instanceof Float) {
    return javaDouble(value.value);
  }
  if (typeof value === "bigint") {
    return value.toString();
  }
  if (typeof value !== "object" || value === null) {
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) {
    return `[${value.map(jsonText).join(",")}]`;
  }
  const parts = Object.entries(value).map(([name, member]) => `${quote(name)}:${jsonText(member)}`);
  return `{${parts.join(",")}}`;
}
