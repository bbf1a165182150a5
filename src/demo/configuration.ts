import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DEMO_MAPPINGS } from "./devices.ts";
import { demoSlave } from "./modbus-device.ts";
import { demoOpcua } from "./opcua/press.ts";

/** Access token of the gateway at the demo's platform. */
export const DEMO_TOKEN = "DEMO_GATEWAY_TOKEN";

/** Where everything is: ports of 127.0.0.1, and the address of the OPC UA server when it is there. */
export interface DemoAddresses {
  readonly platform: number;
  readonly broker: number;
  readonly modbus: number;
  readonly opcua?: string | undefined;
}

/** Writes the files of the demo's gateway into a folder, as a person would write them. A gateway that runs takes what has changed. */
export async function writeConfiguration(config: string, at: DemoAddresses): Promise<void> {
  await mkdir(config, { mode: 0o700, recursive: true });
  const files = {
    "mqtt.json": mqttFile(at.broker),
    "modbus.json": { master: { slaves: [demoSlave(at.modbus)] } },
    ...(at.opcua === undefined ? {} : { "opcua.json": demoOpcua(at.opcua) }),
    // The one that names the others comes last.
    "tb_gateway.json": gatewayFile(at),
  };
  for (const [name, content] of Object.entries(files)) {
    const file = join(config, name);
    await writeFile(`${file}.new`, JSON.stringify(content, null, 2));
    await rename(`${file}.new`, file);
  }
}

function gatewayFile(at: DemoAddresses): object {
  return {
    thingsboard: {
      host: "127.0.0.1",
      port: at.platform,
      security: { type: "accessToken", accessToken: DEMO_TOKEN },
      // The ledger that is shown counts values of the devices alone.
      statistics: { enable: false },
    },
    storage: { type: "sqlite" },
    connectors: [
      { type: "mqtt", name: "Plant broker", configuration: "mqtt.json" },
      { type: "modbus", name: "Compressors", configuration: "modbus.json" },
      ...(at.opcua === undefined
        ? []
        : [{ type: "opcua", name: "Presses", configuration: "opcua.json" }]),
    ],
    tbgw: { web: { enabled: false } },
  };
}

function mqttFile(port: number): object {
  return {
    broker: {
      host: "127.0.0.1",
      port,
      version: 4,
      clientId: "tbgw-demo",
      cleanSession: false,
      security: { type: "anonymous" },
    },
    mapping: DEMO_MAPPINGS,
  };
}
