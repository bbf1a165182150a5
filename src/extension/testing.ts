import { randomUUID } from "node:crypto";
import { systemClock } from "#sdk/clock";
import type { ConnectorSpec } from "#sdk/connector";
import type { DownlinkConverter, DownlinkSpec, MqttMessage, UplinkSpec } from "#sdk/converter";
import { encodeJson } from "#sdk/encode";
import { ConfigError, errorText, InvariantError, TransientError } from "#sdk/errors";
import { createLogger, type Logger } from "#sdk/logger";
import { type DeviceData, Float, type Json, type Values } from "#sdk/model";
import type { RpcSpec } from "#sdk/rpc";
import type { Output, StandardSchema } from "#sdk/standard-schema";
import type { ConnectorDefinition } from "../connector/registry.ts";
import { formatLogLine } from "../logging/stdout.ts";
import { type PlatformEvent, TestPlatform } from "./test-platform.ts";
import { declareTest } from "./test-run.ts";

/** How long one thing that a test waits for may take. */
const WAIT_MS = 10_000;

/** Declares a test. `tbgw extension test FILE.test.ts` runs those of a file one after another; each may take 30 s. */
export function test(name: string, body: () => void | Promise<void>): void {
  declareTest(name, body);
}

/**
 * Fails the test unless both are the same as JSON on the wire: `new Float(50)` is `50.0` and not `50`. The order of members does not
 * matter, members that are `undefined` do not count, bytes are equal to their hexadecimal digits. @throws InvariantError
 */
export function expectEqual(actual: unknown, expected: unknown): void {
  const [found, wanted] = [canonical(actual), canonical(expected)];
  if (found !== wanted) {
    throw new InvariantError(`expected ${wanted}\n      but got  ${found}`);
  }
}

/** Fails the test unless `body` throws, or rejects with, an error whose text holds `part`. @throws InvariantError */
export async function expectError(body: () => unknown, part: string): Promise<void> {
  let text: string | undefined;
  try {
    await body();
  } catch (error) {
    text = errorText(error);
  }
  if (text === undefined || !text.includes(part)) {
    const found = text === undefined ? "nothing was thrown" : `but got  "${text}"`;
    throw new InvariantError(`expected an error with "${part}"\n      ${found}`);
  }
}

/** Bytes of hexadecimal digits; blanks do not count. */
export function bytes(hex: string): Uint8Array {
  const digits = hex.replaceAll(/\s/g, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) {
    throw new InvariantError(`"${hex}" is no list of hexadecimal bytes`);
  }
  return new Uint8Array(Buffer.from(digits, "hex"));
}

/** A message as a broker hands it over at this moment, with QoS 1. */
export function mqttMessage(topic: string, payload: Uint8Array | string): MqttMessage {
  const body = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
  return { topic, payload: body, qos: 1, retain: false, receivedTs: systemClock.now() };
}

/**
 * Creates an uplink converter as a connector does, after its schema has checked `config`. What it gives is always a list.
 * @throws ConfigError; the result throws what the converter throws, and the first error it reports of a point
 */
export function uplink<
  S extends StandardSchema,
  Type extends string,
  Input extends "bytes" | "decoded",
  Raw,
>(
  definition: UplinkSpec<S, Type, Input, Raw>,
  config: unknown,
): (raw: Raw) => readonly DeviceData[] {
  const convert = definition.create(checked(definition.schema, config), context(definition));
  return (raw) => {
    const result = convert(raw, (error) => {
      throw error;
    });
    return result === null ? [] : isList(result) ? result : [result];
  };
}

/** Creates a downlink converter as a connector does, after its schema has checked `config`. @throws ConfigError */
export function downlink<S extends StandardSchema, Entry>(
  definition: DownlinkSpec<S, Entry>,
  config: unknown,
): DownlinkConverter<Entry> {
  return definition.create(checked(definition.schema, config), context(definition));
}

/** Calls a method of the gateway with parameters that its schema checks first. @throws ConfigError, and what the method throws */
export async function callRpc<S extends StandardSchema>(
  definition: RpcSpec<S>,
  params: unknown,
): Promise<Json | void> {
  const stored = async () => ({ status: "stored" }) as const;
  const log = logger(definition.name);
  const gateway = { attributes: stored, telemetry: stored };
  const { signal } = new AbortController();
  const tools = { log, clock: systemClock, gateway };
  return await definition.run(checked(definition.params, params), tools, signal);
}

/** A connector that runs without a gateway. Disposing it stops the connector. */
export interface RunningConnector extends AsyncDisposable {
  /** The next record it has handed to `accept` or `tryAccept`. @throws when there is none within 10 s, or the connector has ended */
  record(): Promise<DeviceData>;
  /** Resolves when it reports a state of its links. @throws when it does not within 10 s, or has ended */
  status(wanted: "connecting" | "connected" | "degraded" | "disconnected"): Promise<void>;
  /** Calls it as the platform would; resolves with the reply, of a failure too. Without a device: `handleConnectorRpc`. */
  rpc(deviceName: string | undefined, method: string, params: Json): Promise<Json>;
  /** Tells it of shared attributes that have changed. */
  attributes(deviceName: string, values: Values): Promise<void>;
}

