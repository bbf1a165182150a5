import { encodeJson, encodeValue } from "#sdk/encode";
import { EncodedJson } from "#sdk/encoded";
import {
  ConfigError,
  DataError,
  errorText,
  InvariantError,
  RejectedError,
  RpcError,
  TransientError,
} from "#sdk/errors";
import type { LogFields } from "#sdk/logger";
import { type DeviceData, epochMs, Float, type Json, type Values } from "#sdk/model";
import type { WireData, WireError, WireValues } from "./port.ts";

/** Longest text of one field of a log line. */
const MAX_FIELD_CHARS = 16 * 1024;
/** A number as JSON writes it. */
const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** Data on its way to the port, and what it costs there. */
export interface Packed {
  readonly data: WireData;
  /** Values that can be sent. */
  readonly values: number;
  /** Values that have no JSON form. */
  readonly bad: number;
  readonly chars: number;
}

/** Writes each value as JSON text. The caller has checked the shape of the record. */
export function pack(record: DeviceData): Packed {
  const total = { values: 0, bad: 0, chars: record.deviceName.length };
  const { deviceName, deviceType, attributes, telemetry, receivedTs } = record;
  const data: WireData = {
    deviceName,
    ...(typeof deviceType === "string" ? { deviceType } : {}),
    ...(attributes === undefined ? {} : { attributes: packValues(attributes, total) }),
    ...(telemetry === undefined
      ? {}
      : {
          telemetry: telemetry.map(({ ts, values }) => ({
            ...(ts === undefined ? {} : { ts }),
            values: packValues(values, total),
          })),
        }),
    ...(receivedTs === undefined ? {} : { receivedTs }),
    ...packStrategies(record),
  };
  return { data, ...total };
}

/** Only what strategies consist of: an author's object may hold what cannot cross a port. */
function packStrategies({
  strategy,
  keyStrategies,
}: DeviceData): Pick<WireData, "strategy" | "keyStrategies"> {
  return {
    ...(strategy === undefined ? {} : { strategy: plain(strategy) }),
    ...(keyStrategies === undefined ? {} : { keyStrategies: plain(keyStrategies) }),
  };
}

/** A copy without anything that JSON cannot hold. */
function plain<Value>(value: Value): Value {
  // What JSON makes of strategies has the same keys, for what can be used of them.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  return JSON.parse(JSON.stringify(value)) as Value;
}

/** Values by themselves, for the gateway's own device. */
export function packValues(
  values: Values,
  total = { values: 0, bad: 0, chars: 0 },
): (string | null | undefined)[] {
  const packed: (string | null | undefined)[] = [];
  for (const key of Object.keys(values)) {
    const value = values[key];
    const text = value === null || value === undefined ? null : encodeValue(value);
    packed.push(key, text);
    total.chars += key.length + (text?.length ?? 0);
    if (text === undefined) {
      total.bad += 1;
    } else if (text !== null) {
      total.values += 1;
    }
  }
  return packed;
}

/** The record in the collection thread. Its values stay text; a value without a JSON form is one there too. */
export function unpack(data: WireData): DeviceData {
  const { attributes, telemetry, receivedTs, ...rest } = data;
  return {
    ...rest,
    ...(attributes === undefined ? {} : { attributes: unpackValues(attributes) }),
    ...(telemetry === undefined
      ? {}
      : {
          telemetry: telemetry.map(({ ts, values }) => ({
            ...(ts === undefined ? {} : { ts: epochMs(ts) }),
            values: unpackValues(values),
          })),
        }),
    ...(receivedTs === undefined ? {} : { receivedTs: epochMs(receivedTs) }),
  };
}

/** Values whose text is written into the record as it is. */
export function unpackValues(packed: WireValues): Values {
  const values: Record<string, Json> = {};
  for (let index = 0; index + 1 < packed.length; index += 2) {
    const text = packed[index + 1];
    // An assignment would set the prototype instead of a key of this name.
    Object.defineProperty(values, packed[index] ?? "", {
      value: text === undefined ? Number.NaN : text === null ? null : encoded(text),
      configurable: true,
      enumerable: true,
      writable: true,
    });
  }
  return values;
}

