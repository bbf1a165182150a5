import { type ModbusConfig, modbusConfig } from "../../connectors/modbus/config.ts";
import modbus from "../../connectors/modbus/connector.ts";
import type { Connector } from "../../src/sdk/connector.ts";
import type { Json, RpcRequest } from "../../src/sdk/model.ts";
import { TestHost } from "./connector-host.ts";
import { type ReadConfig, readConfig } from "./read-config.ts";
import { until } from "./until.ts";

/** Reads a connector file as the core does. @throws Error with all errors when nothing is left of it */
export function readModbusConfig(file: Json): ReadConfig<ModbusConfig> {
  return readConfig(modbusConfig, file, modbus);
}

/** A running Modbus connector with its host; disposing stops both. */
export class RunningModbus implements AsyncDisposable {
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

  static async start(file: Json, host: TestHost = new TestHost()): Promise<RunningModbus> {
    const connector = await modbus.create(readModbusConfig(file).config, host.host);
    return new RunningModbus(host, connector);
  }

  /** Starts with slaves alone. */
  static async withSlaves(slaves: readonly Json[], host?: TestHost): Promise<RunningModbus> {
    return await RunningModbus.start({ master: { slaves } }, host);
  }

  /** Asks a method of a device. */
  async rpc(
    method: string,
    params: Json,
    rest: Partial<RpcRequest> = {},
  ): Promise<Json | undefined> {
    const request = { deviceName: "Pump", id: 1, method, params, timeoutMs: 5000, ...rest };
    const signal = new AbortController().signal;
    return (await this.connector.handleRpc?.(request, signal)) ?? undefined;
  }

  /** Waits until a device has said at least `count` records. */
  async records(count: number, deviceName = "Pump"): Promise<void> {
    await until(`${count} records of ${deviceName}`, () => {
      return this.host.accepted.filter((one) => one.deviceName === deviceName).length >= count;
    });
  }

  /** Asks it to stop and waits until it has. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error("stop"));
    await this.ended;
    await this.connector[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.host[Symbol.asyncDispose]();
  }
}
