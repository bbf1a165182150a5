import { systemClock } from "../../src/sdk/clock.ts";
import { until } from "../../test/support/until.ts";
import { DEVICES, OpcuaGateway } from "./opcua-gateway.ts";
import { Talker } from "./opcua-processes.ts";
import { type BareCounts, type Loss, lossOf } from "./opcua-rounds.ts";
import { processStats } from "./process-stats.ts";

const FOREVER = new AbortController().signal;
/** Until the run time has compiled what is used much, on either side. */
const WARM_UP_S = 30;
/** Longest time for what the server still has at the end. */
const REST_MS = 30_000;

/** One run: 10 devices with `items` each, all of which change every `periodMs`. */
export interface OpcuaRun {
  readonly items: number;
  readonly periodMs: number;
  readonly seconds: number;
}

/** What one side cost. */
interface Cost extends Loss {
  /** Changes that the server has made meanwhile. */
  readonly madePerSecond: number;
  readonly arrivedPerSecond: number;
  readonly cores: number;
  readonly microsecondsPerValue: number;
  readonly rssMb: number;
}

/** Where the simulator is, and what a run wants of it. */
interface Plant extends OpcuaRun {
  readonly simulator: Talker;
  readonly url: string;
}

/**
 * Values from the nodes to the platform's PUBACK, with the durable store between; before it a bare client of the same server, and the
 * server alone. Costs are compared by value: a period more or less in the time of one side does not matter then.
 */
export async function opcuaScale(run: OpcuaRun): Promise<object> {
  const { items, periodMs } = run;
  const numbers = [DEVICES, items, periodMs].map(String);
  await using simulator = Talker.script("opcua-simulator.ts", ...numbers);
  const url = `opc.tcp://127.0.0.1:${await simulator.says(/port (\d+)/)}`;
  const plant = { ...run, simulator, url };
  const aloneFrom = await roundOf(simulator);
  await systemClock.sleep(10_000, FOREVER);
  const alone = ((await roundOf(simulator)) - aloneFrom) * DEVICES * items;
  const bare = await bareRun(plant);
  const ours = await gatewayRun(plant);
  return {
    items: DEVICES * items,
    wantedPerSecond: (DEVICES * items * 1000) / periodMs,
    serverAlonePerSecond: Math.round(alone / 10),
    bare,
    ...ours,
    timesBare: Number((ours.microsecondsPerValue / bare.microsecondsPerValue).toFixed(2)),
  };
}

async function roundOf(simulator: Talker): Promise<number> {
  return Number(await simulator.asked("SIGUSR2", /at (\d+)/));
}

/** Measures a process while it takes in values; `count` says how many it has. */
async function measured(
  pid: number,
  { simulator, seconds, items }: Plant,
  count: () => Promise<number>,
): Promise<Omit<Cost, keyof Loss>> {
  const round = await roundOf(simulator);
  const from = { count: await count(), cpu: processStats(pid).cpuSeconds };
  const fromMs = systemClock.monotonicMs();
  await systemClock.sleep(1000 * seconds, FOREVER);
  const tookS = (systemClock.monotonicMs() - fromMs) / 1000;
  const { cpuSeconds, rssMb } = processStats(pid);
  const values = (await count()) - from.count;
  const made = ((await roundOf(simulator)) - round) * DEVICES * items;
  return {
    madePerSecond: Math.round(made / tookS),
    arrivedPerSecond: Math.round(values / tookS),
    cores: Number(((cpuSeconds - from.cpu) / tookS).toFixed(3)),
    microsecondsPerValue: Number((((cpuSeconds - from.cpu) * 1e6) / values).toFixed(2)),
    rssMb: Math.round(rssMb),
  };
}

/** `sessionToItemsMs`: until the last item was created, which is most of what a start can take. */
async function bareRun(plant: Plant): Promise<Cost & { readonly sessionToItemsMs: number }> {
  const { url, items, simulator } = plant;
  await using client = Talker.script("opcua-bare.ts", url, String(DEVICES), String(items));
  await client.says(/(ready)/);
  const sessionToItemsMs = systemClock.now() - Number(await simulator.says(/session (\d+)/));
  await systemClock.sleep(1000 * WARM_UP_S, FOREVER);
  const counts = async (): Promise<BareCounts> =>
    JSON.parse(await client.asked("SIGUSR1", /counts (.*)/));
  const cost = await measured(client.pid, plant, async () => (await counts()).count);
  const last = await counts();
  return { ...cost, ...lossOf(last, last.overflows), sessionToItemsMs };
}

async function gatewayRun(plant: Plant) {
  const { simulator, url, items } = plant;
  await using gateway = await OpcuaGateway.start({ url, items });
  const { arrived } = gateway;
  const sessionMs = Number(await simulator.says(/session (\d+)/));
  await until("all values once", () => arrived.nodes === DEVICES * items, 120_000);
  const allMs = systemClock.now();
  await systemClock.sleep(1000 * WARM_UP_S, FOREVER);
  const cost = await measured(gateway.pid, plant, () => Promise.resolve(arrived.count));
  const { peakRssMb } = processStats(gateway.pid);
  const round = Number(await simulator.asked("SIGUSR1", /round (\d+)/));
  await until("the last values", () => arrived.areAt(round), REST_MS);
  return {
    ...cost,
    ...lossOf(arrived, await gateway.overflows()),
    repeated: arrived.repeated,
    processToSessionMs: sessionMs - gateway.startedMs,
    sessionToAllMs: allMs - sessionMs,
    itemsPerSecondAtStart: Math.round((DEVICES * items * 1000) / (allMs - sessionMs)),
    peakRssMb: Math.round(peakRssMb),
  };
}
