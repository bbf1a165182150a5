import { type BleConfig, bleConfig } from "../../connectors/ble/config.ts";
import ble from "../../connectors/ble/connector.ts";
import type { Json } from "../../src/sdk/model.ts";
import { TestHost } from "./connector-host.ts";
import { type ReadConfig, readConfig } from "./read-config.ts";
import { RunningConnector } from "./running-connector.ts";

/** Reads a connector file as the core does. @throws Error with all errors when nothing is left of it */
export function readBleConfig(file: Json): ReadConfig<BleConfig> {
  return readConfig(bleConfig, file, ble);
}

/** A running BLE connector with its host; disposing stops both. */
export class RunningBle extends RunningConnector {
  static async start(file: Json, host: TestHost = new TestHost()): Promise<RunningBle> {
    return new RunningBle(await ble.create(readBleConfig(file).config, host.host), host);
  }

  /** Asks a method of a device; gives the text of the error when it fails. */
  override async rpc(
    deviceName: string,
    method: string,
    params: Json = null,
  ): Promise<Json | undefined> {
    try {
      return await super.rpc(deviceName, method, params, { timeoutMs: 10_000 });
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
}
