import { type OpcuaConfig, opcuaConfig } from "../../connectors/opcua/config.ts";
import opcua from "../../connectors/opcua/connector.ts";
import type { Connector } from "../../src/sdk/connector.ts";
import type { DeviceData, Json, RpcRequest } from "../../src/sdk/model.ts";
import { TestHost } from "./connector-host.ts";
import { type ReadConfig, readConfig } from "./read-config.ts";
import { until } from "./until.ts";

/** Reads a connector file as the core does. @throws Error with all errors when nothing is left of it */
export function readOpcuaConfig(file: Json): ReadConfig<OpcuaConfig> {
  return readConfig(opcuaConfig, file, opcua);
}

/** A running OPC UA connector with its host; disposing stops both. */
export class RunningOpcua implements AsyncDisposable {
  readonly host: TestHost;
  readonly connector: Connector;
  /** Settles when `run` ends; its rejection is not an error of the test. */
  readonly ended: Promise<unknown>;
  readonly #stop = new AbortController();

  private constructor(host: TestHost, connector: Connector) {
    this.host = host;
    this.connector = connector;
    this.ended = connector.run(this.#stop.signal).catch((error: unknown) => error);
  }

  static async start(file: Json, host: TestHost = new TestHost()): Promise<RunningOpcua> {
    const connector = await opcua.create(readOpcuaConfig(file).config, host.host);
    return new RunningOpcua(host, connector);
  }

  /** Asks a method of a device. */
  async rpc(
    deviceName: string,
    method: string,
    params: Json,
    rest: Partial<RpcRequest> = {},
  ): Promise<Json | undefined> {
    const request = { deviceName, id: 1, method, params, timeoutMs: 5000, ...rest };
    const signal = new AbortController().signal;
    return (await this.connector.handleRpc?.(request, signal)) ?? undefined;
  }

  /** The newest value of a key of a device. */
  latest(deviceName: string, key: string): Json | undefined {
    return latestOf(
      this.host.accepted.filter((data) => data.deviceName === deviceName),
      key,
    );
  }

  /** Waits until a device has said a key. */
  async said(deviceName: string, key: string): Promise<Json> {
    await until(`${deviceName} says ${key}`, () => this.latest(deviceName, key) !== undefined);
    return this.latest(deviceName, key) ?? null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("stop"));
    await this.ended;
    await this.connector[Symbol.asyncDispose]();
    await this.host[Symbol.asyncDispose]();
  }
}

function latestOf(records: readonly DeviceData[], key: string): Json | undefined {
  for (const { attributes, telemetry } of records.toReversed()) {
    const entry = telemetry?.findLast(({ values }) => Object.hasOwn(values, key));
    const value = entry?.values[key] ?? attributes?.[key];
    if (value !== undefined) {
      return value;
    }
  }
  return undefined;
}
