import { Float, isJsonObject, type Json } from "#sdk/model";

/** A JSON object. */
export type JsonRecord = { readonly [key: string]: Json };

/**
 * A value with plain numbers alone, as a configuration file is read: a fraction loses its spelling, an integer beyond 2^53 its last
 * digits.
 */
export function plain(value: Json): Json {
  if (typeof value === "bigint") {
    return Number(value);
  }
  if (value instanceof Float) {
    return value.value;
  }
  if (Array.isArray(value)) {
    return value.map((element: Json) => plain(element));
  }
  return isJsonObject(value)
    ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))
    : value;
}

/** One text for equal values, whatever the order of their keys. */
export function canonical(value: Json | undefined): string {
  return JSON.stringify(value === undefined ? null : sorted(plain(value)));
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) {
    return value.map((element: Json) => sorted(element));
  }
  if (!isJsonObject(value)) {
    return value;
  }
  const pairs = Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(pairs.map(([key, inner]) => [key, sorted(inner)]));
}

/** An object without some of its keys. */
export function without(value: JsonRecord, ...keys: readonly string[]): JsonRecord {
  return Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));
}

/** The text of a configuration file. */
export function fileText(value: Json): string {
  return `${JSON.stringify(plain(value), null, 2)}\n`;
}
