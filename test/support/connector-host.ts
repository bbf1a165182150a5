import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createConverters,
  type DownlinkTable,
  type UplinkTable,
} from "../../src/connector/converters.ts";
import { ExtensionCatalogue } from "../../src/extension/catalogue.ts";
import { ExtensionUses } from "../../src/extension/uses.ts";
import { type Clock, systemClock } from "../../src/sdk/clock.ts";
import type { AcceptResult, ConnectorHost } from "../../src/sdk/connector.ts";
import { encodeJson } from "../../src/sdk/encode.ts";
import { type LogFields, type Logger, type LogLevel, rateLimited } from "../../src/sdk/logger.ts";
import type { DeviceData, Json } from "../../src/sdk/model.ts";
import { until } from "./until.ts";

/** One line a connector has written. */
export interface LoggedLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

/** One call of `accept` that has not been answered yet. */
export interface PendingAccept {
  readonly records: readonly DeviceData[];
  readonly urgent: boolean;
  resolve(result?: AcceptResult): void;
  reject(error: unknown): void;
}

/**
 * The core as one connector sees it, in memory: records what was accepted, logged and counted. `hold` keeps every `accept`
 * unanswered until the test answers it; `failWith` refuses each one.
 */
export class TestHost implements AsyncDisposable {
  readonly accepted: DeviceData[] = [];
  readonly pending: PendingAccept[] = [];
  readonly lines: LoggedLine[] = [];
  readonly counters = new Map<string, number>();
  readonly rejections = new Map<string, number>();
  readonly statuses: { readonly status: string; readonly detail: string | undefined }[] = [];
  readonly failures: { readonly deviceName: string; readonly error: string }[] = [];
  readonly devices = new Map<string, { deviceType: string; connected: boolean }>();
  readonly host: ConnectorHost;
  hold = false;
  /** Called for each `accept`; an error it returns is thrown. */
  failWith: (() => Error | undefined) | undefined;
  /** What the platform answers to attribute requests; by default it knows nothing. */
  answerAttributes: ConnectorHost["attributes"]["request"] = async () =>
    await Promise.resolve({ shared: {}, client: {} });
  #dir: string | undefined;

  constructor(
    options: {
      readonly clock?: Clock;
      readonly id?: string;
      readonly name?: string;
      readonly type?: string;
      /** Default: the ones inside the program. */
      readonly downlinks?: DownlinkTable;
      /** Folder with converters of extensions. */
      readonly extensionRoot?: string;
      readonly uplinks?: UplinkTable;
    } = {},
  ) {
    const makeDir = (): string => {
      this.#dir ??= mkdtempSync(join(tmpdir(), "tbgw-host-"));
      return this.#dir;
    };
    const {
      clock = systemClock,
      id = "0f8fad5b-d9cb-469f-a165-70867728950e",
      name = "Test connector",
      type = "mqtt",
      downlinks,
      extensionRoot,
      uplinks,
    } = options;
    const log = this.#logger();
    const roots = extensionRoot === undefined ? [] : [extensionRoot];
    const catalogue = new ExtensionCatalogue({ roots, log, allowInsecure: false });
    const metrics: ConnectorHost["metrics"] = {
      count: (counter, by = 1) => add(this.counters, counter, by),
      rejected: (reason, count = 1) => add(this.rejections, reason, count),
    };
    this.host = {
      id,
      name,
      type,
      get dataDir(): string {
        return makeDir();
      },
      log,
      converterLog: log,
      clock,
      metrics,
      uplink: {
        accept: (data, signal, acceptOptions) => this.#accept(data, signal, acceptOptions?.urgent),
        tryAccept: (data) => {
          this.accepted.push(data);
          return { status: "queued" };
        },
      },
      devices: {
        connect: async (deviceName, deviceType = "default") => {
          this.devices.set(deviceName, { deviceType, connected: true });
        },
        disconnect: async (deviceName) => {
          this.devices.delete(deviceName);
        },
        failed: (deviceName, error) => this.failures.push({ deviceName, error }),
        list: () => this.devices,
        claim: async () => undefined,
      },
      attributes: {
        request: (deviceName, keys, signal) => this.answerAttributes(deviceName, keys, signal),
      },
      gateway: {
        attributes: async () => ({ status: "stored" }),
        telemetry: async () => ({ status: "stored" }),
      },
      platform: { connected: true, onChange: () => ({ [Symbol.dispose]: () => undefined }) },
      converters: createConverters({
        connector: { id, name, type },
        log,
        rareLog: rateLimited(log, clock),
        metrics,
        ...(downlinks === undefined ? {} : { downlinks }),
        extensions: new ExtensionUses(catalogue).of({ id, type }),
        ...(uplinks === undefined ? {} : { uplinks }),
      }),
      setStatus: (status, detail) => {
        this.statuses.push({ status, detail });
      },
    };
  }

