import type { Clock } from "#sdk/clock";
import { DataError, errorText, RpcError } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import { KeyQueue } from "#sdk/key-queue";
import type { Logger } from "#sdk/logger";
import { isJsonObject, type Json } from "#sdk/model";
import type { ConnectorCalls } from "./connector-calls.ts";
import type { ConnectorDirectory, RunningConnector } from "./connector-directory.ts";
import type { Downlinks } from "./downlinks.ts";
import { answerTo, DEFAULT_TIMEOUT_MS, settingTimeoutMs, wantedTimeoutMs } from "./rpc-answers.ts";
import type { Execute, RpcCalls } from "./rpc-calls.ts";
import type { GatewayMethods } from "./rpc-methods.ts";

const REQUEST = /^v1\/devices\/me\/rpc\/request\/(\d+)$/;
const RESPONSE = "v1/devices/me/rpc/response/";
/** Events about devices change the same things: one at a time and in order. */
const DEVICE_EVENTS: ReadonlySet<string> = new Set([
  "gateway_device_renamed",
  "gateway_device_deleted",
]);
const MAX_EVENTS_WAITING = 10_000;
/** Most methods at work at one time. */
const MAX_AT_WORK = 64;
/** What may name one of several connectors, in this order. */
const ADDRESSES = ["connectorId", "connectorName", "connector"] as const;

/** A connector of the configuration, running or not. */
export interface ConfiguredConnector {
  readonly id: string;
  readonly name: string;
  readonly type: string;
}

/** What calls to the gateway's own device need of their surroundings. */
export interface GatewayRpcDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly downlinks: Downlinks;
  readonly calls: RpcCalls;
  readonly connectorCalls: ConnectorCalls;
  readonly directory: ConnectorDirectory;
  /** The connectors of the configuration at this moment. */
  readonly configured: () => readonly ConfiguredConnector[];
  readonly keepDevices: () => Promise<void>;
  readonly methods: GatewayMethods;
}

interface OwnCall {
  readonly id: number;
  readonly method: string;
  readonly params: Json | undefined;
}

/** Calls to the gateway's own device: `<connector type>_<method>` goes to connectors, everything else to the gateway's methods. */
export class GatewayRpc implements Disposable {
  readonly #deps: GatewayRpcDeps;
  readonly #events = new KeyQueue({ perKey: MAX_EVENTS_WAITING, total: MAX_EVENTS_WAITING });
  readonly #subscription: Disposable;
  #atWork = 0;

