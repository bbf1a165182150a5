import type { DownlinkConverter, DownlinkRequest } from "#sdk/converter";
import { DataError, RpcError } from "#sdk/errors";
import { type ExpressionOptions, template } from "#sdk/expression";
import { decodePayload, readJson } from "#sdk/json-reader";
import type { AttributeUpdate, Json, RpcRequest, Values } from "#sdk/model";
import { compilePythonRegex } from "#sdk/python-regex";
import { splitTags } from "#sdk/tag";
import { type CallConfig, readCallParams } from "./call-params.ts";
import { literalNames } from "./problems.ts";
import type { AttributeUpdateConfig, RpcConfig } from "./requests-config.ts";
import { topicProblem } from "./topics.ts";

/** A message for a device. */
export interface Publication {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
}

/** What is sent for an RPC, and where its response is awaited. */
export interface RpcPlan {
  /** `undefined`: an extension has nothing to send. */
  readonly publication: Publication | undefined;
  /** `undefined`: one-way. */
  readonly reply:
    | { readonly topic: string; readonly qos: 0 | 1 | 2; readonly timeoutMs: number }
    | undefined;
}

/** The message for one attribute. `slot` names what it is about: of two with the same one the later counts. */
export interface AttributeMessage extends Publication {
  readonly slot: string;
}

/** The extensions that make the payloads of entries. An entry that is not in it has a `valueExpression`. */
export type Converters<Entry> = ReadonlyMap<Entry, DownlinkConverter<Entry>>;

/** Fills a template. @throws DataError naming the tags that have no value */
type Fill = (variables: Values) => string;

/** Names that are put in as they are wherever they stand, so that a payload may quote them itself. */
const PLAIN = ["deviceName", "methodName", "requestId", "attributeKey"];
/** How long a call may take that does not say, and the part of it that is kept for the way to the device and back. */
const DEFAULT_CALL_MS = 10_000;
const SENDING_MS = 1000;
/** Methods of a device that carry topic and payload in their parameters. */
const RESERVED: ReadonlySet<string> = new Set(["get", "set", "mqtt_get", "mqtt_set"]);

/**
 * Compiles `attributeUpdates`: for each attribute, a message of each entry whose filters match the device and the attribute
 * from their start. Attributes that were removed cause no message. A message that cannot be made is handed to `onBad`.
 */
export function compileAttributeUpdates(
  list: readonly AttributeUpdateConfig[],
  converters: Converters<AttributeUpdateConfig> = new Map(),
): (update: AttributeUpdate, onBad: (error: DataError) => void) => readonly AttributeMessage[] {
  const compiled = list.map((entry, index) => ({
    device: compilePythonRegex(entry.deviceNameFilter),
    attribute: compilePythonRegex(entry.attributeFilter),
    message: compileUpdate(entry, converters.get(entry)),
    index,
  }));
  return ({ deviceName, values }, onBad) => {
    const messages: AttributeMessage[] = [];
    for (const { device, attribute, message, index } of compiled) {
      if (device.match(deviceName) === undefined) {
        continue;
      }
      for (const [attributeKey, attributeValue] of Object.entries(values)) {
        if (attribute.match(attributeKey) === undefined) {
          continue;
        }
        try {
          const publication = message({ deviceName, attributeKey, attributeValue });
          if (publication !== undefined) {
            const slot = JSON.stringify([index, deviceName, attributeKey]);
            messages.push({ ...publication, slot });
          }
        } catch (error) {
          onBad(toDataError(error));
        }
      }
    }
    return messages;
  };
}

/** The attributes to ask for when a device connects: those of the entries with `syncOnConnect`. */
export function compileSyncKeys(
  list: readonly AttributeUpdateConfig[],
): (deviceName: string) => readonly string[] | undefined {
  const compiled = list
    .filter(({ syncOnConnect }) => syncOnConnect)
    .map(({ deviceNameFilter, attributeFilter }) => ({
      device: compilePythonRegex(deviceNameFilter),
      keys: literalNames(attributeFilter) ?? [],
    }));
  return (deviceName) => {
    const keys = compiled
      .filter(({ device }) => device.match(deviceName) !== undefined)
      .flatMap((entry) => entry.keys);
    return keys.length === 0 ? undefined : [...new Set(keys)];
  };
}

/** Makes a message of the value of one attribute, as `attributeRequests` answers with: the value as JSON. */
export function compileAttributeReply(
  entry: MessageConfig & { readonly topicExpression: string },
): (variables: Values) => Publication {
  return compileMessage(entry, topicOf(entry), { encoding: "json", plain: PLAIN });
}

