import type { DataValue, NodeId } from "node-opcua-client";
import type { ConnectorHost } from "#sdk/connector";
import { DataError, errorText, TransientError } from "#sdk/errors";
import { type AttributeUpdate, isJsonObject, type Json, type RpcRequest } from "#sdk/model";
import type { ServerSession } from "./client.ts";
import { convertValue } from "./codec.ts";
import { coerceValue } from "./coercion.ts";
import type { MethodConfig } from "./config.ts";
import type { Device } from "./device.ts";
import {
  ArgumentError,
  type Command,
  chooseArguments,
  isNodeId,
  parseGet,
  parseSet,
  reservedKind,
} from "./downlink.ts";
import { isBad, isTalkFailure, NoAnswer, ServiceFault, SessionLost } from "./failures.ts";
import { callMethod, type MethodCall } from "./method-call.ts";
import { parseNodeExpression } from "./node-expression.ts";
import { type FoundNode, NodeFinder } from "./node-finder.ts";
import { NodeTypes } from "./node-types.ts";

/** Time of an answer to reach the platform's deadline. */
const MARGIN_MS = 50;
/** Devices that a method of the connector is called on at the same time. */
const MAX_PARALLEL = 8;
const NOT_CONNECTED = "OPC UA server is not connected";

/** What commands know over all sessions. */
export interface CommandsOptions {
  readonly host: ConnectorHost;
  readonly devices: ReadonlyMap<string, Device>;
  readonly format: { readonly python: boolean };
}

/** The session commands are sent over. */
interface Line {
  readonly session: ServerSession;
  readonly types: NodeTypes;
}

/** Carries out methods and attribute updates. Without a session they are refused at once: nothing waits and is done later. */
export class Commands {
  readonly #options: CommandsOptions;
  #line: Line | undefined;

  constructor(options: CommandsOptions) {
    this.#options = options;
  }

  /** Commands go over this session until the answer is disposed. */
  attach(session: ServerSession): Disposable {
    const line = { session, types: new NodeTypes(session) };
    this.#line = line;
    return {
      [Symbol.dispose]: () => {
        if (this.#line === line) {
          this.#line = undefined;
        }
      },
    };
  }

  /** How long a configured method may take. */
  timeoutOf(deviceName: string | undefined, method: string): number | undefined {
    return this.#methodOf(this.#options.devices.get(deviceName ?? ""), method)?.timeout;
  }

