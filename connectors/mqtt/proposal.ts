import { decodePayload } from "#sdk/json-reader";
import { Float, isJsonObject, type Json } from "#sdk/model";

/** What was heard on one topic. */
export interface HeardTopic {
  readonly topic: string;
  readonly count: number;
  /** The payload of one of its messages. */
  readonly sample: Uint8Array;
}

/** Topics whose messages have the same form, and the mapping that reads them. */
export interface Proposal {
  readonly topicFilter: string;
  readonly topics: readonly HeardTopic[];
  /** An element of `mapping`. */
  readonly mapping: { readonly [key: string]: Json };
}

/** A value in a message: where it is, and what it is. */
export interface FoundValue {
  /** As a tag has it; empty for the whole payload. */
  readonly path: string;
  readonly value: Json;
}

/** Members that usually name a device, in this order. */
const NAME_FIELDS = ["serialNumber", "deviceName", "deviceId", "device", "sn", "name", "id"];
/** Members that hold the time, which the converter finds by itself. */
const TIME_FIELDS: ReadonlySet<string> = new Set(["ts", "timestamp"]);
/** Levels of one form that may differ before its topics are taken for unrelated. */
const MAX_VARYING = 2;
/** Values of one message that a mapping is proposed for. */
const MAX_FIELDS = 50;

/** Proposes a mapping for each form of message, the most frequent first. */
export function proposeMappings(heard: readonly HeardTopic[]): readonly Proposal[] {
  const byForm = Map.groupBy(heard, ({ topic, sample }) => formOf(topic, sample));
  const groups = [...byForm.values()].flatMap((topics) =>
    varyingLevels(topics).length > MAX_VARYING ? topics.map((one) => [one]) : [topics],
  );
  return groups
    .map((topics) => propose(topics))
    .toSorted((a, b) => total(b.topics) - total(a.topics));
}

/** Messages of all topics together. */
export function total(topics: readonly HeardTopic[]): number {
  return topics.reduce((sum, { count }) => sum + count, 0);
}

/** The single values of a payload. A list is looked at by its first element, as the converter takes each one. */
export function valuesIn(payload: Uint8Array): readonly FoundValue[] {
  const body = decodePayload(payload);
  if (body instanceof Uint8Array) {
    return [];
  }
  return flatten(isList(body) ? (body[0] ?? null) : body, "").slice(0, MAX_FIELDS);
}

function flatten(value: Json, path: string): readonly FoundValue[] {
  if (!isJsonObject(value)) {
    return value === null ? [] : [{ path, value }];
  }
  return Object.entries(value).flatMap(([name, inner]) =>
    flatten(inner, path === "" ? step(name) : `${path}.${step(name)}`),
  );
}

function step(name: string): string {
  return /^[A-Za-z_][A-Za-z0-9_-]*$/.test(name) ? name : JSON.stringify(name);
}

/** Topics with as many levels whose messages have the same members are of one form. */
function formOf(topic: string, sample: Uint8Array): string {
  const body = decodePayload(sample);
  const levels = topic.split("/").length;
  if (body instanceof Uint8Array) {
    return `${levels} bytes`;
  }
  const paths = valuesIn(sample).map(({ path, value }) => `${path} ${typeOf(value)}`);
  return `${levels} ${isList(body) ? "list" : "one"} ${paths.toSorted().join(",")}`;
}

function varyingLevels(topics: readonly HeardTopic[]): readonly number[] {
  const split = topics.map(({ topic }) => topic.split("/"));
  const [first = []] = split;
  return [...first.keys()].filter((index) =>
    split.some((levels) => levels[index] !== first[index]),
  );
}

function propose(topics: readonly HeardTopic[]): Proposal {
  const [first] = topics;
  const { topic = "", sample = new Uint8Array() } = first ?? {};
  const varying = varyingLevels(topics);
  const levels = topic.split("/");
  const filter = levels.map((level, index) => (varying.includes(index) ? "+" : level)).join("/");
  const values = valuesIn(sample);
  const named = NAME_FIELDS.find((field) =>
    values.some(({ path, value }) => path === field && !(value instanceof Float)),
  );
  const deviceInfo =
    named === undefined
      ? {
          deviceNameExpressionSource: "topic",
          deviceNameExpression: namePattern(levels, nameLevel(topics, varying)),
        }
      : { deviceNameExpressionSource: "message", deviceNameExpression: `\${${named}}` };
  const info = {
    ...deviceInfo,
    deviceProfileExpressionSource: "constant",
    deviceProfileExpression: "default",
  };
  const converter =
    values.length === 0
      ? bytesConverter(info)
      : jsonConverter(
          info,
          values.filter(({ path }) => path !== named && !TIME_FIELDS.has(path)),
          levels.at(-1) ?? "value",
        );
  return { topicFilter: filter, topics, mapping: { topicFilter: filter, converter } };
}

/** The level that differs most names the device; of a single topic the last but one. */
function nameLevel(topics: readonly HeardTopic[], varying: readonly number[]): number {
  const split = topics.map(({ topic }) => topic.split("/"));
  const distinct = (index: number): number => new Set(split.map((levels) => levels[index])).size;
  const [most] = varying.toSorted((a, b) => distinct(b) - distinct(a));
  return most ?? Math.max(0, (split[0]?.length ?? 1) - 2);
}

function namePattern(levels: readonly string[], index: number): string {
  return `^${"[^/]*/".repeat(index)}([^/]+)${index === levels.length - 1 ? "$" : "/"}`;
}

function jsonConverter(
  deviceInfo: { readonly [key: string]: Json },
  values: readonly FoundValue[],
  wholeKey: string,
): { readonly [key: string]: Json } {
  const entry = ({ path, value }: FoundValue): Json => ({
    type: typeOf(value),
    key: path === "" ? wholeKey : path.replaceAll('"', ""),
    value: `\${${path}}`,
  });
  const isText = ({ path, value }: FoundValue): boolean => typeof value === "string" && path !== "";
  return {
    type: "json",
    deviceInfo,
    attributes: values.filter(isText).map(entry),
    timeseries: values.filter((one) => !isText(one)).map(entry),
  };
}

function bytesConverter(deviceInfo: { readonly [key: string]: Json }): {
  readonly [key: string]: Json;
} {
  return {
    type: "bytes",
    deviceInfo,
    attributes: [],
    timeseries: [{ type: "raw", key: "raw", value: "[:]", hexMode: true }],
  };
}

function typeOf(value: Json): string {
  switch (typeof value) {
    case "boolean":
      return "boolean";
    case "string":
      return "string";
    case "number":
    case "bigint":
      // A whole number of one sample may have a fraction in the next.
      return "double";
    default:
      return value instanceof Float ? "double" : "json";
  }
}

/** `Array.isArray` does not narrow a readonly array. */
function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
