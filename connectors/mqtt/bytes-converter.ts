import type { MqttMessage } from "#sdk/converter";
import { coerce } from "#sdk/datatypes";
import { DataError } from "#sdk/errors";
import { type DeviceData, Float, type Json } from "#sdk/model";
import { type StrategyConfig, toReportStrategy } from "#sdk/report-strategy";
import { compileTopicPattern, compileTopicText, namedBy } from "./device-info.ts";
import type { BytesConverterConfig } from "./mapping-config.ts";
import { RecordDraft } from "./record-draft.ts";

type PointConfig = BytesConverterConfig["timeseries"][number];
type OnBadPoint = (error: DataError) => void;

/** One entry of `attributes` or `timeseries`, compiled. */
interface Point {
  readonly findKey: (payload: Uint8Array, topic: string) => string | undefined;
  /** `undefined`: the payload ends before it. @throws DataError */
  readonly findValue: (payload: Uint8Array) => Json | undefined;
  readonly strategy: ReturnType<typeof toReportStrategy>;
}

/** Part of the payload, by Python's rules: negative positions count from the end, the end is not included. */
interface Slice {
  readonly source: string;
  readonly start: number | undefined;
  /** A number for a single byte. */
  readonly end: number | undefined | "single";
}

const SLICE = /\[(?:(-?\d+)|(-?\d+)?:(-?\d+)?)\]/g;

const BINARY_TYPE = /^(u?int)(8|16|32|64)$|^(float)(32|64)$/;

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Compiles a converter of type `bytes`. Values carry no time: they get the time of arrival.
 * @see createUplink for what the function does with bad input.
 */
export function createBytesConverter(
  config: BytesConverterConfig,
  strategy: StrategyConfig | undefined,
): (message: MqttMessage, onBadPoint: OnBadPoint) => readonly DeviceData[] {
  const { deviceInfo } = config;
  const findDevice = namedBy(
    compileName(deviceInfo.deviceNameExpressionSource, deviceInfo.deviceNameExpression),
    compileName(deviceInfo.deviceProfileExpressionSource, deviceInfo.deviceProfileExpression),
  );
  const attributes = config.attributes.map(compilePoint);
  const timeseries = config.timeseries.map(compilePoint);
  const deviceStrategy = toReportStrategy(strategy);
  return ({ payload, topic, receivedTs }, onBadPoint) => {
    const draft = new RecordDraft(findDevice(payload, topic), receivedTs);
    const evaluate = (point: Point, add: (key: string, value: Json) => void): void => {
      try {
        const key = point.findKey(payload, topic);
        const value = key === undefined || key === "" ? undefined : point.findValue(payload);
        if (key !== undefined && value !== undefined) {
          add(key, value);
          draft.addStrategy(key, point.strategy);
        }
      } catch (error) {
        if (!(error instanceof DataError)) {
          throw error;
        }
        onBadPoint(error);
      }
    };
    for (const point of attributes) {
      evaluate(point, (key, value) => draft.addAttribute(key, value));
    }
    for (const point of timeseries) {
      evaluate(point, (key, value) => draft.addValue(key, value, undefined));
    }
    return draft.isEmpty ? [] : [draft.finish(deviceStrategy)];
  };
}

/** Names know no hexadecimal: a name that is no text is no name. */
function compileName(
  source: string | undefined,
  text: string | undefined,
): (payload: Uint8Array, topic: string) => string | undefined {
  if (text === undefined) {
    return () => undefined;
  }
  if (source === "topic") {
    return compileTopicText(text);
  }
  const parts = splitSlices(text);
  return (payload) => {
    try {
      return fill(parts, payload, decodeText);
    } catch (error) {
      if (error instanceof DataError) {
        return undefined;
      }
      throw error;
    }
  };
}

function compilePoint(point: PointConfig): Point {
  const read = point.hexMode ? toHex : decodeTextOrHex;
  const inTopic = point.keySource === "topic" ? compileTopicPattern(point.key) : undefined;
  const keyParts = splitSlices(point.key);
  return {
    findKey:
      inTopic === undefined
        ? (payload) => fill(keyParts, payload, read)
        : (_payload, topic) => inTopic(topic),
    findValue: compileValue(point, read),
    strategy: toReportStrategy(point.reportStrategy),
  };
}