  constructor(deps: GatewayRpcDeps) {
    this.#deps = deps;
    this.#subscription = deps.downlinks.on(REQUEST, (payload, match) =>
      this.#receive(Number(match?.[1]), payload),
    );
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }

  #receive(id: number, payload: string): void {
    const call = readOwnCall(id, payload);
    const timeoutMs = this.#timeoutMs(call);
    if (typeof timeoutMs === "number") {
      this.#take(id, call, timeoutMs);
      return;
    }
    timeoutMs.then(
      (knownMs) => this.#take(id, call, knownMs),
      (error: unknown) => this.#deps.log.error("Cannot take a call", { id, error }),
    );
  }

  #take(id: number, call: OwnCall, timeoutMs: number): void {
    const { calls } = this.#deps;
    const request = {
      device: "",
      id,
      method: call.method,
      params: call.params ?? null,
      timeoutMs,
      target: { topic: `${RESPONSE}${id}`, payload: (data: string) => data },
    };
    calls.receive(request, (execution) => this.#bounded(call, execution));
  }

  #timeoutMs({ method, params }: OwnCall): number | Promise<number> {
    const wanted = wantedTimeoutMs(params);
    if (wanted !== undefined) {
      return wanted;
    }
    const { type, name } = partsOf(method);
    const request = { method: name, params: params ?? null };
    const settings = this.#deps.directory
      .ofType(type)
      .map(({ connector }) => settingTimeoutMs(() => connector.rpcTimeoutMs?.(request)));
    const known = settings.filter((setting) => typeof setting === "number");
    return known.length === settings.length
      ? Math.max(DEFAULT_TIMEOUT_MS, ...known)
      : Promise.all(settings.map((setting) => Promise.resolve(setting))).then((all) =>
          Math.max(DEFAULT_TIMEOUT_MS, ...all),
        );
  }

  async #bounded(call: OwnCall, execution: Parameters<Execute>[0]): Promise<Json> {
    if (DEVICE_EVENTS.has(call.method)) {
      const answer = await this.#inOrder(() => this.#route(call, execution));
      // The platform forgets what is answered. The next event need not wait for the disk.
      await this.#deps.keepDevices();
      return answer;
    }
    if (this.#atWork >= MAX_AT_WORK) {
      throw new RpcError("Too many calls to the gateway are at work", 429);
    }
    this.#atWork += 1;
    try {
      return await this.#route(call, execution);
    } finally {
      this.#atWork -= 1;
    }
  }

  /** One event about devices after the other. */
  async #inOrder(run: () => Promise<Json>): Promise<Json> {
    const answer = Promise.withResolvers<Json>();
    const isTaken = this.#events.tryPush("devices", async () => {
      await run().then(answer.resolve, answer.reject);
    });
    if (!isTaken) {
      throw new RpcError("Too many events about devices wait", 429);
    }
    return await answer.promise;
  }

  async #route(call: OwnCall, execution: Parameters<Execute>[0]): Promise<Json> {
    const { method, params } = call;
    if (method === "") {
      return { error: "The call has no method", code: 400 };
    }
    const { type } = partsOf(method);
    const configured = this.#deps.configured().filter((one) => one.type.toLowerCase() === type);
    if (configured.length > 0) {
      return await this.#toConnectors(configured, call, execution);
    }
    const run = this.#deps.methods.get(method);
    if (run !== undefined) {
      return await this.#runMethod(method, () => run(params, execution.signal));
    }
    return type === "gateway"
      ? { error: "Method not found", code: 404 }
      : { error: `${type} - connector not found in available connectors.`, code: 404 };
  }

  async #runMethod(method: string, run: () => Promise<Json>): Promise<Json> {
    try {
      return await run();
    } catch (error) {
      if (error instanceof RpcError) {
        return { error: error.message, code: error.code };
      }
      this.#deps.log.error("A method of the gateway failed", { method, error });
      return { error: errorText(error), code: 500 };
    }
  }

  /** The answer of the one connector that is meant, or the answers of all by their names. */
  async #toConnectors(
    configured: readonly ConfiguredConnector[],
    call: OwnCall,
    execution: Parameters<Execute>[0],
  ): Promise<Json> {
    const wanted = addressOf(call.params);
    const found = configured.filter(
      ({ id, name }) => wanted === undefined || wanted === id || wanted === name,
    );
    const [first, second] = found;
    if (first === undefined) {
      const { type } = partsOf(call.method);
      return { error: `There is no connector "${wanted ?? ""}" of type ${type}`, code: 404 };
    }
    if (second === undefined) {
      return await this.#toConnector(first, call, execution);
    }
    const answers: Record<string, Json> = {};
    await Promise.all(
      found.map(async (one) => {
        answers[one.name] = await this.#toConnector(one, call, execution).catch(answerTo);
      }),
    );
    return answers;
  }

  async #toConnector(
    { id, name }: ConfiguredConnector,
    call: OwnCall,
    execution: Parameters<Execute>[0],
  ): Promise<Json> {
    const running: RunningConnector | undefined = this.#deps.directory.byId(id);
    if (running === undefined) {
      throw new RpcError(`Connector "${name}" is not running`, 503);
    }
    const request = {
      id: call.id,
      method: partsOf(call.method).name,
      params: call.params ?? null,
    };
    const { connectorCalls } = this.#deps;
    return await connectorCalls.call(running, "handleConnectorRpc", { request, ...execution })
      .answer;
  }
}

/** `modbus_get_all` → `modbus` and `get_all`. */
function partsOf(method: string): { readonly type: string; readonly name: string } {
  const [type = ""] = method.split("_", 1);
  return { type: type.toLowerCase(), name: method.slice(type.length + 1) };
}

function addressOf(params: Json | undefined): string | undefined {
  if (!isJsonObject(params)) {
    return undefined;
  }
  for (const key of ADDRESSES) {
    const value = params[key];
    if (typeof value === "string" && value !== "") {
      return value;
    }
  }
  return undefined;
}

/** `{"method":"m","params":…}`; whatever cannot be read has the method "". */
function readOwnCall(id: number, payload: string): OwnCall {
  let body: Json;
  try {
    body = readJson(payload);
  } catch (error) {
    if (error instanceof DataError) {
      return { id, method: "", params: payload };
    }
    throw error;
  }
  if (!isJsonObject(body)) {
    return { id, method: "", params: body };
  }
  const { method, params } = body;
  return { id, method: typeof method === "string" ? method : "", params };
}
