import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { GatewayProcess } from "./gateway-process.ts";

/** Writes an OPC UA connector into the configuration of a gateway: a server, and the boiler of the peers as device `B-1`. */
export async function configureOpcua(
  gateway: GatewayProcess,
  server: { readonly url: string; readonly [key: string]: unknown },
  mapping: object = PEER_MAPPING,
): Promise<void> {
  await configureConnectors(gateway, {
    Plant: { server: { timeoutInMillis: 4000, ...server }, mapping: [mapping] },
  });
}

/** Writes OPC UA connectors into the configuration of a gateway: their files by their names. */
export async function configureConnectors(
  gateway: GatewayProcess,
  files: Readonly<Record<string, object>>,
): Promise<void> {
  const path = join(gateway.dir, "config/tb_gateway.json");
  const main = JSON.parse(await readFile(path, "utf8"));
  const entries = Object.entries(files).map(([name, file], index) => ({
    name,
    file,
    configuration: `opcua-${index}.json`,
  }));
  main.connectors = entries.map(({ name, configuration }) => ({
    type: "opcua",
    name,
    configuration,
  }));
  await writeFile(path, JSON.stringify(main));
  for (const { file, configuration } of entries) {
    await writeFile(join(gateway.dir, "config", configuration), JSON.stringify(file));
  }
}

/** What `opcua-peer.py` offers. */
const PEER_MAPPING = {
  deviceNodePattern: "Root\\.Objects\\.Boiler1",
  deviceInfo: { deviceNameExpression: "${Name}", deviceProfileExpression: "boiler" },
  attributes: [{ key: "big", value: "${Big}" }],
  timeseries: [
    { key: "n", value: "${Counter}" },
    { key: "t", value: "${Temperature}" },
    { key: "watched", value: "${Watched}" },
  ],
  attributes_updates: [{ key: "setpoint", value: "${Temperature}" }],
  rpc_methods: [{ method: "multiply", arguments: [] }],
};
