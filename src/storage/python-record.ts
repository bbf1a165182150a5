import type { EncodedRecord } from "#sdk/batch";
import { encodeValues } from "#sdk/encode";
import { DataError } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import { type EpochMs, epochMs, Float, isJsonObject, type Json, type Values } from "#sdk/model";

/** Under this name the Python gateway stores what it says about itself. */
const OWN_DEVICE = "currentThingsBoardGateway";
/** Longest device name the platform takes. */
const MAX_NAME_LENGTH = 255;
const DEFAULT_TYPE = "default";

/** What one stored message of a Python gateway comes to. */
export interface ConvertedRecord {
  readonly records: readonly EncodedRecord[];
  readonly values: number;
  /** Values without a JSON form; they are left out. */
  readonly badValues: number;
}

/**
 * Reads a message as the Python gateway keeps it: `deviceName`, `deviceType`, `telemetry` and `attributes`, each a list or one
 * object. Numbers stay as they were written: `25.0` a double, integers of 64 bit exact. An entry without a time gets
 * `storedMs`. @throws DataError reason `corrupt` when it is no such message.
 */
export function convertPythonRecord(text: string, storedMs: EpochMs): ConvertedRecord {
  const message = readMessage(text);
  const name = message["deviceName"];
  if (typeof name !== "string" || name.trim() === "" || name.length > MAX_NAME_LENGTH) {
    throw corrupt("it names no device");
  }
  const type = message["deviceType"];
  const isOwn = name === OWN_DEVICE;
  const namedType = typeof type === "string" && type !== "" ? type : DEFAULT_TYPE;
  const owner = isOwn ? { device: "", deviceType: "" } : { device: name, deviceType: namedType };
  const records: EncodedRecord[] = [];
  let values = 0;
  let badValues = 0;
  const add = (
    kind: EncodedRecord["kind"],
    given: Values,
    wrap: (json: string) => string,
  ): void => {
    const { text: json, count, rejected } = encodeValues(given);
    badValues += rejected;
    if (count > 0) {
      records.push({ ...owner, kind, json: wrap(json), values: count });
      values += count;
    }
  };
  const attributes: Record<string, Json> = {};
  for (const item of objectsOf(message["attributes"])) {
    Object.assign(attributes, item);
  }
  add(isOwn ? "gateway-attributes" : "attributes", attributes, (json) => json);
  for (const item of objectsOf(message["telemetry"])) {
    const { ts, values: given } = entryOf(item, storedMs);
    const kind = isOwn ? "gateway-telemetry" : "telemetry";
    add(kind, given, (json) => `{"ts":${ts},"values":${json}}`);
  }
  return { records, values, badValues };
}

function readMessage(text: string): { readonly [key: string]: Json } {
  let message: Json;
  try {
    message = readJson(text);
  } catch (error) {
    if (error instanceof DataError) {
      throw corrupt("it is not JSON", error);
    }
    throw error;
  }
  if (!isJsonObject(message)) {
    throw corrupt("it is not an object");
  }
  return message;
}

/** A list of objects, or one object; anything else in it is nothing. @throws DataError when it is neither. */
function objectsOf(value: Json | undefined): readonly Values[] {
  if (value === undefined || value === null) {
    return [];
  }
  if (isJsonObject(value)) {
    return [value];
  }
  if (!Array.isArray(value)) {
    throw corrupt("telemetry and attributes must be lists or objects");
  }
  const items: readonly Json[] = value;
  return items.filter((item) => isJsonObject(item));
}

/** `{"ts":1,"values":{…}}`, `{"values":{…}}`, or the values themselves with or without a `ts` among them. */
function entryOf(
  item: Values,
  storedMs: EpochMs,
): { readonly ts: EpochMs; readonly values: Values } {
  const ts = timeOf(item["ts"]) ?? storedMs;
  const values = item["values"];
  if (isJsonObject(values)) {
    return { ts, values };
  }
  const rest = Object.fromEntries(Object.entries(item).filter(([key]) => key !== "ts"));
  return { ts, values: rest };
}

/** A time as a number, or as text that is one; `undefined` when it is none. */
function timeOf(value: Json | undefined): EpochMs | undefined {
  const plain = value instanceof Float ? value.value : value;
  const number = typeof plain === "string" && plain.trim() !== "" ? Number(plain) : plain;
  return typeof number === "number" && Number.isFinite(number) && number >= 0
    ? epochMs(number)
    : undefined;
}

function corrupt(what: string, cause?: unknown): DataError {
  return new DataError(`Cannot take over a record: ${what}`, { cause, reason: "corrupt" });
}