/**
 * Compiles `serverSideRpc`. The first entry whose patterns are found in device name and method decides; the prefix `mqtt_`
 * does not count. `get` and `set` carry all they need in their parameters. `undefined`: nothing is configured for the method.
 * The function throws a DataError when a message cannot be made: a tag without a value, a topic that is none.
 */
export function compileRpc(
  list: readonly RpcConfig[],
  converters: Converters<RpcConfig> = new Map(),
): (request: RpcRequest) => RpcPlan | undefined {
  const compiled = list.map((entry) => ({
    device: compilePythonRegex(entry.deviceNameFilter),
    method: compilePythonRegex(entry.methodFilter),
    plan: compileCall(entry, convertedPayload(entry, converters.get(entry))),
  }));
  return (request) => {
    const { deviceName = "", method } = request;
    const found = compiled.find(
      (entry) =>
        entry.device.search(deviceName) !== undefined &&
        entry.method.search(withoutPrefix(method)) !== undefined,
    );
    const isReserved = RESERVED.has(method);
    if (isReserved && (found === undefined || readCallParams(request.params) !== undefined)) {
      return planCall(request);
    }
    return found?.plan(request);
  };
}

/** Makes the plan of a request; `undefined`: nothing is configured for it. @throws DataError */
export type PlanRpc = (request: RpcRequest) => RpcPlan | undefined;

/**
 * How long a call may take, for one whose response is awaited for longer than a call has by default: the response's own time-out has
 * to come first. `undefined` for all others, and for those that cannot be made.
 */
export function callTimeoutMs(
  planRpc: PlanRpc,
  request: Pick<RpcRequest, "deviceName" | "method" | "params">,
): number | undefined {
  try {
    const plan = planRpc({ ...request, id: 0, timeoutMs: 0 });
    const neededMs = (plan?.reply?.timeoutMs ?? 0) + SENDING_MS;
    return neededMs > DEFAULT_CALL_MS ? neededMs : undefined;
  } catch (error) {
    if (error instanceof DataError || error instanceof RpcError) {
      return undefined;
    }
    throw error;
  }
}

/** The plan of a call whose parameters hold topics and payload. @throws DataError */
export function planCall(request: RpcRequest): RpcPlan {
  const call = readCallParams(request.params);
  if (call === undefined) {
    throw new DataError(
      `the parameters of "${request.method}" must hold requestTopicExpression, and may hold value, responseTopicExpression and responseTimeout`,
    );
  }
  return compileCall(call)(request);
}

/** Whether an entry waits for a response. */
export function isTwoWay(entry: CallConfig): boolean {
  return (entry.responseTopicExpression ?? "") !== "" && (entry.responseTimeout ?? 0) > 0;
}

/**
 * The filter under which all responses of an entry arrive: each level with a tag becomes `+`. `undefined` when the entry is
 * one-way, or when the filter would not hold a single fixed level and so catch what is no response.
 */
export function replyFilter(entry: CallConfig): string | undefined {
  if (!isTwoWay(entry)) {
    return undefined;
  }
  const marked = splitTags(entry.responseTopicExpression ?? "")
    .map((part) => (typeof part === "string" ? part : "\u0000"))
    .join("");
  const levels = marked.split("/").map((level) => (level.includes("\u0000") ? "+" : level));
  const fixed = levels.filter((level) => level !== "+");
  return fixed.some((level) => level !== "") && topicProblem(fixed.join("/")) === undefined
    ? levels.join("/")
    : undefined;
}

/**
 * What a response says: its JSON, else its text; JSON with single quotes, as a Python program prints it, counts as JSON. Bytes
 * that are no text become hexadecimal.
 */
