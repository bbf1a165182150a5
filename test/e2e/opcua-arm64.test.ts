// OPC UA inside the ARM64 program, executed under user-mode emulation, against two independent servers.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { configureOpcua } from "../support/opcua-gateway.ts";
import { PlantServer } from "../support/opcua-server.ts";
import { freePort } from "../support/ports.ts";
import { ReadyProcess } from "../support/ready-process.ts";

const LAUNCH = {
  prefix: ["/usr/bin/qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"],
  binary: resolve(import.meta.dir, "../../dist/tbgw-linux-arm64"),
};
/** Emulation is slow: ten times as long as on this machine. */
const WAIT_MS = 150_000;
const TIMEOUT_MS = 400_000;
const TIMEOUT = { timeoutInMillis: 40_000 };

/** The gateway of a test, before it starts, and its platform. */
async function prepare(): Promise<{ platform: ThingsBoardDouble; gateway: GatewayProcess }> {
  const platform = await ThingsBoardDouble.listen({ clock: systemClock });
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  const gateway = await GatewayProcess.create({ platformPort: platform.port, brokerPort: 1 });
  return { platform, gateway };
}

test(
  "the arm64 program with asyncua, signed and encrypted",
  async () => {
    const port = await freePort();
    const dir = mkdtempSync(join(tmpdir(), "tbgw-peer-"));
    await using _peer = await ReadyProcess.python("opcua-peer.py", String(port), dir);
    const made = await prepare();
    await using platform = made.platform;
    await using gateway = made.gateway;
    await configureOpcua(gateway, {
      url: `opc.tcp://127.0.0.1:${port}/plant`,
      security: "Basic256Sha256",
      securityMode: "SignAndEncrypt",
      identity: { type: "basic", username: "ann", password: "p@ss" },
      ...TIMEOUT,
    });
    gateway.start([], LAUNCH);
    await platform.until(() => platform.latest("B-1", "t")?.text === "81.5", WAIT_MS);
    const before = Number(platform.latest("B-1", "n")?.text);
    await platform.until(() => Number(platform.latest("B-1", "n")?.text) > before, WAIT_MS);
    platform.setShared("B-1", { setpoint: 42 });
    await platform.until(() => platform.latest("B-1", "t")?.text === "42.0", WAIT_MS);
    rmSync(dir, { recursive: true, force: true });
  },
  TIMEOUT_MS,
);

test(
  "the arm64 program with node-opcua-server",
  async () => {
    await using server = await PlantServer.start();
    const made = await prepare();
    await using platform = made.platform;
    await using gateway = made.gateway;
    await configureOpcua(
      gateway,
      { url: server.url, ...TIMEOUT },
      {
        deviceNodePattern: "Root\\.Objects\\.Boiler\\d+",
        deviceInfo: { deviceNameExpression: "Boiler ${SerialNumber}" },
        timeseries: [{ key: "t", value: "${2:Temperature}" }],
      },
    );
    gateway.start([], LAUNCH);
    await platform.until(() => platform.latest("Boiler SN-001", "t") !== undefined, WAIT_MS);
    await platform.until(() => platform.latest("Boiler SN-002", "t") !== undefined, WAIT_MS);
    expect(platform.latest("Boiler SN-001", "t")?.text).toBe("81.5");
    expect(platform.latest("Boiler SN-002", "t")?.text).toBe("64.0");
  },
  TIMEOUT_MS,
);
