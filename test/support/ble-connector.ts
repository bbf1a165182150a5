import { type BleConfig, bleConfig } from "../../connectors/ble/config.ts";
import ble from "../../connectors/ble/connector.ts";
import type { Connector } from "../../src/sdk/connector.ts";
import type { Json } from "../../src/sdk/model.ts";
import { TestHost } from "./connector-host.ts";
import { type ReadConfig, readConfig } from "./read-config.ts";

/** Reads a connector file as the core does. @throws Error with all errors when nothing is left of it */
export function readBleConfig(file: Json): ReadConfig<BleConfig> {
  return readConfig(bleConfig, file, ble);
}

/** A running BLE connector with its host; disposing stops both. */
export class RunningBle implements AsyncDisposable {
  readonly host: TestHost;
  readonly connector: Connector;
  readonly #ended: Promise<unknown>;
  readonly #stop = new AbortController();

  private constructor(host: TestHost, connector: Connector) {
    this.host = host;
    this.connector = connector;
    this.#ended = connector.run(this.#stop.signal).catch((error: unknown) => error);
  }

  static async start(file: Json, host: TestHost = new TestHost()): Promise<RunningBle> {
    const { config } = readBleConfig(file);
    return new RunningBle(host, await ble.create(config, host.host));
  }

  /** Asks a method of a device; gives the text of the error when it fails. */
  async rpc(deviceName: string, method: string, params: Json = null): Promise<Json | undefined> {
    const request = { deviceName, id: 1, method, params, timeoutMs: 10_000 };
    try {
      return (await this.connector.handleRpc?.(request, new AbortController().signal)) ?? undefined;
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) };
    }
  }

  /** Values of a key of a device, in order of arrival. */
  values(deviceName: string, key: string): readonly Json[] {
    return this.host.accepted
      .filter((record) => record.deviceName === deviceName)
      .flatMap(({ telemetry = [], attributes = {} }) => [
        ...telemetry.flatMap(({ values }) => (key in values ? [values[key] ?? null] : [])),
        ...(key in attributes ? [attributes[key] ?? null] : []),
      ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("stop"));
    await this.#ended;
    await this.connector[Symbol.asyncDispose]();
    await this.host[Symbol.asyncDispose]();
  }
}
