import { DataError } from "#sdk/errors";
import { compileExpression } from "#sdk/expression";
import type { Json } from "#sdk/model";
import { compilePythonRegex } from "#sdk/python-regex";
import type { DeviceInfoConfig } from "./mapping-config.ts";

/** How a text without any tag is read. */
export interface TextOptions {
  /** It is looked up in the message, as a tag would be, before it is taken literally. */
  readonly bare?: boolean;
}

/** Longest device name the platform takes. */
const MAX_NAME_LENGTH = 255;
/** The time of a search can grow with the square of the length, and the device chooses the topic: 65,000 characters take seconds. */
const MAX_SEARCHED_LENGTH = 1024;
/** Profile of a device whose message does not say one. */
const DEFAULT_PROFILE = "default";

/** Finds a text in a message; `undefined` when it is not there. */
export type FindText = (body: Json, topic: string) => string | undefined;

/** Finds the device a message is from. @throws DataError with reason `no-device-name` or `device-name-too-long` */
export type FindDevice = (
  body: Json,
  topic: string,
) => { readonly deviceName: string; readonly deviceType: string };

/**
 * Compiles a `deviceInfo`. A name with a tag that the message does not fill, or an empty one, names no device: a device called
 * `${serialNumber}` would help nobody. A profile like that is `default`.
 */
export function compileDeviceInfo(info: DeviceInfoConfig, options: TextOptions = {}): FindDevice {
  return namedBy(
    compileText(info.deviceNameExpressionSource, info.deviceNameExpression, options),
    compileText(info.deviceProfileExpressionSource, info.deviceProfileExpression, options),
  );
}

/** A device by functions that find its name and its profile in a message of any form. */
export function namedBy<Body>(
  findName: (body: Body, topic: string) => string | undefined,
  findProfile: (body: Body, topic: string) => string | undefined,
): (body: Body, topic: string) => { readonly deviceName: string; readonly deviceType: string } {
  return (body, topic) => {
    const deviceName = findName(body, topic);
    if (deviceName === undefined || deviceName.trim() === "") {
      throw new DataError("The message does not name its device", { reason: "no-device-name" });
    }
    if (deviceName.length > MAX_NAME_LENGTH) {
      throw new DataError(`A device name has at most ${MAX_NAME_LENGTH} characters`, {
        reason: "device-name-too-long",
      });
    }
    const profile = findProfile(body, topic) ?? "";
    return { deviceName, deviceType: profile.trim() === "" ? DEFAULT_PROFILE : profile };
  };
}

/** Whether the texts of a `deviceInfo` are read from a field of the message. */
export function readsFields(info: DeviceInfoConfig): boolean {
  return (
    needsField(info.deviceNameExpressionSource, info.deviceNameExpression) ||
    needsField(info.deviceProfileExpressionSource, info.deviceProfileExpression)
  );
}

function needsField(source: string | undefined, text: string | undefined): boolean {
  return source !== undefined && source !== "topic" && text !== undefined && hasFieldTag(text);
}

/** Whether an expression has a tag for a member of the message; `${}` and `${$}` stand for the whole of it. */
export function hasFieldTag(expression: string): boolean {
  return compileExpression(expression).tags.some((tag) => !/^\s*\$?\s*$/.test(tag));
}

function compileText(
  source: DeviceInfoConfig["deviceNameExpressionSource"],
  text = "",
  options: TextOptions = {},
): FindText {
  if (source === undefined) {
    return () => undefined;
  }
  if (source === "topic") {
    return compileTopicText(text);
  }
  return compileTemplate(text, source === "message" ? options : {});
}

/**
 * Compiles a pattern that is searched in topics: its last group that matched, else the whole match. The function throws a DataError
 * with reason `topic-too-long`.
 */
export function compileTopicPattern(pattern: string): (topic: string) => string | undefined {
  const regex = compilePythonRegex(pattern);
  return (topic) => {
    if (topic.length > MAX_SEARCHED_LENGTH) {
      throw new DataError(
        `A topic that a pattern is searched in has at most ${MAX_SEARCHED_LENGTH} characters, not ${topic.length}`,
        { reason: "topic-too-long" },
      );
    }
    return regex.lastGroup(topic);
  };
}

/** The part of a topic that a pattern finds. */
export function compileTopicText(
  pattern: string,
): (body: unknown, topic: string) => string | undefined {
  const find = compileTopicPattern(pattern);
  const literal = isPlainText(pattern) ? pattern : undefined;
  return (_body, topic) => find(topic) ?? literal;
}

/** Older files give a plain word where a pattern is expected and mean the word itself. */
function isPlainText(text: string): boolean {
  return /^[\p{L}\p{N}_ -]+$/u.test(text);
}

/** An expression as text; `undefined` when one of its tags has no value. */
export function compileTemplate(text: string, options: TextOptions = {}): FindText {
  const expression = compileExpression(text, options);
  if (expression.isConstant) {
    return () => text;
  }
  return (body) => {
    const found = expression.evaluate(body);
    return found.missing.length > 0 ? undefined : found.text;
  };
}
