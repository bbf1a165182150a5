// The built gateway and an OPC UA server that is killed, frozen, closes sessions and comes back as another one: data flows soon
// after, and the memory stays what it was. `TBGW_FAULT=full`: 20 kills, a minute frozen.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodeId } from "node-opcua-client";
import { processStats } from "../../scripts/bench/process-stats.ts";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { configureOpcua } from "../support/opcua-gateway.ts";
import { PlantServer } from "../support/opcua-server.ts";
import { freePort } from "../support/ports.ts";
import { ReadyProcess } from "../support/ready-process.ts";
import { until } from "../support/until.ts";
import { isFull, shortOrFull } from "./harness.ts";

/** Data flows again after an outage of up to 7 s, and after a longer one or on a machine that is busy. */
const SHORT_OUTAGE_MS = 7000;
const SOON_MS = 10_000;
const LATE_MS = 25_000;
/** Memory that may come and go. */
const FLAT_MB = 5;

async function prepare(): Promise<{ platform: ThingsBoardDouble; gateway: GatewayProcess }> {
  const platform = await ThingsBoardDouble.listen({ clock: systemClock });
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  const gateway = await GatewayProcess.create({ platformPort: platform.port, brokerPort: 1 });
  return { platform, gateway };
}

/** Milliseconds until a value of the device arrives that is another one. */
async function nextValue(platform: ThingsBoardDouble, key: string): Promise<number> {
  const startMs = systemClock.monotonicMs();
  const before = platform.latest("B-1", key);
  const isNew = (): boolean => {
    const now = platform.latest("B-1", key);
    return now !== undefined && (now.text !== before?.text || now.ts !== before?.ts);
  };
  await until("data again", isNew, 60_000);
  return Math.round(systemClock.monotonicMs() - startMs);
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}

test("a server that is killed again and again, and frozen", async () => {
  const dir = mkdtempSync(join(tmpdir(), "tbgw-peer-"));
  const port = await freePort();
  const command = ["opcua-peer.py", String(port), dir] as const;
  let peer = await ReadyProcess.python(...command);
  const made = await prepare();
  await using platform = made.platform;
  await using gateway = made.gateway;
  await configureOpcua(gateway, { url: `opc.tcp://127.0.0.1:${port}/plant` });
  gateway.start();
  await platform.until(() => platform.latest("B-1", "n") !== undefined, 30_000);
  const recoveriesMs: number[] = [];
  const rssMb: number[] = [];
  const outagesMs: number[] = [];
  for (let round = 0; round < shortOrFull(1, 20); round += 1) {
    const startMs = systemClock.monotonicMs();
    await peer[Symbol.asyncDispose]();
    peer = await ReadyProcess.python(...command);
    outagesMs.push(Math.round(systemClock.monotonicMs() - startMs));
    recoveriesMs.push(await nextValue(platform, "n"));
    rssMb.push(processStats(gateway.pid).rssMb);
  }
  let frozenMs: number | undefined;
  if (isFull) {
    peer.pause(true);
    const startMs = systemClock.monotonicMs();
    await until("a minute", () => systemClock.monotonicMs() - startMs >= 60_000, 90_000);
    peer.pause(false);
    frozenMs = await nextValue(platform, "n");
  }
  console.log(JSON.stringify({ outagesMs, recoveriesMs, frozenMs, rssMb: rssMb.map(Math.round) }));
  for (const [index, recoveryMs] of recoveriesMs.entries()) {
    const isShort = isFull && (outagesMs[index] ?? 0) <= SHORT_OUTAGE_MS;
    expect(recoveryMs).toBeLessThan(isShort ? SOON_MS : LATE_MS);
  }
  if (frozenMs !== undefined) {
    expect(frozenMs).toBeLessThan(LATE_MS);
    const quarter = rssMb.length / 4;
    const flat = median(rssMb.slice(quarter, 2 * quarter));
    expect(median(rssMb.slice(3 * quarter))).toBeLessThanOrEqual(flat + FLAT_MB);
  }
  expect(await gateway.stop()).toBe(0);
  await peer[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
}, 900_000);

test("a server of ten items a call closes the session and comes back with other namespaces", async () => {
  const port = await freePort();
  const most = 10;
  const operationLimits = {
    maxNodesPerRead: most,
    maxNodesPerBrowse: most,
    maxMonitoredItemsPerCall: most,
    maxNodesPerTranslateBrowsePathsToNodeIds: most,
  };
  const options = { port, serverCapabilities: { operationLimits } };
  const first = await PlantServer.start(options);
  const sessions: NodeId[] = [];
  first.server.on("create_session", ({ authenticationToken }) =>
    sessions.push(authenticationToken),
  );
  const made = await prepare();
  await using platform = made.platform;
  await using gateway = made.gateway;
  const keys = Array.from({ length: 15 }, (_, index) => `t${index}`);
  await configureOpcua(
    gateway,
    { url: first.url },
    {
      deviceNodePattern: "Root\\.Objects\\.Boiler1",
      deviceInfo: { deviceNameExpression: "B-1" },
      timeseries: [
        ...keys.map((key) => ({ key, value: "${2:Temperature}" })),
        { key: "zone", value: "nsu=urn:plant;i=16" },
        { key: "running", value: "${Running}" },
        { key: "level", value: "${Info\\.Level [%]}" },
      ],
    },
  );
  gateway.start();
  await platform.until(() => platform.latest("B-1", "level") !== undefined, 30_000);
  for (const session of sessions) {
    first.server.engine.closeSession(session, true, "Terminated");
  }
  const closedMs = await nextValue(platform, "zone");
  expect(closedMs).toBeLessThan(isFull ? SOON_MS : LATE_MS);
  await until("its items, each once", () => {
    const { engine } = first.server;
    return engine.currentSessionCount === 1 && engine.currentSubscriptionCount === 1;
  });
  await first[Symbol.asyncDispose]();
  await using second = await PlantServer.start({ ...options, before: "urn:new" });
  const movedMs = await nextValue(platform, "zone");
  expect(movedMs).toBeLessThan(isFull ? SOON_MS : LATE_MS);
  expect(second.server.engine.currentSubscriptionCount).toBe(1);
  console.log(JSON.stringify({ closedMs, movedMs }));
  expect(await gateway.stop()).toBe(0);
}, 180_000);
