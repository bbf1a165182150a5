import { compileArithmetic } from "#sdk/arithmetic";
import type { MqttMessage } from "#sdk/converter";
import { coerceTo, dataKind } from "#sdk/datatypes";
import { normaliseTs } from "#sdk/dates";
import { DataError } from "#sdk/errors";
import { compileExpression } from "#sdk/expression";
import { decodePayload } from "#sdk/json-reader";
import { type DeviceData, type EpochMs, isJsonObject, type Json } from "#sdk/model";
import { type StrategyConfig, toReportStrategy } from "#sdk/report-strategy";
import {
  compileDeviceInfo,
  compileTemplate,
  compileTopicPattern,
  type FindDevice,
  type FindText,
  hasFieldTag,
  readsFields,
} from "./device-info.ts";
import type { JsonConverterConfig } from "./mapping-config.ts";
import { mergeRecords, RecordDraft } from "./record-draft.ts";

type AttributeConfig = Exclude<JsonConverterConfig["attributes"][number], string>;
type TimeseriesConfig = Exclude<JsonConverterConfig["timeseries"][number], string>;
type OnBadPoint = (error: DataError) => void;

/** One entry of `attributes` or `timeseries`, compiled. */
interface Point {
  readonly findKey: FindText;
  /** `undefined`: the message does not hold it. @throws DataError when it cannot be converted */
  readonly findValue: (body: Json) => Json | undefined;
  readonly strategy: ReturnType<typeof toReportStrategy>;
}

interface TimedPoint extends Point {
  readonly findTs: FindTs;
}

/** The time of a point; `undefined` is the time of arrival. */
type FindTs = (body: Json, context: Context) => EpochMs | undefined;

/** What belongs to one message. */
interface Context {
  readonly message: MqttMessage;
  readonly onBadPoint: OnBadPoint;
}

/** A converter of type `json`, compiled. `"everything"` stands for all members of the message. */
interface Program {
  readonly findDevice: FindDevice;
  readonly attributes: readonly (Point | "everything")[];
  readonly timeseries: readonly (TimedPoint | "everything")[];
  readonly useReceivedTs: boolean;
  readonly strategy: ReturnType<typeof toReportStrategy>;
  /** Whether a payload that is no JSON is of no use. */
  readonly readsFields: boolean;
}

/**
 * Compiles a converter of type `json`. A message that is a list is converted element by element, and records of the same
 * device are put together. Values without a time carry none: they get the time of arrival.
 * @see createUplink for what the function does with bad input.
 */
export function createJsonConverter(
  config: JsonConverterConfig,
  strategy: StrategyConfig | undefined,
): (message: MqttMessage, onBadPoint: OnBadPoint) => readonly DeviceData[] {
  const program = compileProgram(config, strategy);
  return (message, onBadPoint) => {
    const body = decodePayload(message.payload);
    if (body instanceof Uint8Array || (program.readsFields && isPlainText(body, message))) {
      throw new DataError("The payload is not JSON", { reason: "not-json" });
    }
    const context = { message, onBadPoint };
    if (!isList(body)) {
      const draft = convertOne(program, body, context);
      return draft.isEmpty ? [] : [draft.finish(program.strategy)];
    }
    const drafts: RecordDraft[] = [];
    for (const element of body) {
      const draft = convertElement(program, element, context);
      if (draft?.isEmpty === false) {
        drafts.push(draft);
      }
    }
    return mergeRecords(drafts).map((draft) => draft.finish(program.strategy));
  };
}

/** Whether the payload was taken as text because it is no JSON; a JSON string begins with a quote. */
function isPlainText(body: Json, message: MqttMessage): boolean {
  return typeof body === "string" && !/^\s*"/.test(Buffer.from(message.payload).toString());
}

/** A bad element costs itself, not the others. */
function convertElement(program: Program, body: Json, context: Context): RecordDraft | undefined {
  try {
    return convertOne(program, body, context);
  } catch (error) {
    if (error instanceof DataError) {
      context.onBadPoint(error);
      return undefined;
    }
    throw error;
  }
}

function convertOne(program: Program, body: Json, context: Context): RecordDraft {
  const { topic, receivedTs } = context.message;
  const draft = new RecordDraft(program.findDevice(body, topic), receivedTs);
  for (const point of program.attributes) {
    if (point === "everything") {
      addAll(draft, body);
      continue;
    }
    const found = evaluate(point, body, context);
    if (found !== undefined) {
      draft.addAttribute(found.key, found.value);
      draft.addStrategy(found.key, point.strategy);
    }
  }
  for (const point of program.timeseries) {
    if (point === "everything") {
      addAllTimed(draft, body, { ...context, useReceivedTs: program.useReceivedTs });
      continue;
    }
    const found = evaluate(point, body, context);
    if (found !== undefined) {
      draft.addValue(found.key, found.value, point.findTs(body, context));
      draft.addStrategy(found.key, point.strategy);
    }
  }
  return draft;
}

function evaluate(
  point: Point,
  body: Json,
  { message, onBadPoint }: Context,
): { readonly key: string; readonly value: Json } | undefined {
  const key = point.findKey(body, message.topic);
  if (key === undefined || key === "") {
    return undefined;
  }
  try {
    const value = point.findValue(body);
    return value === undefined ? undefined : { key, value };
  } catch (error) {
    if (!(error instanceof DataError)) {
      throw error;
    }
    onBadPoint(
      new DataError(`Cannot convert the value of "${key}"`, { cause: error, reason: error.reason }),
    );
    return undefined;
  }
}

