import { encodeJson, textOf } from "#sdk/encode";
import { DataError } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import { Float, isJsonObject, type Json } from "#sdk/model";
import { BUILTIN, formatDate } from "./codec.ts";

/** What a node takes. */
export interface ValueType {
  /** A builtin type of `BUILTIN`; `undefined`: whatever fits the value. */
  readonly builtin: number | undefined;
  readonly isArray: boolean;
  /** The numbers of an enumeration by their names. */
  readonly symbols?: ReadonlyMap<string, number> | undefined;
}

/** A value for the wire, before the stack makes its objects of it. */
export interface Coerced {
  readonly builtin: number;
  readonly isArray: boolean;
  readonly value: unknown;
  /** The same in the answer. */
  readonly shown: Json;
}

const NAMES = new Map<number, string>(Object.entries(BUILTIN).map(([name, id]) => [id, name]));

/** Least and greatest values of the integer types. */
const RANGES: Readonly<Record<number, readonly [bigint, bigint]>> = {
  [BUILTIN.SByte]: [-128n, 127n],
  [BUILTIN.Byte]: [0n, 255n],
  [BUILTIN.Int16]: [-32_768n, 32_767n],
  [BUILTIN.UInt16]: [0n, 65_535n],
  [BUILTIN.Int32]: [-2_147_483_648n, 2_147_483_647n],
  [BUILTIN.UInt32]: [0n, 4_294_967_295n],
  [BUILTIN.Int64]: [-(2n ** 63n), 2n ** 63n - 1n],
  [BUILTIN.UInt64]: [0n, 2n ** 64n - 1n],
};

/** Makes of a value from the platform what a node takes. @throws DataError saying what does not fit */
export function coerceValue(value: Json, type: ValueType): Coerced {
  if (!type.isArray) {
    const builtin = type.builtin ?? guessed(value);
    const one = coerceOne(numberOf(value, type), builtin);
    return { builtin, isArray: false, ...one };
  }
  const list = typeof value === "string" ? readList(value) : value;
  if (!isList(list)) {
    throw new DataError(`the node takes a list, but ${textOfValue(value)} is none`);
  }
  const builtin = type.builtin ?? guessed(list[0] ?? null);
  const items = list.map((item) => coerceOne(numberOf(item, type), builtin));
  return {
    builtin,
    isArray: true,
    value: items.map((item) => item.value),
    shown: items.map((item) => item.shown),
  };
}

/** The number of a name of an enumeration; anything else is left as it is. @throws DataError for a name it has not */
function numberOf(value: Json, { symbols }: ValueType): Json {
  if (symbols === undefined || typeof value !== "string" || /^\s*[-+]?\d/.test(value)) {
    return value;
  }
  const number = symbols.get(value.trim());
  if (number === undefined) {
    const names = [...symbols.keys()].slice(0, 20).join(", ");
    throw new DataError(`${value} is none of the names of the type: ${names}`);
  }
  return number;
}

/** The type of a value where the node takes any. */
function guessed(value: Json): number {
  switch (typeof value) {
    case "boolean":
      return BUILTIN.Boolean;
    case "number":
      return Number.isSafeInteger(value) ? BUILTIN.Int64 : BUILTIN.Double;
    case "bigint":
      return BUILTIN.Int64;
    case "string":
      return BUILTIN.String;
    default:
      return value instanceof Float ? BUILTIN.Double : BUILTIN.String;
  }
}

interface One {
  readonly value: unknown;
  readonly shown: Json;
}

function coerceOne(value: Json, builtin: number): One {
  if (value === null) {
    throw new DataError(`null is no value for ${NAMES.get(builtin) ?? "the node"}`);
  }
  const range = RANGES[builtin];
  if (range !== undefined) {
    return coerceInteger(value, builtin, range);
  }
  const coerce = COERCE[builtin];
  if (coerce === undefined) {
    throw new DataError(`a value of type ${NAMES.get(builtin) ?? builtin} cannot be written`);
  }
  return coerce(value, builtin);
}

const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** How a value of each other type is made. */
const COERCE: Readonly<Record<number, (value: Json, builtin: number) => One>> = {
  [BUILTIN.Boolean]: coerceBoolean,
  [BUILTIN.Float]: coerceFloat,
  [BUILTIN.Double]: coerceFloat,
  [BUILTIN.DateTime]: coerceDate,
  [BUILTIN.ByteString]: coerceBytes,
  [BUILTIN.LocalizedText]: coerceLocalizedText,
  [BUILTIN.QualifiedName]: coerceQualifiedName,
  [BUILTIN.Guid]: (value, builtin) => matching(value, builtin, GUID),
  [BUILTIN.String]: coerceText,
  [BUILTIN.XmlElement]: coerceText,
  [BUILTIN.NodeId]: coerceText,
  [BUILTIN.ExpandedNodeId]: coerceText,
};

