import type { MqttMessage } from "#sdk/converter";
import { DataError } from "#sdk/errors";
import { compileExpression } from "#sdk/expression";
import { decodePayload } from "#sdk/json-reader";
import { isJsonObject, type Json, type Values } from "#sdk/model";
import { compileDeviceInfo, compileTopicText } from "./device-info.ts";
import { type AttributeMessage, compileAttributeReply } from "./downlink.ts";
import type { AttributeRequestConfig, ConnectConfig } from "./requests-config.ts";

/** Finds the device a request is about. @throws DataError when the message does not name one */
export type ReadDevice = (message: MqttMessage) => {
  readonly deviceName: string;
  readonly deviceType: string;
};

/** What a device asks the platform for. */
export interface AttributeRequest {
  readonly deviceName: string;
  readonly scope: "shared" | "client";
  /** Each once, at least one. */
  readonly keys: readonly string[];
  /** The message that answers the device; what the platform does not know is null. @throws DataError */
  readonly reply: (values: Values) => AttributeMessage;
}

/** Requests may name a field without `${…}` around it. */
const BARE = { bare: true };

/** Compiles an element of `connectRequests` or `disconnectRequests`. */
export function compileConnect(entry: ConnectConfig): ReadDevice {
  const find = compileDeviceInfo(entry.deviceInfo ?? {}, BARE);
  return (message) => find(bodyOf(message), message.topic);
}

/**
 * Compiles an element of `attributeRequests`. A payload that is no JSON has no fields; name and attributes may come from the
 * topic then. The function throws a DataError when device, attributes or scope cannot be found.
 */
export function compileAttributeRequest(
  entry: AttributeRequestConfig,
): (message: MqttMessage) => AttributeRequest {
  const find = compileDeviceInfo(entry.deviceInfo ?? {}, BARE);
  const findNames = compileNames(entry);
  const findScope = compileScope(entry.scope);
  const createReply = compileReply(entry);
  return (message) => {
    const body = bodyOf(message);
    const { deviceName } = find(body, message.topic);
    const keys = [...new Set(findNames(body, message.topic))];
    if (keys.length === 0) {
      throw new DataError("The message does not name an attribute", { reason: "no-attribute" });
    }
    const scope = findScope(body);
    return { deviceName, scope, keys, reply: createReply(deviceName, keys) };
  };
}

/** Bytes that are no text hold no fields. */
function bodyOf({ payload }: MqttMessage): Json {
  const body = decodePayload(payload);
  return body instanceof Uint8Array ? null : body;
}

function compileNames(
  entry: AttributeRequestConfig,
): (body: Json, topic: string) => readonly string[] {
  const { attributeNameExpression = "", attributeNameExpressionSource: source } = entry;
  if (source === "topic") {
    const findText = compileTopicText(attributeNameExpression);
    return (body, topic) => [findText(body, topic) ?? ""].filter((name) => name !== "");
  }
  const expression = compileExpression(attributeNameExpression);
  return (body) => expression.names(body).filter((name) => name !== "");
}

function compileScope(scope: string): (body: Json) => "shared" | "client" {
  const expression = compileExpression(scope);
  return (body) => {
    const own = isJsonObject(body) ? body["scope"] : undefined;
    const found = expression.isConstant && isScope(own) ? own : expression.evaluate(body).text;
    if (!isScope(found)) {
      throw new DataError(`The scope of an attribute must be shared or client, not "${found}"`, {
        reason: "bad-scope",
      });
    }
    return found;
  };
}

function isScope(value: unknown): value is "shared" | "client" {
  return value === "shared" || value === "client";
}

/** One attribute fills the template; several become one object. */
function compileReply(
  entry: AttributeRequestConfig,
): (deviceName: string, keys: readonly string[]) => (values: Values) => AttributeMessage {
  const single = compileAttributeReply(entry);
  const several = compileAttributeReply({ ...entry, valueExpression: "${attributeValue}" });
  return (deviceName, keys) => {
    const slot = JSON.stringify([entry.topicFilter, deviceName, keys]);
    return (values) => {
      const [key = ""] = keys;
      const isSingle = keys.length === 1;
      const attributeValue = isSingle
        ? (values[key] ?? null)
        : Object.fromEntries(keys.map((name) => [name, values[name] ?? null]));
      const variables = { deviceName, attributeKey: keys.join(","), attributeValue };
      return { ...(isSingle ? single : several)(variables), slot };
    };
  };
}
