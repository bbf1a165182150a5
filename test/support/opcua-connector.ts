import { type OpcuaConfig, opcuaConfig } from "../../connectors/opcua/config.ts";
import opcua from "../../connectors/opcua/connector.ts";
import type { DeviceData, Json } from "../../src/sdk/model.ts";
import { TestHost } from "./connector-host.ts";
import { type ReadConfig, readConfig } from "./read-config.ts";
import { RunningConnector } from "./running-connector.ts";
import { until } from "./until.ts";

/** Reads a connector file as the core does. @throws Error with all errors when nothing is left of it */
export function readOpcuaConfig(file: Json): ReadConfig<OpcuaConfig> {
  return readConfig(opcuaConfig, file, opcua);
}

/** A running OPC UA connector with its host; disposing stops both. */
export class RunningOpcua extends RunningConnector {
  static async start(file: Json, host: TestHost = new TestHost()): Promise<RunningOpcua> {
    return new RunningOpcua(await opcua.create(readOpcuaConfig(file).config, host.host), host);
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
