import { textOf } from "#sdk/encode";
import { DataError } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import { Float, type Json } from "#sdk/model";
import { pythonText } from "#sdk/python-builtins";
import { hexText, utf8 } from "./codec.ts";
import type { UpdateItem } from "./item-config.ts";
import { writeNumber } from "./number-format.ts";

/** The text of a value: booleans `True` and `False`, null `None`, objects and lists JSON. */
export function valueText(value: Json): string {
  return typeof value === "boolean" || value === null ? pythonText(value) : textOf(value);
}

/** A value as the bytes that are written. @throws DataError when it does not fit the encoding */
export function encodeValue(value: Json, encoding: UpdateItem["encoding"]): Uint8Array {
  switch (encoding) {
    case "utf8":
      return new TextEncoder().encode(valueText(value));
    case "hex": {
      const text = typeof value === "string" ? value.replaceAll(/[\s:]/g, "") : "";
      if (!/^([0-9a-f]{2})*$/i.test(text) || typeof value !== "string") {
        throw new DataError(`Cannot write ${valueText(value)}: need a text of hexadecimal bytes`);
      }
      return Uint8Array.from(Buffer.from(text, "hex"));
    }
    default:
      return writeNumber(toNumber(value), encoding);
  }
}

function toNumber(value: Json): number | bigint {
  if (typeof value === "number" || typeof value === "bigint") {
    return value;
  }
  if (typeof value === "boolean") {
    return value ? 1 : 0;
  }
  const number =
    value instanceof Float
      ? value.value
      : typeof value === "string" && value.trim() !== ""
        ? Number(value)
        : Number.NaN;
  if (!Number.isFinite(number)) {
    throw new DataError(`Cannot write ${valueText(value)}: need a number`);
  }
  return number;
}

/** What a read answers: the JSON value its text is, else the text; the bytes as hex text where they are none. */
export function readReply(bytes: Uint8Array): Json {
  let text: string;
  try {
    text = utf8(bytes);
  } catch (error) {
    if (error instanceof DataError) {
      return hexText(bytes);
    }
    throw error;
  }
  try {
    return readJson(text);
  } catch (error) {
    if (error instanceof DataError) {
      return text;
    }
    throw error;
  }
}

/** Reads `k=v;k=v;` of the reserved methods; the first `=` separates, a pair without one is left out. */
export function readPairs(params: Json): ReadonlyMap<string, string> {
  const pairs = new Map<string, string>();
  for (const part of typeof params === "string" ? params.split(";") : []) {
    const at = part.indexOf("=");
    if (at > 0) {
      pairs.set(part.slice(0, at).trim(), part.slice(at + 1));
    }
  }
  return pairs;
}