export function decodeReply(payload: Uint8Array): Json {
  const body = decodePayload(payload);
  if (body instanceof Uint8Array) {
    return Buffer.from(body).toString("hex");
  }
  return typeof body === "string" && /^\s*[[{]/.test(body) ? readQuoted(body) : body;
}

function readQuoted(text: string): Json {
  try {
    return readJson(text.replaceAll("'", '"'));
  } catch (error) {
    if (error instanceof DataError) {
      return text;
    }
    throw error;
  }
}

/** What a template of a message needs. */
interface MessageConfig {
  readonly valueExpression?: string | undefined;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
}

/** Makes the payload of one thing on its way down; `null`: nothing is sent. */
type ConvertedPayload = (request: Omit<DownlinkRequest, "entry">) => string | Uint8Array | null;

function convertedPayload<Entry>(
  entry: Entry,
  convert: DownlinkConverter<Entry> | undefined,
): ConvertedPayload | undefined {
  return convert === undefined ? undefined : (request) => convert({ ...request, entry });
}

type UpdateVariables = {
  readonly deviceName: string;
  readonly attributeKey: string;
  readonly attributeValue: Json;
};

function compileUpdate(
  entry: AttributeUpdateConfig,
  convert: DownlinkConverter<AttributeUpdateConfig> | undefined,
): (variables: UpdateVariables) => Publication | undefined {
  const makePayload = convertedPayload(entry, convert);
  if (makePayload === undefined) {
    return compileMessage(entry, topicOf(entry), { encoding: "text" });
  }
  const { qos, retain } = entry;
  const topic = compileTopic(topicOf(entry));
  return (variables) => {
    const { deviceName, attributeKey: name, attributeValue: value } = variables;
    const payload = makePayload({ deviceName, source: "attribute", name, value });
    return payload === null ? undefined : { topic: topic(variables), payload, qos, retain };
  };
}

function compileCallMessage(
  entry: CallConfig,
  makePayload: ConvertedPayload | undefined,
): (request: RpcRequest) => Publication | undefined {
  const topicTemplate = {
    name: "requestTopicExpression",
    expression: entry.requestTopicExpression,
  };
  if (makePayload === undefined) {
    const message = compileMessage(entry, topicTemplate, { encoding: "json", plain: PLAIN });
    return (request) => message(variablesOf(request));
  }
  const { qos, retain } = entry;
  const topic = compileTopic(topicTemplate);
  return (request) => {
    const { deviceName = "", method: name, params: value } = request;
    const payload = makePayload({ deviceName, source: "rpc", name, value });
    return payload === null
      ? undefined
      : { topic: topic(variablesOf(request)), payload, qos, retain };
  };
}

function compileCall(
  entry: CallConfig,
  makePayload?: ConvertedPayload,
): (request: RpcRequest) => RpcPlan {
  const message = compileCallMessage(entry, makePayload);
  const replyTopic = isTwoWay(entry)
    ? compileTopic({
        name: "responseTopicExpression",
        expression: entry.responseTopicExpression ?? "",
      })
    : undefined;
  return (request) => {
    const publication = message(request);
    const reply =
      replyTopic === undefined || publication === undefined
        ? undefined
        : {
            topic: replyTopic(variablesOf(request)),
            qos: entry.responseTopicQoS,
            timeoutMs: entry.responseTimeout ?? 0,
          };
    return { publication, reply };
  };
}

function variablesOf({ deviceName, id, method, params }: RpcRequest): Values {
  return {
    id,
    method,
    params,
    methodName: method,
    requestId: id,
    ...(deviceName === undefined ? {} : { deviceName }),
  };
}

/** A template and the key of the file it stands under. */
interface Named {
  readonly name: string;
  readonly expression: string;
}

function topicOf({ topicExpression }: { readonly topicExpression: string }): Named {
  return { name: "topicExpression", expression: topicExpression };
}

function compileMessage(
  { valueExpression = "", qos, retain }: MessageConfig,
  topicTemplate: Named,
  options: ExpressionOptions,
): (variables: Values) => Publication {
  const topic = compileTopic(topicTemplate);
  const payload = compileFill({ name: "valueExpression", expression: valueExpression }, options);
  return (variables) => ({ topic: topic(variables), payload: payload(variables), qos, retain });
}

function compileTopic(topicTemplate: Named): Fill {
  const fill = compileFill(topicTemplate, { encoding: "text" });
  return (variables) => {
    const topic = fill(variables);
    const problem = topicProblem(topic);
    if (problem !== undefined) {
      throw new DataError(problem);
    }
    return topic;
  };
}

function compileFill({ name, expression }: Named, options: ExpressionOptions): Fill {
  const compiled = template(expression, options);
  return (variables) => {
    const { text, missing } = compiled(variables);
    if (missing.length > 0) {
      const tags = missing.map((tag) => `\${${tag}}`).join(", ");
      throw new DataError(`${name} "${expression}": there is no value for ${tags}`);
    }
    return text;
  };
}

/** `mqtt_reboot` is matched as `reboot`; with a second underscore the prefix is part of the name. */
function withoutPrefix(method: string): string {
  return /^mqtt_([^_]+)$/.exec(method)?.[1] ?? method;
}

function toDataError(error: unknown): DataError {
  if (error instanceof DataError) {
    return error;
  }
  throw error;
}
