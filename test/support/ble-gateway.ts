import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { BINARY, GatewayProcess, type Launch } from "./gateway-process.ts";

/** The program with connectors of type ble, one a file, and nothing else. */
export async function startBleGateway(
  platform: ThingsBoardDouble,
  files: readonly object[],
  launch?: Launch,
): Promise<GatewayProcess> {
  const gateway = await GatewayProcess.create({ platformPort: platform.port, brokerPort: 1 });
  const main = join(gateway.dir, "config/tb_gateway.json");
  const file = await Bun.file(main).json();
  file.connectors = files.map((one, index) => ({
    type: "ble",
    name: "name" in one ? one.name : `BLE ${index}`,
    configuration: `ble${index}.json`,
  }));
  await writeFile(main, JSON.stringify(file));
  for (const [index, one] of files.entries()) {
    await writeFile(join(gateway.dir, `config/ble${index}.json`), JSON.stringify(one));
  }
  gateway.start([], launch);
  return gateway;
}

/** A platform that lets in the gateway of `startBleGateway`. */
export async function startBlePlatform(): Promise<ThingsBoardDouble> {
  const platform = await ThingsBoardDouble.listen({ clock: systemClock });
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  return platform;
}

/** What `tbgw status` prints about it. */
export async function showStatus(
  gateway: GatewayProcess,
  ...args: readonly string[]
): Promise<string> {
  const data = join(gateway.dir, "data");
  const child = Bun.spawn([BINARY, "status", "--data", data, ...args], { stdout: "pipe" });
  return await new Response(child.stdout).text();
}
