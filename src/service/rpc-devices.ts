import type { Clock } from "#sdk/clock";
import { RpcError } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import { KeyQueue } from "#sdk/key-queue";
import type { Logger } from "#sdk/logger";
import { isJsonObject, type Json } from "#sdk/model";
import type { ConnectorCalls } from "./connector-calls.ts";
import type { ConnectorDirectory, RunningConnector } from "./connector-directory.ts";
import type { Downlinks } from "./downlinks.ts";
import { failure, numberOf, settingTimeoutMs, wantedTimeoutMs } from "./rpc-answers.ts";
import type { CallRequest, Execute, RpcCalls } from "./rpc-calls.ts";

const TOPIC = "v1/gateway/rpc";
/** Most calls of one device that wait for the one at work, and of all devices. */
const MAX_WAITING = { perKey: 128, total: 10_000 };
/** How long a call waits for its device to come, at most, and as a share of the time it has. */
const ABSENT_MS = 5000;
const ABSENT_SHARE = 0.8;

/** What calls need to know about devices. */
export interface KnownDevices {
  localName(platformName: string): string;
  platformName(deviceName: string): string;
  get(
    deviceName: string,
  ): { readonly connectorId: string; readonly connected: boolean } | undefined;
  onConnected(listener: (device: { readonly deviceName: string }) => void): Disposable;
}

/** What device calls need of their surroundings. */
export interface DeviceRpcDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly downlinks: Downlinks;
  readonly calls: RpcCalls;
  readonly connectorCalls: ConnectorCalls;
  readonly devices: KnownDevices;
  readonly directory: ConnectorDirectory;
}

/** One call as the wire has it. */
interface DeviceCall {
  readonly device: string;
  readonly id: number;
  readonly method: string;
  readonly params: Json;
}

/** Calls to devices behind the gateway: those of one device in order and one at a time, those of different devices together. */
export class DeviceRpc implements Disposable {
  readonly #deps: DeviceRpcDeps;
  readonly #queue = new KeyQueue(MAX_WAITING);
  /** Called when a device or a connector has come. */
  readonly #waiting = new Set<() => void>();
  readonly #stack = new DisposableStack();

  constructor(deps: DeviceRpcDeps) {
    this.#deps = deps;
    const wake = (): void => {
      for (const look of this.#waiting) {
        look();
      }
    };
    this.#stack.use(deps.downlinks.on(TOPIC, (payload) => this.#receive(payload)));
    this.#stack.use(deps.devices.onConnected(wake));
    this.#stack.use(deps.directory.onRunning(wake));
  }

  [Symbol.dispose](): void {
    this.#stack[Symbol.dispose]();
  }