function compileValue(
  point: PointConfig,
  read: (bytes: Uint8Array) => string,
): (payload: Uint8Array) => Json | undefined {
  const parts = splitSlices(point.value);
  const binary = BINARY_TYPE.exec(point.type.toLowerCase());
  if (binary === null) {
    return (payload) => {
      const text = fill(parts, payload, read);
      return text === "" ? undefined : scale(coerce(text, point.type), point);
    };
  }
  const kind = binary[1] ?? "float";
  const bits = Number(binary[2] ?? binary[4]);
  const slice = parts.length === 1 && typeof parts[0] === "object" ? parts[0] : undefined;
  return (payload) => {
    const bytes = slice === undefined ? undefined : cut(slice, payload);
    if (bytes === undefined || bytes.length * 8 !== bits) {
      throw new DataError(
        `Cannot read "${point.value}" as ${point.type}: it needs one slice of ${bits / 8} bytes`,
      );
    }
    return scale(
      readBinary(bytes, { kind, bits, littleEndian: point.byteOrder === "LITTLE" }),
      point,
    );
  };
}

/** A text and its slices, in order. */
function splitSlices(text: string): readonly (string | Slice)[] {
  const parts: (string | Slice)[] = [];
  let end = 0;
  for (const match of text.matchAll(SLICE)) {
    if (match.index > end) {
      parts.push(text.slice(end, match.index));
    }
    const [source, single, from, to] = match;
    parts.push({
      source,
      start: toPosition(single ?? from),
      end: single === undefined ? toPosition(to) : "single",
    });
    end = match.index + source.length;
  }
  if (end < text.length) {
    parts.push(text.slice(end));
  }
  return parts;
}

function toPosition(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

/** The text with every slice in its place. @throws DataError when a single byte is not there */
function fill(
  parts: readonly (string | Slice)[],
  payload: Uint8Array,
  read: (bytes: Uint8Array) => string,
): string {
  let text = "";
  for (const part of parts) {
    text += typeof part === "string" ? part : read(cut(part, payload));
  }
  return text;
}

/** @throws DataError when a single byte is not there; a slice behind the end is empty */
function cut({ source, start, end }: Slice, payload: Uint8Array): Uint8Array {
  if (end !== "single") {
    return payload.subarray(start, end);
  }
  const index = (start ?? 0) < 0 ? payload.length + (start ?? 0) : (start ?? 0);
  if (index < 0 || index >= payload.length) {
    throw new DataError(`Cannot read byte ${source}: the payload has ${payload.length} bytes`);
  }
  return payload.subarray(index, index + 1);
}

function decodeText(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch (cause) {
    throw new DataError("The bytes are not UTF-8 text", { cause });
  }
}

/** Bytes that are no text are shown in hexadecimal rather than lost. */
function decodeTextOrHex(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return toHex(bytes);
  }
}

function toHex(bytes: Uint8Array): string {
  return bytes.toHex();
}

function readBinary(
  bytes: Uint8Array,
  format: { readonly kind: string; readonly bits: number; readonly littleEndian: boolean },
): Json {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const { kind, bits, littleEndian } = format;
  if (kind === "float") {
    const value = bits === 32 ? view.getFloat32(0, littleEndian) : view.getFloat64(0, littleEndian);
    if (!Number.isFinite(value)) {
      throw new DataError(`Cannot send ${value}: it is no finite number`);
    }
    return new Float(value);
  }
  let value = 0n;
  const ordered = littleEndian ? bytes.toReversed() : bytes;
  for (const byte of ordered) {
    value = (value << 8n) | BigInt(byte);
  }
  const signed = kind === "int" ? BigInt.asIntN(bits, value) : value;
  const number = Number(signed);
  return Number.isSafeInteger(number) ? number : signed;
}

/** `multiplier` and `divider`; a result of a division is a float. */
function scale(value: Json, { multiplier, divider }: PointConfig): Json {
  if (multiplier === undefined && divider === undefined) {
    return value;
  }
  const number = value instanceof Float ? value.value : Number(value);
  const result = (number * (multiplier ?? 1)) / (divider ?? 1);
  if (!Number.isFinite(result)) {
    throw new DataError("Cannot scale what is no number");
  }
  const isWhole =
    divider === undefined && !(value instanceof Float) && Number.isSafeInteger(result);
  return isWhole ? result : new Float(result);
}
