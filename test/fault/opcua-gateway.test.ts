// The built gateway and an OPC UA server that is killed, cut off and frozen, closes sessions, says nothing, loses a node and comes back as another one: data flows
// soon after, each node is watched once, and the memory stays what it was. `TBGW_FAULT=full`: 20 kills, 30 s cut off, a minute frozen, the watchdog, and strict times.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { processStats } from "../../scripts/bench/process-stats.ts";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { configureConnectors, configureOpcua } from "../support/opcua-gateway.ts";
import { PlantServer } from "../support/opcua-server.ts";
import { freePort } from "../support/ports.ts";
import { ReadyProcess } from "../support/ready-process.ts";
import { TcpRelay } from "../support/tcp-relay.ts";
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

/** How long data may take after an outage of this length. */
function boundMs(outageMs: number): number {
  return isFull && outageMs <= SHORT_OUTAGE_MS ? SOON_MS : LATE_MS;
}

/** Waits until the server says that each node is watched once; what it said before `sinceMs` does not count. */
async function watchedOnce(platform: ThingsBoardDouble, sinceMs: number): Promise<void> {
  await until("each node is watched once", () => {
    const said = platform.latest("B-1", "watched");
    return said?.text === '"1/4"' && said.ts >= sinceMs;
  });
}

test("a server that is killed again and again, cut off, and frozen", async () => {
  const dir = mkdtempSync(join(tmpdir(), "tbgw-peer-"));
  const port = await freePort();
  const command = ["opcua-peer.py", String(port), dir] as const;
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(dir, { recursive: true, force: true }));
  let peer = await ReadyProcess.python(...command);
  stack.defer(() => peer[Symbol.asyncDispose]());
  await using relay = await TcpRelay.open(port);
  const made = await prepare();
  await using platform = made.platform;
  await using gateway = made.gateway;
  await configureOpcua(gateway, { url: `opc.tcp://127.0.0.1:${relay.port}/plant` });
  // The device is never told to be away.
  const goodbyes: string[] = [];
  using _listening = platform.onPublish(({ topic }) => {
    if (topic === "v1/gateway/disconnect") {
      goodbyes.push(topic);
    }
  });
  gateway.start();
  await platform.until(() => platform.latest("B-1", "n") !== undefined, 30_000);
  const outagesMs: number[] = [];
  const recoveriesMs: number[] = [];
  const rssMb: number[] = [];
  for (let round = 0; round < shortOrFull(1, 20); round += 1) {
    const startMs = systemClock.monotonicMs();
    const startTs = systemClock.now();
    await peer[Symbol.asyncDispose]();
    peer = await ReadyProcess.python(...command);
    outagesMs.push(Math.round(systemClock.monotonicMs() - startMs));
    recoveriesMs.push(await nextValue(platform, "n"));
    await watchedOnce(platform, startTs);
    rssMb.push(processStats(gateway.pid).rssMb);
  }
  const long = isFull ? await longOutages({ platform, peer, relay }) : undefined;
  console.log(JSON.stringify({ outagesMs, recoveriesMs, rssMb: rssMb.map(Math.round), ...long }));
  for (const [index, recoveryMs] of recoveriesMs.entries()) {
    expect(recoveryMs).toBeLessThan(boundMs(outagesMs[index] ?? 0));
  }
  if (long !== undefined) {
    expect(Math.max(long.frozenMs, long.cutMs)).toBeLessThan(LATE_MS);
    const quarter = rssMb.length / 4;
    const flat = median(rssMb.slice(quarter, 2 * quarter));
    expect(median(rssMb.slice(3 * quarter))).toBeLessThanOrEqual(flat + FLAT_MB);
  }
  expect(goodbyes).toEqual([]);
  expect(await gateway.stop()).toBe(0);
}, 900_000);

/** A minute without the server's process, and half a minute without the way to it: how long until data flows after each. */
async function longOutages({
  platform,
  peer,
  relay,
}: {
  readonly platform: ThingsBoardDouble;
  readonly peer: ReadyProcess;
  readonly relay: TcpRelay;
}): Promise<{ readonly frozenMs: number; readonly cutMs: number }> {
  const pass = (durationMs: number): Promise<void> => {
    const endMs = systemClock.monotonicMs() + durationMs;
    const isOver = (): boolean => systemClock.monotonicMs() >= endMs;
    return until("the outage is over", isOver, 2 * durationMs);
  };
  peer.pause(true);
  await pass(60_000);
  peer.pause(false);
  const frozenMs = await nextValue(platform, "n");
  await watchedOnce(platform, 0);
  relay.cut(true);
  await pass(25_000);
  expect(JSON.parse(await platform.rpc("B-1", "set", "Temperature; 5"))).toEqual({
    result: { error: "OPC UA server is not connected" },
  });
  await pass(5000);
  relay.cut(false);
  const cutMs = await nextValue(platform, "n");
  await watchedOnce(platform, 0);
  // What was refused is not done later.
  expect(platform.latest("B-1", "t")?.text).toBe("81.5");
  return { frozenMs, cutMs };
}

