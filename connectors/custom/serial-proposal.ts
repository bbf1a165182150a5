import { isJsonObject, type Json, readJson } from "tbgw/sdk";

/** A part of a message that is proposed as a value, as `telemetry` has it. */
export type ProposedItem = Readonly<Record<string, string | number>>;

const NUMBER = /[+-]?\d+(?:\.\d+)?/g;
const SEPARATORS = [";", ",", "\t", "|", " ", "\r"];

/** Guesses what is a value in messages of one device, given without the delimiter that ends them. Nothing for no message. */
export function proposeItems(messages: readonly string[]): readonly ProposedItem[] {
  const [first] = messages;
  if (first === undefined) {
    return [];
  }
  if (messages.every(isObject)) {
    return [{ key: "data", type: "json" }];
  }
  if (messages.every(isNumber)) {
    return [{ key: "value", type: "float" }];
  }
  const columns = columnsOf(messages, first);
  if (columns.length > 0) {
    return columns;
  }
  const separator = SEPARATORS.find((one) =>
    messages.every((message) => message.includes(one) && isNumber(message.split(one)[0] ?? "")),
  );
  return separator === undefined
    ? [{ key: "text", type: "string" }]
    : [{ key: "value", type: "float", untilDelimiter: separator }];
}

/** Numbers that stand at the same bytes of every message. */
function columnsOf(messages: readonly string[], first: string): readonly ProposedItem[] {
  const isPlain = messages.every(
    (message) => message.length === first.length && /^[\x20-\x7e\t\r]*$/.test(message),
  );
  const items: ProposedItem[] = [];
  for (const match of isPlain ? first.matchAll(NUMBER) : []) {
    const [fromByte, toByte] = [match.index, match.index + match[0].length];
    if (messages.every((message) => isNumber(message.slice(fromByte, toByte)))) {
      const key = nameBefore(first.slice(0, fromByte)) ?? `value_${items.length + 1}`;
      items.push({ key, type: "float", fromByte, toByte });
    }
  }
  return new Set(items.map(({ key }) => key)).size === items.length ? items : [];
}

/** `temp` of `12 temp=`. */
function nameBefore(text: string): string | undefined {
  return /([A-Za-z_]\w*)\s*[=:]\s*$/.exec(text)?.[1];
}

function isNumber(text: string): boolean {
  return /^\s*[+-]?\d+(?:\.\d+)?\s*$/.test(text);
}

function isObject(text: string): boolean {
  try {
    const value: Json = readJson(text);
    return isJsonObject(value);
  } catch {
    return false; // It is something else.
  }
}
