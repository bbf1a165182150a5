// The built program between an asyncua server and the platform: values up, calls and shared attributes down, over the hardest channel.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { freePort } from "../support/ports.ts";
import { ReadyProcess } from "../support/ready-process.ts";

/** Writes an OPC UA connector for a server on `port` into the gateway's configuration. */
async function configure(gateway: GatewayProcess, port: number, settings: object): Promise<void> {
  const file = join(gateway.dir, "config/tb_gateway.json");
  const main = JSON.parse(await readFile(file, "utf8"));
  main.connectors = [{ type: "opcua", name: "Plant", configuration: "opcua.json" }];
  await writeFile(file, JSON.stringify(main));
  const mapping = {
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
  const url = `opc.tcp://127.0.0.1:${port}/plant`;
  const server = { url, timeoutInMillis: 4000, ...settings };
  await writeFile(
    join(gateway.dir, "config/opcua.json"),
    JSON.stringify({ server, mapping: [mapping] }),
  );
}

test.each<[string, object]>([
  ["Basic256Sha256", { security: "Basic256Sha256", securityMode: "SignAndEncrypt" }],
  ["Basic128Rsa15", { security: "Basic128Rsa15", securityMode: "SignAndEncrypt" }],
])(
  "an OPC UA device over %s goes through the built gateway, and comes back after its server",
  async (_name, security) => {
    const port = await freePort();
    const dir = mkdtempSync(join(tmpdir(), "tbgw-peer-"));
    const peer = await ReadyProcess.python("opcua-peer.py", String(port), dir);
    await using platform = await ThingsBoardDouble.listen({ clock: systemClock });
    platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
    await using gateway = await GatewayProcess.create({
      platformPort: platform.port,
      brokerPort: 1,
    });
    const identity = { type: "basic", username: "ann", password: "p@ss" };
    await configure(gateway, port, { ...security, identity });
    // Nothing may be written beside the data directory.
    gateway.start([], { env: { HOME: "/proc" } });
    await platform.until(() => platform.latest("B-1", "t")?.text === "81.5", 20_000);
    await platform.until(() => platform.getClient("B-1")["big"] !== undefined, 20_000);
    expect(JSON.parse(await platform.rpc("B-1", "multiply", [7, 8]))).toEqual({
      result: { result: 56 },
    });
    expect(JSON.parse(await platform.rpc("B-1", "set", "Temperature; 90.25"))).toEqual({
      result: { value: 90.25 },
    });
    platform.setShared("B-1", { setpoint: 42 });
    await platform.until(() => platform.latest("B-1", "t")?.text === "42.0", 20_000);
    expect(
      JSON.parse(await platform.rpc("gateway", "opcua_multiply", { arguments: [2, 3] })),
    ).toEqual([{ result: 6, device_name: "B-1" }]);
    await peer[Symbol.asyncDispose]();
    await platform.until(() => gateway.output.includes("Link is down"), 20_000);
    await using _again = await ReadyProcess.python("opcua-peer.py", String(port), dir);
    // The shared attribute stays on the platform; the new server begins anew.
    await platform.until(() => platform.latest("B-1", "t")?.text === "81.5", 25_000);
    expect(await gateway.stop()).toBe(0);
    expect((await readdir(gateway.dir)).toSorted()).toEqual(["config", "data"]);
    rmSync(dir, { recursive: true, force: true });
  },
  90_000,
);
