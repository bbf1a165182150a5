// The built program between an asyncua server and the platform: values up, calls and shared attributes down, over the hardest channel.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { configureOpcua } from "../support/opcua-gateway.ts";
import { freePort } from "../support/ports.ts";
import { ReadyProcess } from "../support/ready-process.ts";

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
    const url = `opc.tcp://127.0.0.1:${port}/plant`;
    await configureOpcua(gateway, { url, ...security, identity });
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