/** Nodes of the plant that are watched; the server takes ten of them with one call. */
const COUNT = 24;

test("a server of ten items a call closes sessions, loses a node, ends and comes back with other namespaces", async () => {
  const port = await freePort();
  const most = 10;
  const operationLimits = {
    maxNodesPerRead: most,
    maxNodesPerBrowse: most,
    maxMonitoredItemsPerCall: most,
    maxNodesPerTranslateBrowsePathsToNodeIds: most,
  };
  const options = {
    port,
    serverCapabilities: { operationLimits },
    allowAnonymousSubscriptionTransferOnUnsecuredChannel: true,
  };
  const first = await PlantServer.start(options);
  first.addNumbers(COUNT);
  const made = await prepare();
  await using platform = made.platform;
  await using gateway = made.gateway;
  const mapping = {
    deviceNodePattern: "Root\\.Objects\\.Boiler1",
    deviceInfo: { deviceNameExpression: "B-1" },
    timeseries: [
      { key: "zone", value: "nsu=urn:plant;i=16" },
      ...Array.from({ length: COUNT }, (_, index) => ({
        key: `n${index}`,
        value: `\${n${index}}`,
      })),
    ],
  };
  const quiet = {
    deviceNodePattern: "Root\\.Objects\\.Boiler2",
    deviceInfo: { deviceNameExpression: "B-2" },
    timeseries: [{ key: "model", value: "${Info\\.Model}" }],
  };
  const server = { url: first.url, timeoutInMillis: 4000, scanPeriodInMillis: 1000 };
  await configureConnectors(gateway, {
    Plant: { server, mapping: [mapping] },
    Quiet: { server: { ...server, subKeepAlivePeriodInSeconds: 1 }, mapping: [quiet] },
  });
  const all = { subscriptions: 2, items: COUNT + 2 };
  const watchedAll = (plant: PlantServer): Promise<void> =>
    until("each node is watched once", () => Bun.deepEquals(plant.watched, all));
  const figures: Record<string, number> = {};
  const outputHas = (text: string): Promise<void> =>
    until(text, () => gateway.output.includes(text), 30_000);
  gateway.start();
  await platform.until(() => platform.latest("B-1", `n${COUNT - 1}`) !== undefined, 30_000);
  await watchedAll(first);

  // Nothing of the second boiler changes.
  await outputHas("A subscription is built anew");
  await watchedAll(first);

  first.closeSessions({ keepSubscriptions: false });
  figures["closedMs"] = await nextValue(platform, "zone");
  await watchedAll(first);

  // The next session takes over what the last one watched.
  first.closeSessions({ keepSubscriptions: true });
  await outputHas("The subscriptions go on").catch((e) => {
    console.log(gateway.output);
    throw e;
  });
  const changed = nextValue(platform, "zone");
  first.setNumber("i=16", 8);
  figures["transferredMs"] = await changed;
  await watchedAll(first);

  const gone = first.deleteNumber(0);
  await outputHas("A point has no node");
  await until("the node is watched no more", () => first.watched.items === all.items - 1);
  gone.addAgain();
  figures["deletedMs"] = await nextValue(platform, "n0");
  await watchedAll(first);

  if (isFull) {
    first.silence();
    const silent = nextValue(platform, "zone");
    first.setNumber("i=16", 9);
    figures["silentMs"] = await silent;
    await watchedAll(first);
  }

  await first[Symbol.asyncDispose]();
  await using second = await PlantServer.start({ ...options, before: "urn:new" });
  second.addNumbers(COUNT);
  figures["movedMs"] = await nextValue(platform, "zone");
  await watchedAll(second);
  console.log(JSON.stringify(figures));
  for (const [name, recoveryMs] of Object.entries(figures)) {
    expect(recoveryMs).toBeLessThan(name === "silentMs" ? LATE_MS : boundMs(0));
  }
  expect(await gateway.stop()).toBe(0);
  expect(second.watched).toEqual({ subscriptions: 0, items: 0 });
}, 180_000);
