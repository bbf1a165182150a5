import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "#sdk/clock";
import type { Connector, ConnectorHost, Uplink } from "#sdk/connector";
import { RpcError, TransientError } from "#sdk/errors";
import { createLogger, type LogRecord, rateLimited } from "#sdk/logger";
import type { AttributeUpdate, DeviceData, Json, RpcRequest } from "#sdk/model";
import { checkedConnector } from "../connector/checked-connector.ts";
import { createConverters } from "../connector/converters.ts";
import type { ConnectorDefinition } from "../connector/registry.ts";
import { Pipeline } from "../pipeline/uplink.ts";
import { answerTo, DEFAULT_TIMEOUT_MS, DONE, failure } from "../service/rpc-answers.ts";
import type { ConverterLookups } from "./uses.ts";

/** What a connector did. */
export type PlatformEvent =
  | { readonly kind: "record"; readonly data: DeviceData }
  | { readonly kind: "gateway"; readonly data: Pick<DeviceData, "attributes" | "telemetry"> }
  | { readonly kind: "status"; readonly status: string; readonly detail: string | undefined }
  | { readonly kind: "rejected"; readonly reason: string; readonly count: number }
  | { readonly kind: "log"; readonly line: LogRecord };

/** What a platform is made from. */
export interface TestPlatformOptions {
  readonly connector: { readonly id: string; readonly name: string; readonly type: string };
  readonly onEvent: (event: PlatformEvent) => void;
  /** Converters of extensions. Default: only those inside the program. */
  readonly converters?: ConverterLookups;
  /** Default: the system's. */
  readonly clock?: Clock;
}

const STORED = { status: "stored" } as const;
const NO_ATTRIBUTES = { shared: {}, client: {} };
/** How long a connector may take to start, and to stop. */
const CREATE_MS = 30_000;
const STOP_MS = 5000;

/**
 * A gateway and a platform for one instance of a connector, in memory: its records are checked and stamped as the gateway does it
 * and then told to `onEvent`; calls and attribute updates come from whoever tests it.
 */
export class TestPlatform implements AsyncDisposable {
  readonly #options: TestPlatformOptions;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  readonly #devices = new Map<string, { deviceType: string; connected: boolean }>();
  readonly #pipeline: Pipeline;
  #connector: Connector | undefined;
  #run: Promise<void> | undefined;
  #dir: string | undefined;
  #calls = 0;

