import { DataError } from "#sdk/errors";
import { isJsonObject, type Json } from "#sdk/model";
import { looksLikeNodeId, parseNodeId } from "./node-id.ts";

/** What `get` and `set` are about: a node id, or a key of the device, or a path. */
export interface Command {
  readonly target: string;
  /** `undefined` for `get`. */
  readonly value: Json | undefined;
}

const USAGE = "write <node id, key or path>; <value>";

/** The reserved method of a name, whatever its case; `undefined` for any other. */
export function reservedKind(method: string): "get" | "set" | undefined {
  const lower = method.toLowerCase();
  return lower === "get" || lower === "set" ? lower : undefined;
}

/** Reads the parameters of `get`: a text, or an object with `nodeId`, `key` or `path`. @throws DataError */
export function parseGet(params: Json): Command {
  const target = isJsonObject(params) ? targetOf(params) : params;
  if (typeof target !== "string" || stripped(target) === "") {
    throw new DataError("get needs a node id, a key or a path");
  }
  return { target: stripped(target), value: undefined };
}

/** Reads the parameters of `set`: `Frequency; 35`, `ns=2;i=13 56`, or an object with `value`. @throws DataError */
export function parseSet(params: Json): Command {
  if (isJsonObject(params)) {
    const target = targetOf(params);
    const { value } = params;
    if (target === undefined || value === undefined) {
      throw new DataError('set needs "nodeId", "key" or "path", and "value"');
    }
    return { target, value };
  }
  if (typeof params !== "string") {
    throw new DataError(`set takes a text: ${USAGE}`);
  }
  const text = params.trim();
  const parts = looksLikeNodeId(text) ? splitAfterNodeId(text) : splitAfterPath(text);
  if (parts === undefined) {
    throw new DataError(`"${text}" has no value: ${USAGE}`);
  }
  return parts;
}

function targetOf(params: { readonly [key: string]: Json }): string | undefined {
  const { nodeId, key, path } = params;
  return [nodeId, key, path].find((one): one is string => typeof one === "string" && one !== "");
}

function stripped(text: string): string {
  return text.replace(/[\s;]+$/, "").trimStart();
}

function splitAt(text: string, index: number, length: number): Command {
  return {
    target: text.slice(0, index).trim(),
    value: stripped(text.slice(index + length)),
  };
}

/** The first of these texts from `from` on. */
function firstOf(
  text: string,
  signs: readonly string[],
  from: number,
): [number, number] | undefined {
  const found = signs
    .map((sign): [number, number] => [text.indexOf(sign, from), sign.length])
    .filter(([index]) => index !== -1)
    .toSorted(([one], [other]) => one - other);
  return found[0];
}

function splitAfterNodeId(text: string): Command | undefined {
  const head = /^(?:svr=\d+;)?(?:ns=\d+;|nsu=[^;]+;)?[isgb]=/.exec(text)?.[0].length ?? 0;
  const body = text.replace(/[\s;]+$/, "");
  const split =
    firstOf(body, ["; ", ";="], head) ?? firstOf(body, [";"], head) ?? firstOf(body, [" "], head);
  return split === undefined ? undefined : splitAt(body, ...split);
}

function splitAfterPath(text: string): Command | undefined {
  const split =
    firstOf(text, ["; ", ";="], 0) ?? firstOf(text, ["="], 0) ?? firstOf(text, [" "], 0);
  return split === undefined || split[0] === 0 ? undefined : splitAt(text, ...split);
}

/** Whether a target is a node id. @throws DataError with the wording of the Python gateway when it is a wrong one */
export function isNodeId(target: string): boolean {
  if (!looksLikeNodeId(target)) {
    return false;
  }
  try {
    parseNodeId(target);
    return true;
  } catch (error) {
    throw new DataError(`Could not find identifier in string ${target}`, { cause: error });
  }
}

/** The arguments do not fit; the answer is the text alone. */
export class ArgumentError extends Error {
  override readonly name = "ArgumentError";
}

/** The arguments of a method: those of the call, else those of the configuration. @throws ArgumentError */
export function chooseArguments(
  configured: readonly { readonly value?: unknown }[],
  params: Json,
): readonly unknown[] {
  const count = configured.length;
  if (count === 0) {
    return params === null ? [] : isList(params) ? params : [params];
  }
  const isEmpty = isNothing(params);
  if (!isEmpty && !isList(params)) {
    throw new ArgumentError("The arguments must be specified in the square quotes []");
  }
  const given = isList(params) ? params : [];
  if (given.length === count) {
    return given;
  }
  const set = configured.filter(({ value }) => value !== undefined && value !== null).length;
  if (set > 0 && set < count) {
    throw new ArgumentError(
      "You must either define values for arguments in config or along with rpc request",
    );
  }
  if (!isEmpty || set === 0) {
    throw new ArgumentError(`Expected ${count} arguments, but got ${given.length}`);
  }
  return configured.map(({ value }) => value);
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

/** What Python takes for nothing. */
function isNothing(value: Json): boolean {
  return (
    value === null ||
    value === "" ||
    value === false ||
    value === 0 ||
    (isList(value) && value.length === 0) ||
    (isJsonObject(value) && Object.keys(value).length === 0)
  );
}