  /** Answers a method of a device, always with one answer. */
  async rpc(request: RpcRequest, signal: AbortSignal): Promise<Json> {
    const { deviceName = "", method, params, timeoutMs } = request;
    const device = this.#options.devices.get(deviceName);
    if (device === undefined) {
      return { result: { error: "Device not found" } };
    }
    const kind = reservedKind(method);
    const limitMs = Math.max(1, timeoutMs - MARGIN_MS);
    return await this.#answer(deviceName, limitMs, signal, async (until) => {
      if (kind === "get") {
        return { result: { value: await this.#get(device, parseGet(params)) } };
      }
      if (kind === "set") {
        return { result: { value: await this.#set(device, parseSet(params), limitMs, until) } };
      }
      const config = this.#methodOf(device, method);
      if (config === undefined) {
        return { result: { error: "Requested rpc method is not found in config" } };
      }
      const args = chooseArguments(config.arguments, params);
      const callMs = Math.min(config.timeout, limitMs);
      return {
        result: { result: await this.#call(device, { method, args, timeoutMs: callMs }, until) },
      };
    });
  }

  /** Calls a method on every device, and answers for each. */
  async connectorRpc(request: RpcRequest, signal: AbortSignal): Promise<Json> {
    const { method, params, timeoutMs } = request;
    const given = isJsonObject(params) ? (params["arguments"] ?? []) : [];
    const list: readonly Json[] = Array.isArray(given) ? given : [given];
    const args = list.map((one) => (isJsonObject(one) && "value" in one ? one["value"] : one));
    const limitMs = Math.max(1, timeoutMs - MARGIN_MS);
    const results: Json[] = [];
    const waiting = [...this.#options.devices.values()].entries();
    const work = async (): Promise<void> => {
      for (const [index, device] of waiting) {
        const answer = await this.#answer(device.name, limitMs, signal, async (until) => ({
          result: { result: await this.#call(device, { method, args, timeoutMs: limitMs }, until) },
        }));
        results[index] = { ...flattened(answer), device_name: device.name };
      }
    };
    await Promise.all(Array.from({ length: MAX_PARALLEL }, work));
    return results;
  }

  /** Writes what changed, with one request. What cannot be written costs only itself. */
  async update({ deviceName, values }: AttributeUpdate, signal: AbortSignal): Promise<void> {
    const { host, devices } = this.#options;
    const device = devices.get(deviceName);
    if (device === undefined) {
      return;
    }
    const fields = { device: deviceName };
    const wanted = device.mapping.updates.filter(({ key }) => Object.hasOwn(values, key));
    for (const key of Object.keys(values)) {
      if (!device.mapping.updates.some((update) => update.key === key)) {
        host.log.warn("An attribute has no node", { ...fields, attribute: key });
      }
    }
    const prepared = await Promise.all(
      wanted.map(async ({ key, node, timeoutMs }) => {
        try {
          const until = host.clock.deadline(timeoutMs, signal);
          const line = this.#requireLine();
          const [found] = await this.#finder(line).find(node, device.base);
          const write = await this.#prepare(line, found, values[key] ?? null, key);
          until.throwIfAborted();
          return { key, line, write, timeoutMs, until };
        } catch (error) {
          this.#sayUnwritten(deviceName, key, error, signal);
          return undefined;
        }
      }),
    );
    await this.#writeAll(
      deviceName,
      prepared.filter((one) => one !== undefined),
      signal,
    );
  }

  /** Writes with one request, unless the server allows fewer; each write within the shortest of their times. */
  async #writeAll(
    deviceName: string,
    prepared: readonly PreparedUpdate[],
    signal: AbortSignal,
  ): Promise<void> {
    const [first] = prepared;
    if (first === undefined) {
      return;
    }
    const { session, types } = first.line;
    const until = AbortSignal.any(prepared.map((one) => one.until));
    const timeoutMs = Math.min(...prepared.map((one) => one.timeoutMs));
    try {
      const writes = prepared.map(({ write }) => write.request);
      const statuses = await session.write(writes, until, timeoutMs);
      for (const [index, { key, write }] of prepared.entries()) {
        const status = statuses[index];
        if (status !== undefined && isBad(status)) {
          types.forget(write.request.nodeId);
          this.#sayUnwritten(deviceName, key, new ServiceFault(status), signal);
        }
      }
    } catch (error) {
      for (const { key } of prepared) {
        this.#sayUnwritten(deviceName, key, error, signal);
      }
    }
  }