function coerceInteger(
  value: Json,
  builtin: number,
  [least, greatest]: readonly [bigint, bigint],
): One {
  const integer = toInteger(value);
  if (integer === undefined) {
    throw unfit(value, builtin);
  }
  if (integer < least || integer > greatest) {
    throw new DataError(`value ${integer} out of range for ${NAMES.get(builtin)}`);
  }
  if (builtin === BUILTIN.Int64 || builtin === BUILTIN.UInt64) {
    const bits = BigInt.asUintN(64, integer);
    return { value: [Number(bits >> 32n), Number(bits & 0xffff_ffffn)], shown: plain(integer) };
  }
  return { value: Number(integer), shown: Number(integer) };
}

/** An integer, exactly; `undefined` when it is none. */
function toInteger(value: Json): bigint | undefined {
  if (typeof value === "bigint") {
    return value;
  }
  const number = value instanceof Float ? value.value : value;
  if (typeof number === "number") {
    return Number.isInteger(number) ? BigInt(number) : undefined;
  }
  if (typeof number === "boolean") {
    return number ? 1n : 0n;
  }
  const match = typeof number === "string" ? /^\s*([+-]?\d{1,40})(?:\.0*)?\s*$/.exec(number) : null;
  return match?.[1] === undefined ? undefined : BigInt(match[1].replace("+", ""));
}

function plain(integer: bigint): Json {
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : integer;
}

function coerceBoolean(value: Json): One {
  const number = value instanceof Float ? value.value : value;
  const text = textOf(number).trim().toLowerCase();
  if (text === "true" || text === "1") {
    return { value: true, shown: true };
  }
  if (text === "false" || text === "0") {
    return { value: false, shown: false };
  }
  throw unfit(value, BUILTIN.Boolean);
}

function coerceFloat(value: Json, builtin: number): One {
  const source = value instanceof Float ? value.value : value;
  const isNumeric = typeof source === "string" && source.trim() !== "";
  const isNumber = typeof source === "number" || typeof source === "bigint";
  const number = isNumeric || isNumber || typeof source === "boolean" ? Number(source) : Number.NaN;
  if (
    !Number.isFinite(number) ||
    (builtin === BUILTIN.Float && !Number.isFinite(Math.fround(number)))
  ) {
    throw unfit(value, builtin);
  }
  return { value: number, shown: new Float(number) };
}

function coerceDate(value: Json): One {
  const source = value instanceof Float ? value.value : value;
  const date =
    typeof source === "number" || typeof source === "bigint"
      ? new Date(Number(source))
      : dateOf(source);
  if (date === undefined || Number.isNaN(date.getTime())) {
    throw unfit(value, BUILTIN.DateTime);
  }
  return { value: date, shown: formatDate(date) };
}

/** A date as ISO-8601 text, or milliseconds since 1970 as text. */
function dateOf(text: Json): Date | undefined {
  if (typeof text !== "string") {
    return undefined;
  }
  if (/^\s*-?\d{1,16}\s*$/.test(text)) {
    return new Date(Number(text));
  }
  return /^\d{4}-\d{2}-\d{2}/.test(text) ? new Date(text) : undefined;
}

function coerceBytes(value: Json): One {
  if (typeof value !== "string" || !/^(?:[0-9a-f]{2})*$/i.test(value)) {
    throw new DataError(
      `${textOfValue(value)} is no value for ByteString: write hexadecimal digits`,
    );
  }
  return { value: Buffer.from(value, "hex"), shown: value.toLowerCase() };
}

function coerceLocalizedText(value: Json): One {
  if (isJsonObject(value)) {
    const { text, locale = null } = value;
    if (typeof text !== "string" || (locale !== null && typeof locale !== "string")) {
      throw unfit(value, BUILTIN.LocalizedText);
    }
    return { value: { text, locale }, shown: text };
  }
  const { shown } = coerceText(value, BUILTIN.LocalizedText);
  return { value: { text: shown, locale: null }, shown };
}

function coerceQualifiedName(value: Json): One {
  const [, namespace = "0", name] =
    typeof value === "string" ? (/^(?:(\d{1,5}):)?(.+)$/s.exec(value) ?? []) : [];
  if (name === undefined) {
    throw unfit(value, BUILTIN.QualifiedName);
  }
  return { value: { namespaceIndex: Number(namespace), name }, shown: `${namespace}:${name}` };
}

function matching(value: Json, builtin: number, pattern: RegExp): One {
  if (typeof value !== "string" || !pattern.test(value)) {
    throw unfit(value, builtin);
  }
  return { value, shown: value.toLowerCase() };
}

/** Anything scalar is text. */
function coerceText(value: Json, builtin: number): One {
  if (typeof value === "string") {
    return { value, shown: value };
  }
  if (isList(value) || isJsonObject(value)) {
    throw unfit(value, builtin);
  }
  const text = value instanceof Float && value.text !== undefined ? value.text : encodeJson(value);
  return { value: text, shown: text };
}

function readList(text: string): Json {
  try {
    return readJson(text);
  } catch (error) {
    if (error instanceof DataError) {
      return text;
    }
    throw error;
  }
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function unfit(value: Json, builtin: number): DataError {
  return new DataError(`${textOfValue(value)} is no value for ${NAMES.get(builtin) ?? builtin}`);
}

function textOfValue(value: Json): string {
  return encodeJson(value).slice(0, 100);
}
