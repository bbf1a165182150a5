import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { GatewayProcess } from "./gateway-process.ts";

/** Writes an OPC UA connector into the configuration of a gateway: a server, and the boiler of the peers as device `B-1`. */
export async function configureOpcua(
  gateway: GatewayProcess,
  server: { readonly url: string; readonly [key: string]: unknown },
  mapping: object = PEER_MAPPING,
): Promise<void> {
  const file = join(gateway.dir, "config/tb_gateway.json");
  const main = JSON.parse(await readFile(file, "utf8"));
  main.connectors = [{ type: "opcua", name: "Plant", configuration: "opcua.json" }];
  await writeFile(file, JSON.stringify(main));
  await writeFile(
    join(gateway.dir, "config/opcua.json"),
    JSON.stringify({ server: { timeoutInMillis: 4000, ...server }, mapping: [mapping] }),
  );
}

/** What `opcua-peer.py` offers. */
const PEER_MAPPING = {
  deviceNodePattern: "Root\\.Objects\\.Boiler1",
  deviceInfo: { deviceNameExpression: "${Name}", deviceProfileExpression: "boiler" },
  attributes: [{ key: "big", value: "${Big}" }],
  timeseries: [
    { key: "n", value: "${Counter}" },
    { key: "t", value: "${Temperature}" },
  ],
  attributes_updates: [{ key: "setpoint", value: "${Temperature}" }],
  rpc_methods: [{ method: "multiply", arguments: [] }],
};