  /** What was accepted, as plain JSON whose numbers are the text that is sent: a Float 58 is `58.0`. */
  get texts(): readonly string[] {
    return this.accepted.map((data) => encodeJson(toJson(data)));
  }

  /** Waits until the connector has reported a status. */
  async status(wanted: string): Promise<void> {
    await until(`status ${wanted}`, () => this.statuses.at(-1)?.status === wanted);
  }

  /** Answers every pending `accept` and stops holding. */
  releaseAll(): void {
    this.hold = false;
    for (const one of this.pending.splice(0)) {
      one.resolve();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#dir !== undefined) {
      rmSync(this.#dir, { recursive: true, force: true });
    }
    return await Promise.resolve();
  }

  #accept(
    data: DeviceData | readonly DeviceData[],
    signal: AbortSignal,
    urgent = false,
  ): Promise<AcceptResult> {
    const records: readonly DeviceData[] = isList(data) ? data : [data];
    const error = this.failWith?.();
    if (error !== undefined) {
      return Promise.reject(error);
    }
    if (!this.hold) {
      this.accepted.push(...records);
      return Promise.resolve({ status: "stored" });
    }
    const { promise, resolve, reject } = Promise.withResolvers<AcceptResult>();
    const one: PendingAccept = {
      records,
      urgent,
      resolve: (result = { status: "stored" }) => {
        this.accepted.push(...records);
        resolve(result);
      },
      reject,
    };
    this.pending.push(one);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    return promise;
  }

  #logger(): Logger {
    const write =
      (level: LogLevel) =>
      (message: string, fields: LogFields = {}): void => {
        this.lines.push({ level, message, fields });
      };
    return {
      trace: write("trace"),
      debug: write("debug"),
      info: write("info"),
      warn: write("warn"),
      error: write("error"),
    };
  }
}

/** A record as JSON, with only the keys a reader of the record sees. */
export function toJson(data: DeviceData): Json {
  const { deviceName, deviceType, attributes, telemetry, strategy, keyStrategies } = data;
  const json: Record<string, Json> = { deviceName };
  if (deviceType !== undefined) {
    json["deviceType"] = deviceType;
  }
  if (telemetry !== undefined) {
    json["telemetry"] = telemetry.map(({ ts, values }) => ({
      ...(ts === undefined ? {} : { ts }),
      values,
    }));
  }
  if (attributes !== undefined) {
    json["attributes"] = attributes;
  }
  if (strategy !== undefined) {
    json["strategy"] = { ...strategy };
  }
  if (keyStrategies !== undefined) {
    json["keyStrategies"] = Object.fromEntries(
      Object.entries(keyStrategies).map(([key, one]) => [key, { ...one }]),
    );
  }
  return json;
}

function isList(data: DeviceData | readonly DeviceData[]): data is readonly DeviceData[] {
  return Array.isArray(data);
}

function add(counts: Map<string, number>, name: string, by: number): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}
