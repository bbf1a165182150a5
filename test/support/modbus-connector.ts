import { type ModbusConfig, modbusConfig } from "../../connectors/modbus/config.ts";
import modbus from "../../connectors/modbus/connector.ts";
import type { Json } from "../../src/sdk/model.ts";
import { TestHost } from "./connector-host.ts";
import { type ReadConfig, readConfig } from "./read-config.ts";
import { RunningConnector } from "./running-connector.ts";
import { until } from "./until.ts";

/** Reads a connector file as the core does. @throws Error with all errors when nothing is left of it */
export function readModbusConfig(file: Json): ReadConfig<ModbusConfig> {
  return readConfig(modbusConfig, file, modbus);
}

/** A running Modbus connector with its host; disposing stops both. */
export class RunningModbus extends RunningConnector {
  static async start(file: Json, host: TestHost = new TestHost()): Promise<RunningModbus> {
    return new RunningModbus(await modbus.create(readModbusConfig(file).config, host.host), host);
  }

  /** Starts with slaves alone. */
  static async withSlaves(slaves: readonly Json[], host?: TestHost): Promise<RunningModbus> {
    return await RunningModbus.start({ master: { slaves } }, host);
  }

  /** Waits until a device has said at least `count` records. */
  async records(count: number, deviceName = "Pump"): Promise<void> {
    await until(`${count} records of ${deviceName}`, () => {
      return this.host.accepted.filter((one) => one.deviceName === deviceName).length >= count;
    });
  }
}