/** Creates and runs a connector after its schema has checked `config`. @throws ConfigError, and what `create` throws */
export async function startConnector<S extends StandardSchema>(
  definition: ConnectorSpec<S>,
  config: object,
): Promise<RunningConnector> {
  const inbox = new Inbox();
  const { type, name = type } = definition;
  const connector = { id: randomUUID(), name, type };
  const platform = new TestPlatform({ connector, onEvent: (event) => inbox.add(event) });
  const input = { id: connector.id, name, ...config };
  // A spec without its tags is the same to whoever runs it.
  const tagged: ConnectorDefinition = { ...definition, kind: "connector", api: 1 };
  await platform.start(tagged, checked(definition.schema, input));
  platform.ended().catch((error: unknown) => inbox.fail(error));
  return {
    record: async () => {
      const event = await inbox.next((one) => one.kind === "record", "a record");
      return event.kind === "record" ? event.data : { deviceName: "" };
    },
    status: async (wanted) => {
      await inbox.next((one) => one.kind === "status" && one.status === wanted, `status ${wanted}`);
    },
    rpc: (deviceName, method, params) =>
      platform.rpc({ ...(deviceName === undefined ? {} : { deviceName }), method, params }),
    attributes: (deviceName, values) => platform.attributes({ deviceName, values, removed: [] }),
    [Symbol.asyncDispose]: () => platform[Symbol.asyncDispose](),
  };
}

/** What a connector did and nobody has asked for yet. */
class Inbox {
  readonly #events: PlatformEvent[] = [];
  #changed = Promise.withResolvers<void>();
  #failure: { readonly error: unknown } | undefined;

  add(event: PlatformEvent): void {
    if (event.kind === "log") {
      process.stderr.write(`      ${formatLogLine(event.line)}\n`);
      return;
    }
    this.#events.push(event);
    this.#change();
  }

  fail(error: unknown): void {
    this.#failure = { error };
    this.#change();
  }

  async next(isWanted: (event: PlatformEvent) => boolean, what: string): Promise<PlatformEvent> {
    const late = Promise.withResolvers<never>();
    const error = new TransientError(`there was no ${what.replace(/^a /, "")} within 10 s`);
    using _timer = systemClock.timer(WAIT_MS, () => late.reject(error));
    for (;;) {
      const index = this.#events.findIndex(isWanted);
      const [event] = index < 0 ? [] : this.#events.splice(index, 1);
      if (event !== undefined) {
        return event;
      }
      if (this.#failure !== undefined) {
        throw this.#failure.error;
      }
      await Promise.race([this.#changed.promise, late.promise]);
    }
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

function checked<S extends StandardSchema>(schema: S, config: unknown): Output<S> {
  const result = schema["~standard"].validate(config);
  if (result instanceof Promise) {
    throw new ConfigError("config", [{ path: "$", message: "the schema is asynchronous" }]);
  }
  if (result.issues !== undefined) {
    const issues = result.issues.map(({ message, path = [] }) => ({
      path: path.map((part) => String(typeof part === "object" ? part.key : part)).join("."),
      message,
    }));
    throw new ConfigError("config", issues);
  }
  return result.value;
}

function context({ name, type }: { readonly name: string; readonly type: string }): {
  readonly log: Logger;
  readonly connector: { readonly id: string; readonly name: string; readonly type: string };
} {
  return { log: logger(name), connector: { id: randomUUID(), name: "Test", type } };
}

function logger(source: string): Logger {
  return createLogger({
    source,
    level: "debug",
    clock: systemClock,
    sink: (line) => process.stderr.write(`      ${formatLogLine(line)}\n`),
  });
}

function isList(data: DeviceData | readonly DeviceData[]): data is readonly DeviceData[] {
  return Array.isArray(data);
}

/** JSON text with sorted members. */
function canonical(value: unknown): string {
  if (value instanceof Uint8Array) {
    return JSON.stringify(Buffer.from(value).toString("hex"));
  }
  if (Array.isArray(value)) {
    return `[${value.map(canonical).join(",")}]`;
  }
  if (typeof value === "object" && value !== null && !(value instanceof Float)) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .toSorted(([one], [other]) => (one < other ? -1 : 1));
    return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(",")}}`;
  }
  return isScalar(value) ? encodeJson(value) : `a ${typeof value}`;
}

function isScalar(value: unknown): value is Json {
  return (
    value === null ||
    value instanceof Float ||
    ["boolean", "number", "bigint", "string"].includes(typeof value)
  );
}