  #receive(payload: string): void {
    const { devices, log } = this.#deps;
    const call = readCall(payload);
    if (call === undefined) {
      log.warn("A call of the platform cannot be read: it names no device or has no id", {
        topic: TOPIC,
      });
      return;
    }
    const deviceName = devices.localName(call.device);
    const timeoutMs = wantedTimeoutMs(call.params) ?? this.#connectorTimeoutMs(deviceName, call);
    if (typeof timeoutMs === "number") {
      this.#take(deviceName, call, timeoutMs);
      return;
    }
    timeoutMs.then(
      (knownMs) => this.#take(deviceName, call, knownMs),
      (error: unknown) => log.error("Cannot take a call", { device: deviceName, error }),
    );
  }

  #take(deviceName: string, call: DeviceCall, timeoutMs: number): void {
    const { calls } = this.#deps;
    const { id } = call;
    const request: CallRequest = {
      ...call,
      timeoutMs,
      target: {
        topic: TOPIC,
        payload: (data) => {
          const name = JSON.stringify(this.#nameOf(deviceName, call));
          return `{"device":${name},"id":${id},"data":${data}}`;
        },
      },
    };
    calls.receive(request, (execution) => this.#execute(deviceName, call, execution));
  }

  /** The device's name at this moment; a device that is not known keeps the one it was called by. */
  #nameOf(deviceName: string, { device }: DeviceCall): string {
    const { devices } = this.#deps;
    return devices.get(deviceName) === undefined ? device : devices.platformName(deviceName);
  }

  #connectorTimeoutMs(
    deviceName: string,
    { method, params }: DeviceCall,
  ): number | Promise<number> {
    const { devices, directory } = this.#deps;
    const owner = directory.byId(devices.get(deviceName)?.connectorId ?? "");
    return settingTimeoutMs(() => owner?.connector.rpcTimeoutMs?.({ deviceName, method, params }));
  }

  /** Waits for its turn, and settles with the answer; the turn of the next one comes when the handler has ended. */
  #execute(deviceName: string, call: DeviceCall, execution: Parameters<Execute>[0]): Promise<Json> {
    if (call.method === "") {
      return Promise.resolve(failure("The call has no method", 400));
    }
    const answer = Promise.withResolvers<Json>();
    const job = async (): Promise<void> => {
      try {
        const owner = await this.#ownerOf(deviceName, execution);
        const request = { deviceName, id: call.id, method: call.method, params: call.params };
        const { connectorCalls } = this.#deps;
        const running = connectorCalls.call(owner, "handleRpc", { request, ...execution });
        running.answer.then(answer.resolve, answer.reject);
        await running.ended;
      } catch (error) {
        answer.reject(error);
      }
    };
    if (!this.#queue.tryPush(deviceName, job)) {
      return Promise.resolve(failure(`Too many calls wait for "${deviceName}"`, 429));
    }
    return answer.promise;
  }

  /** The connector of a device; waits a little for both to come. @throws RpcError when they do not */
  async #ownerOf(
    deviceName: string,
    { deadlineMs, signal }: Parameters<Execute>[0],
  ): Promise<RunningConnector> {
    signal.throwIfAborted();
    const found = this.#find(deviceName);
    if (found !== undefined) {
      return found;
    }
    const { clock } = this.#deps;
    const leftMs = deadlineMs - clock.monotonicMs();
    const { promise, resolve, reject } = Promise.withResolvers<RunningConnector>();
    const look = (): void => {
      const owner = this.#find(deviceName);
      if (owner !== undefined) {
        resolve(owner);
      }
    };
    const onAbort = (): void => reject(signal.reason);
    using _timer = clock.timer(Math.min(ABSENT_MS, leftMs * ABSENT_SHARE), () =>
      reject(this.#absent(deviceName)),
    );
    this.#waiting.add(look);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await promise;
    } finally {
      this.#waiting.delete(look);
      signal.removeEventListener("abort", onAbort);
    }
  }

  #find(deviceName: string): RunningConnector | undefined {
    const { devices, directory } = this.#deps;
    const device = devices.get(deviceName);
    return device?.connected === true ? directory.byId(device.connectorId) : undefined;
  }

  #absent(deviceName: string): RpcError {
    return this.#deps.devices.get(deviceName)?.connected === true
      ? new RpcError(`The connector of device "${deviceName}" is not running`, 503)
      : new RpcError(`Device "${deviceName}" is not connected to the gateway`, 404);
  }
}

/** `{"device":"A","data":{"id":0,"method":"m","params":…}}`; a missing method is "". `undefined` for what cannot be answered. */
function readCall(payload: string): DeviceCall | undefined {
  const body = readJson(payload);
  const data = isJsonObject(body) ? body["data"] : undefined;
  if (!isJsonObject(body) || !isJsonObject(data)) {
    return undefined;
  }
  const { device } = body;
  const { method, params } = data;
  const id = numberOf(data["id"]);
  if (typeof device !== "string" || id === undefined) {
    return undefined;
  }
  return { device, id, method: typeof method === "string" ? method : "", params: params ?? null };
}