  /** @throws what is no failure of a write */
  #sayUnwritten(device: string, attribute: string, error: unknown, signal: AbortSignal): void {
    signal.throwIfAborted();
    if (!isOwn(error)) {
      throw error;
    }
    const { host } = this.#options;
    host.metrics.count("writesFailed");
    host.log.error("Cannot write an attribute", { device, attribute, error });
  }

  async #answer(
    deviceName: string,
    timeoutMs: number,
    signal: AbortSignal,
    run: (until: AbortSignal) => Promise<Json>,
  ): Promise<Json> {
    const { clock } = this.#options.host;
    const until = clock.deadline(timeoutMs, signal);
    const late = Promise.withResolvers<never>();
    const onAbort = (): void => late.reject(until.reason);
    until.addEventListener("abort", onAbort, { once: true });
    late.promise.catch(() => undefined);
    try {
      return await Promise.race([run(until), late.promise]);
    } catch (error) {
      signal.throwIfAborted();
      if (until.aborted || error instanceof NoAnswer) {
        return { result: { error: `Timeout rpc has been reached for ${deviceName}` } };
      }
      if (error instanceof ArgumentError) {
        return { result: error.message };
      }
      if (!isOwn(error)) {
        throw error;
      }
      const text = error instanceof SessionLost ? NOT_CONNECTED : errorOf(error);
      return { result: { error: text } };
    } finally {
      until.removeEventListener("abort", onAbort);
    }
  }

  async #get(device: Device, { target }: Command): Promise<Json> {
    const line = this.#requireLine();
    const node = await this.#target(device, target, line);
    const { AttributeIds } = line.session.library;
    const value = await line.session.readOne({
      nodeId: node.id,
      attributeId: AttributeIds.Value,
    });
    if (isBad(value.statusCode)) {
      throw new ServiceFault(value.statusCode);
    }
    return convertValue(value.value, this.#options.format) ?? null;
  }

  async #set(
    device: Device,
    { target, value = null }: Command,
    timeoutMs: number,
    until: AbortSignal,
  ): Promise<Json> {
    const line = this.#requireLine();
    const node = await this.#target(device, target, line);
    return await this.#write(line, node, value, { key: target, timeoutMs, until });
  }

  async #write(
    line: Line,
    node: FoundNode | undefined,
    value: Json,
    options: { readonly key: string; readonly timeoutMs: number; readonly until: AbortSignal },
  ): Promise<Json> {
    const { request, shown } = await this.#prepare(line, node, value, options.key);
    options.until.throwIfAborted();
    const [status] = await line.session.write([request], options.until, options.timeoutMs);
    if (status !== undefined && isBad(status)) {
      line.types.forget(request.nodeId);
      throw new ServiceFault(status);
    }
    return shown;
  }

  /** What is written to a node: the value in its type. @throws DataError, ServiceFault */
  async #prepare(
    { session, types }: Line,
    node: FoundNode | undefined,
    value: Json,
    key: string,
  ): Promise<PreparedWrite> {
    if (node === undefined) {
      throw new DataError(`Node not found: ${key}`);
    }
    const { AttributeIds, DataValue } = session.library;
    const coerced = coerceValue(value, await types.typeOf(node.id));
    const request = {
      nodeId: node.id,
      attributeId: AttributeIds.Value,
      value: new DataValue({ value: types.variantOf(coerced) }),
    };
    return { request, shown: coerced.shown };
  }

  async #call(device: Device, call: Omit<MethodCall, "object">, until: AbortSignal): Promise<Json> {
    const { session, types } = this.#requireLine();
    const finder = this.#finder({ session, types });
    const tools = { session, types, finder, format: this.#options.format };
    return await callMethod({ object: device.base, ...call }, tools, until);
  }

  /** A node id, a key of the device, or a path. @throws DataError */
  async #target(device: Device, target: string, line: Line): Promise<FoundNode> {
    const finder = this.#finder(line);
    const point = isNodeId(target)
      ? undefined
      : device.mapping.points.find(({ key }) => key === target);
    const expression =
      point !== undefined && "node" in point.source
        ? point.source.node
        : parseNodeExpression(target);
    const [node] = await finder.find(expression, device.base);
    if (node === undefined) {
      throw new DataError(`Node not found: ${target}`);
    }
    return node;
  }

  #methodOf(device: Device | undefined, method: string): MethodConfig | undefined {
    return device?.mapping.methods.find((one) => one.method === method);
  }

  #finder({ session }: Line): NodeFinder {
    return new NodeFinder(session, { otherNamespace: () => undefined, tooMany: () => undefined });
  }

  #requireLine(): Line {
    if (this.#line === undefined) {
      throw new SessionLost(NOT_CONNECTED);
    }
    return this.#line;
  }
}

/** A value in the type of its node. */
interface PreparedWrite {
  readonly request: {
    readonly nodeId: NodeId;
    readonly attributeId: number;
    readonly value: DataValue;
  };
  /** The same in the answer. */
  readonly shown: Json;
}

/** A shared attribute that can be written. */
interface PreparedUpdate {
  readonly key: string;
  readonly line: Line;
  readonly write: PreparedWrite;
  readonly timeoutMs: number;
  readonly until: AbortSignal;
}

/** Failures that are an answer; anything else is a defect. */
function isOwn(error: unknown): boolean {
  return error instanceof DataError || error instanceof TransientError || isTalkFailure(error);
}

function errorOf(error: unknown): string {
  return error instanceof DataError ? error.message : errorText(error);
}

/** `{"result":{"result":15}}` as `{"result":15}`, `{"result":{"error":…}}` as `{"error":…}`. */
function flattened(answer: Json): { readonly [key: string]: Json } {
  const inner = isJsonObject(answer) ? answer["result"] : answer;
  return isJsonObject(inner) ? inner : { error: inner ?? null };
}