/** Every member of the message as an attribute. */
function addAll(draft: RecordDraft, body: Json): void {
  if (isJsonObject(body)) {
    for (const [key, value] of Object.entries(body)) {
      if (value !== null) {
        draft.addAttribute(key, value);
      }
    }
  }
}

/** Every member of the message as telemetry. `{"ts": …, "values": {…}}` is what the platform itself writes, and means that. */
function addAllTimed(
  draft: RecordDraft,
  body: Json,
  context: Context & { readonly useReceivedTs: boolean },
): void {
  if (!isJsonObject(body)) {
    return;
  }
  const { values } = body;
  const isTimed = body["ts"] !== undefined && isJsonObject(values);
  const ts = isTimed && !context.useReceivedTs ? messageTs(body, NO_OPTIONS, context) : undefined;
  for (const [key, value] of Object.entries(isTimed ? values : body)) {
    if (value !== null) {
      draft.addValue(key, value, ts);
    }
  }
}

const NO_OPTIONS = {};

function compileProgram(
  config: JsonConverterConfig,
  strategy: StrategyConfig | undefined,
): Program {
  const { useEval, useReceivedTs, deviceInfo } = config;
  const points = [...config.attributes, ...config.timeseries];
  return {
    findDevice: compileDeviceInfo(deviceInfo),
    attributes: config.attributes.map((point) =>
      typeof point === "string" ? "everything" : compilePoint(point, useEval),
    ),
    timeseries: config.timeseries.map((point) =>
      typeof point === "string"
        ? "everything"
        : { ...compilePoint(point, useEval), findTs: compileTs(point, useReceivedTs) },
    ),
    useReceivedTs,
    strategy: toReportStrategy(strategy),
    readsFields: readsFields(deviceInfo) || points.some(pointReadsFields),
  };
}

function pointReadsFields(point: AttributeConfig | string): boolean {
  return (
    typeof point === "string" ||
    hasFieldTag(point.value) ||
    (point.keySource === "message" && hasFieldTag(point.key))
  );
}

function compilePoint(point: AttributeConfig, useEval: boolean): Point {
  const inTopic = point.keySource === "topic" ? compileTopicPattern(point.key) : undefined;
  return {
    findKey: inTopic === undefined ? compileTemplate(point.key) : (_body, topic) => inTopic(topic),
    findValue: compileValue(point.value, point.type, useEval),
    strategy: toReportStrategy(point.reportStrategy),
  };
}

function compileValue(
  source: string,
  type: string,
  useEval: boolean,
): (body: Json) => Json | undefined {
  const kind = dataKind(type);
  if (useEval && !type.toLowerCase().includes("str")) {
    const calculation = compileArithmetic(source);
    return (body) => {
      const { value } = calculation.evaluate(body);
      return value === undefined ? undefined : coerceTo(value, kind);
    };
  }
  const expression = compileExpression(source);
  return (body) => {
    const found = expression.evaluate(body);
    return found.missing.length > 0 ? undefined : coerceTo(found.value ?? found.text, kind);
  };
}

function compileTs(point: TimeseriesConfig, useReceivedTs: boolean): FindTs {
  if (useReceivedTs) {
    return () => undefined;
  }
  const options = { dayFirst: point.dayfirst, yearFirst: point.yearfirst };
  const { tsField } = point;
  if (tsField === undefined) {
    return (body, context) => messageTs(body, options, context);
  }
  const expression = compileExpression(tsField, { bare: true });
  const name = lastName(tsField);
  return (body, context) => {
    const raw = expression.evaluate(body).value ?? search(body, name);
    if (raw === undefined) {
      return undefined;
    }
    return (
      normaliseTs(raw, options, context.message.receivedTs) ?? messageTs(body, options, context)
    );
  };
}

/** Name of the field a `tsField` ends in. */
function lastName(tsField: string): string {
  return (
    tsField
      .replace(/^\$\{(.*)\}$/s, "$1")
      .split(".")
      .at(-1)
      ?.trim() ?? ""
  );
}

/** Older files name a field that is somewhere below: the first one of that name, lists not entered. */
function search(body: Json, name: string): Json | undefined {
  if (!isJsonObject(body)) {
    return undefined;
  }
  if (Object.hasOwn(body, name)) {
    return body[name];
  }
  for (const value of Object.values(body)) {
    const found = search(value, name);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}

/** The time the message itself says. One that cannot be read is reported, and the time of arrival taken. */
function messageTs(
  body: Json,
  options: Parameters<typeof normaliseTs>[1],
  { message, onBadPoint }: Context,
): EpochMs | undefined {
  if (!isJsonObject(body)) {
    return undefined;
  }
  let unreadable: string | undefined;
  for (const key of ["ts", "timestamp"]) {
    const raw = Object.hasOwn(body, key) ? body[key] : undefined;
    if (raw !== undefined && raw !== null) {
      const ts = normaliseTs(raw, options, message.receivedTs);
      if (ts !== undefined) {
        return ts;
      }
      unreadable = key;
    }
  }
  if (unreadable !== undefined) {
    onBadPoint(new DataError(`Cannot read "${unreadable}" as a time`, { reason: "bad-timestamp" }));
  }
  return undefined;
}

/** `Array.isArray` does not narrow a readonly array. */
function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