function encoded(text: string): Json {
  const value: unknown = new EncodedJson(text);
  // `sdk/encode` writes it as it is, and nothing else of the core looks at values.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  return value as Json;
}

/** JSON text that reads back as the same value: also the spelling of a number that was read from JSON. */
export function exactText(value: unknown): string {
  if (value instanceof Float) {
    const { text } = value;
    return text !== undefined && JSON_NUMBER.test(text) ? text : encodeJson(value);
  }
  if (Array.isArray(value)) {
    return `[${value.map((one: unknown) => exactText(one ?? null)).join(",")}]`;
  }
  if (typeof value === "object" && value !== null && isPlain(value)) {
    const members = Object.entries(value).filter(([, one]) => one !== undefined);
    return `{${members.map(([key, one]) => `${JSON.stringify(key)}:${exactText(one)}`).join(",")}}`;
  }
  // A large integer with all its digits; `encodeJson` would make a text of it.
  return typeof value === "bigint" ? String(value) : encodeJson(asJson(value));
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** What is left of `unknown` are plain values, and what `encodeJson` refuses. */
function asJson(value: unknown): Json {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  return value as Json;
}

/** Fields of a log line as JSON text, whatever a connector has put into them. */
export function fieldsText(fields: LogFields): string {
  const parts = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${JSON.stringify(key)}:${fieldText(value)}`);
  return `{${parts.join(",")}}`;
}

function fieldText(value: unknown): string {
  if (value instanceof Error) {
    return JSON.stringify(errorText(value).slice(0, MAX_FIELD_CHARS));
  }
  try {
    const text = encodeJson(asJson(value));
    return text.length <= MAX_FIELD_CHARS ? text : JSON.stringify(text.slice(0, MAX_FIELD_CHARS));
  } catch {
    // No JSON: a function, an instance of a class, a cycle.
    return JSON.stringify(String(value).slice(0, MAX_FIELD_CHARS));
  }
}

/** Whatever was thrown, as plain data. */
export function toWireError(error: unknown): WireError {
  if (!(error instanceof Error)) {
    return { name: "Error", message: String(error) };
  }
  const base = { message: errorText(error), stack: error.stack };
  if (error instanceof RejectedError) {
    return { ...base, name: "RejectedError", reason: error.reason };
  }
  if (error instanceof DataError) {
    return { ...base, name: "DataError", reason: error.reason };
  }
  if (error instanceof RpcError) {
    return { ...base, name: "RpcError", code: error.code };
  }
  if (error instanceof TransientError) {
    return { ...base, name: "TransientError", retryAfterMs: error.retryAfterMs };
  }
  if (error instanceof ConfigError) {
    const issues = error.issues.map(({ path, message }) => ({ path, message }));
    return { ...base, name: "ConfigError", file: error.file, issues };
  }
  return { ...base, name: error instanceof InvariantError ? "InvariantError" : "Error" };
}

/** The error on the other side. */
export function fromWireError(wire: WireError): Error {
  const make = Object.hasOwn(ERRORS, wire.name) ? ERRORS[wire.name] : undefined;
  return make === undefined ? plainError(wire) : make(wire);
}

const ERRORS: Readonly<Record<string, (wire: WireError) => Error>> = {
  RejectedError: ({ message, reason }) =>
    new RejectedError(message, reason === undefined ? {} : { reason }),
  DataError: ({ message, reason }) =>
    new DataError(message, reason === undefined ? {} : { reason }),
  TransientError: ({ message, retryAfterMs }) =>
    new TransientError(message, retryAfterMs === undefined ? {} : { retryAfterMs }),
  RpcError: ({ message, code }) => new RpcError(message, code),
  ConfigError: ({ file = "", issues = [] }) => new ConfigError(file, issues),
  InvariantError: ({ message }) => new InvariantError(message),
};

function plainError({ message, stack }: WireError): Error {
  const error = new Error(message);
  if (stack !== undefined) {
    error.stack = stack;
  }
  return error;
}