  constructor(options: TestPlatformOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#pipeline = new Pipeline({
      clock: this.#clock,
      log: this.#log("converter"),
      onLost: () => undefined,
      sink: {
        append: () => Promise.resolve(),
        tryAppend: () => true,
        countFiltered: () => undefined,
        countRejected: (reason, count) => this.#rejected(reason, count),
      },
    });
  }

  /** Creates and runs the connector. Resolves when it runs. @throws what `create` throws, or that it took longer than 30 s */
  async start(definition: ConnectorDefinition, config: unknown): Promise<void> {
    const created = Promise.resolve(definition.create(config, this.#host()));
    const { name } = this.#options.connector;
    this.#connector = checkedConnector(await this.#within(created, CREATE_MS, "create"), name);
    this.#run = this.#connector.run(this.#stop.signal);
    this.#run.catch(() => undefined); // `ended` tells whoever asks.
  }

  /** Settles when the connector ends without being stopped: an end is a failure. @throws what ended it */
  async ended(): Promise<never> {
    await this.#run;
    throw new TransientError("run() returned before it was stopped");
  }

  /** Calls the connector as the platform would, and gives the answer the platform would get. Without a device: the connector's own call. */
  async rpc(call: Pick<RpcRequest, "deviceName" | "method" | "params">): Promise<Json> {
    const connector = this.#running();
    const handler = call.deviceName === undefined ? "handleConnectorRpc" : "handleRpc";
    const known = call.deviceName === undefined || this.#devices.has(call.deviceName);
    if (!known) {
      return failure(`Device "${call.deviceName}" is not connected`, 404);
    }
    if (connector[handler] === undefined) {
      return failure("RPC not supported by connector", 405);
    }
    const timeoutMs = (await connector.rpcTimeoutMs?.(call)) ?? DEFAULT_TIMEOUT_MS;
    const signal = this.#clock.deadline(timeoutMs, this.#stop.signal);
    const request = { ...call, id: (this.#calls += 1), timeoutMs };
    try {
      const work = Promise.resolve().then(() => connector[handler]?.(request, signal));
      const late = new RpcError("Request timeout", 408);
      return (await this.#within(work, timeoutMs, late)) ?? DONE;
    } catch (error) {
      return answerTo(error);
    }
  }

  /** Tells the connector of shared attributes. @throws what its handler throws */
  async attributes(update: AttributeUpdate): Promise<void> {
    await this.#running().handleAttributes?.(update, this.#stop.signal);
  }

  /** Stops the connector as the gateway does. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new TransientError("the connector is stopped"));
    const stopped = Promise.allSettled([this.#run, this.#connector?.[Symbol.asyncDispose]()]);
    await this.#within(stopped, STOP_MS, "stopping").catch((error: unknown) =>
      this.#log("connector").error("Connector did not stop in time", { error }),
    );
    await this.#pipeline[Symbol.asyncDispose]();
    if (this.#dir !== undefined) {
      rmSync(this.#dir, { recursive: true, force: true });
    }
  }

  #running(): Connector {
    if (this.#connector === undefined) {
      throw new TransientError("the connector does not run");
    }
    return this.#connector;
  }

  #host(): ConnectorHost {
    const { connector, onEvent, converters } = this.#options;
    const metrics: ConnectorHost["metrics"] = {
      count: () => undefined,
      rejected: (reason, count = 1) => this.#rejected(reason, count),
    };
    const log = this.#log("connector");
    const converterLog = this.#log("converter");
    const makeDir = (): string => (this.#dir ??= mkdtempSync(join(tmpdir(), "tbgw-test-")));
    return {
      ...connector,
      get dataDir(): string {
        return makeDir();
      },
      log,
      converterLog,
      clock: this.#clock,
      metrics,
      uplink: this.#uplink(),
      devices: this.#hostDevices(),
      attributes: { request: () => Promise.resolve(NO_ATTRIBUTES) },
      gateway: {
        attributes: async (values) => this.#own({ attributes: values }),
        telemetry: async (values, _signal, options) => {
          const ts = options?.ts ?? this.#clock.now();
          return this.#own({ telemetry: [{ ts, values }] });
        },
      },
      platform: { connected: true, onChange: () => ({ [Symbol.dispose]: () => undefined }) },
      converters: createConverters({
        connector,
        log: converterLog,
        rareLog: rateLimited(converterLog, this.#clock),
        metrics,
        extensions: converters,
      }),
      setStatus: (status, detail) => onEvent({ kind: "status", status, detail }),
    };
  }

  #uplink(): Uplink {
    const inner = this.#pipeline.uplinkOf({
      onDevice: (deviceName, deviceType) => {
        this.#devices.set(deviceName, { deviceType: deviceType ?? "default", connected: true });
        return deviceType ?? "default";
      },
    });
    const { onEvent } = this.#options;
    const tell = (data: DeviceData | readonly DeviceData[]): void => {
      for (const one of isList(data) ? data : [data]) {
        onEvent({ kind: "record", data: { receivedTs: this.#clock.now(), ...one } });
      }
    };
    return {
      accept: async (data, signal, options) => {
        const result = await inner.accept(data, signal, options);
        tell(data);
        return result;
      },
      tryAccept: (data) => {
        const result = inner.tryAccept(data);
        tell(data);
        return result;
      },
    };
  }

  #hostDevices(): ConnectorHost["devices"] {
    return {
      connect: async (deviceName, deviceType = "default") => {
        this.#devices.set(deviceName, { deviceType, connected: true });
      },
      disconnect: async (deviceName) => {
        this.#devices.delete(deviceName);
      },
      failed: (deviceName, error) =>
        this.#log("connector").warn("Device failed", { device: deviceName, error }),
      list: () => this.#devices,
      claim: async () => undefined,
    };
  }

  #own(data: Pick<DeviceData, "attributes" | "telemetry">): typeof STORED {
    this.#options.onEvent({ kind: "gateway", data });
    return STORED;
  }

  #rejected(reason: string, count: number): void {
    this.#options.onEvent({ kind: "rejected", reason, count });
  }

  #log(channel: "connector" | "converter"): ConnectorHost["log"] {
    const { connector, onEvent } = this.#options;
    const sink = (line: LogRecord): void => onEvent({ kind: "log", line });
    return createLogger({
      source: connector.name,
      channel,
      level: "debug",
      clock: this.#clock,
      sink,
    });
  }

  /** @throws `late`, or that the named step took too long */
  async #within<T>(work: Promise<T>, timeoutMs: number, late: string | Error): Promise<T> {
    const over = Promise.withResolvers<never>();
    const error =
      typeof late === "string" ? new TransientError(`${late} took over ${timeoutMs} ms`) : late;
    using _timer = this.#clock.timer(timeoutMs, () => over.reject(error));
    return await Promise.race([work, over.promise]);
  }
}

function isList(data: DeviceData | readonly DeviceData[]): data is readonly DeviceData[] {
  return Array.isArray(data);
}
