import { formatPath } from "#sdk/config";
import { indexInFile } from "#sdk/config-places";
import type { Explanation } from "#sdk/connector";
import { encodeJson } from "#sdk/encode";
import { DataError } from "#sdk/errors";
import { compileExpression } from "#sdk/expression";
import { type DeviceData, epochMs, isJsonObject, type Json } from "#sdk/model";
import { type MqttConfig, mappingsOf } from "./config.ts";
import type { JsonConverterConfig, Mapping } from "./mapping-config.ts";
import { splitShare } from "./topics.ts";
import { createUplink } from "./uplink.ts";

/** When the example of an explanation is said to have arrived. */
const EXAMPLE_TS = epochMs(1_700_000_000_000);

/** For each mapping: what it subscribes to, a message made up from its expressions, and what that message becomes. */
export function explainMappings(config: MqttConfig): readonly Explanation[] {
  const { key, list } = mappingsOf(config);
  return list.map((mapping, index) =>
    explain(mapping, formatPath([key, indexInFile(list, index)])),
  );
}

function explain(mapping: Mapping, path: string): Explanation {
  const { topicFilter, subscriptionQos, converter } = mapping;
  const subscribe = `SUBSCRIBE ${topicFilter} (QoS ${subscriptionQos})`;
  if (converter.type === "custom") {
    return { path, request: `${subscribe}; extension ${converter.extension}`, sends: null };
  }
  const topic = exampleTopic(topicFilter);
  const payload =
    converter.type === "json" ? encodeJson(exampleMessage(converter)) : "example payload";
  const request = `${subscribe}; for example ${topic} ← ${payload}`;
  return { path, request, sends: convertExample({ ...mapping, converter }, topic, payload) };
}

function convertExample(
  mapping: Parameters<typeof createUplink>[0],
  topic: string,
  payload: string,
): DeviceData | null {
  try {
    const records = createUplink(mapping)(
      { topic, payload: Buffer.from(payload), qos: 1, retain: false, receivedTs: EXAMPLE_TS },
      () => undefined,
    );
    return records[0] ?? null;
  } catch (error) {
    if (error instanceof DataError) {
      return null; // No example can be made up for these expressions.
    }
    throw error;
  }
}

/** A topic the filter matches: `+` and `#` become words. */
function exampleTopic(topicFilter: string): string {
  const levels = splitShare(topicFilter).filter.split("/");
  return levels.map((level) => (level === "+" || level === "#" ? "example" : level)).join("/");
}

/** A message that holds what the expressions ask for, as far as they are plain paths. */
function exampleMessage(converter: JsonConverterConfig): Json {
  const message: Record<string, Json> = {};
  const { deviceInfo } = converter;
  if (deviceInfo.deviceNameExpressionSource !== "topic") {
    put(message, deviceInfo.deviceNameExpression, "Device A");
  }
  if (deviceInfo.deviceProfileExpressionSource !== "topic") {
    put(message, deviceInfo.deviceProfileExpression ?? "", "default");
  }
  for (const point of [...converter.attributes, ...converter.timeseries]) {
    if (typeof point === "string") {
      put(message, "${example}", 42);
      continue;
    }
    put(message, point.value, exampleValue(point.type));
    if (point.keySource === "message") {
      put(message, point.key, "name");
    }
  }
  return message;
}

function exampleValue(type: string): Json {
  const lower = type.toLowerCase();
  if (lower.includes("bool")) {
    return true;
  }
  return lower.includes("str") || lower === "raw" || lower === "json" ? "text" : 42;
}

/** Puts `value` where the tags of an expression look for it, unless something is there. */
function put(message: Record<string, Json>, expression: string, value: Json): void {
  for (const tag of compileExpression(expression).tags) {
    const names = tag
      .trim()
      .replace(/^\$\.?/, "")
      .split(".");
    if (names.every((name) => /^[\p{L}_@][\p{L}\p{N}_@ -]*$/u.test(name))) {
      putAt(message, names, value);
    }
  }
}

function putAt(target: Record<string, Json>, names: readonly string[], value: Json): void {
  const [name = "", ...rest] = names;
  if (rest.length === 0) {
    target[name] ??= value;
    return;
  }
  const inner = target[name] ?? {};
  if (isJsonObject(inner)) {
    const copy: Record<string, Json> = { ...inner };
    putAt(copy, rest, value);
    target[name] = copy;
  }
}
