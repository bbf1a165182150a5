import { systemClock } from "../../src/sdk/clock.ts";
import { until } from "../../test/support/until.ts";
import { DEVICES, OpcuaGateway } from "./opcua-gateway.ts";
import { Talker } from "./opcua-processes.ts";
import { lossOf } from "./opcua-rounds.ts";
import { processStats } from "./process-stats.ts";

const FOREVER = new AbortController().signal;
/** Nodes of a device, which change once a second. */
const ITEMS = 1000;
const SAMPLE_MS = 2000;
/** What the memory may grow from the second quarter to the last one. */
const FLAT_MB = 5;

/** A gateway with 10,000 changes a second for so long: does its memory stay what it is, and does everything arrive? */
export async function opcuaSoak(minutes: number): Promise<object> {
  const numbers = [DEVICES, ITEMS, 1000].map(String);
  await using simulator = Talker.script("opcua-simulator.ts", ...numbers);
  const url = `opc.tcp://127.0.0.1:${await simulator.says(/port (\d+)/)}`;
  await using gateway = await OpcuaGateway.start({ url, items: ITEMS });
  const { arrived } = gateway;
  await until("all values once", () => arrived.nodes === DEVICES * ITEMS, 60_000);
  const samples: number[] = [];
  const endMs = systemClock.monotonicMs() + minutes * 60_000;
  while (systemClock.monotonicMs() < endMs) {
    await systemClock.sleep(SAMPLE_MS, FOREVER);
    samples.push(processStats(gateway.pid).rssMb);
  }
  const { cpuSeconds, peakRssMb } = processStats(gateway.pid);
  const round = Number(await simulator.asked("SIGUSR1", /round (\d+)/));
  await until("the last values", () => arrived.areAt(round), 30_000);
  const quarters = [0, 1, 2, 3].map((quarter) => medianOf(samples, quarter));
  const grownMb = (quarters[3] ?? 0) - (quarters[1] ?? 0);
  return {
    minutes,
    values: arrived.count,
    ...lossOf(arrived, await gateway.overflows()),
    repeated: arrived.repeated,
    cores: Number((cpuSeconds / (minutes * 60)).toFixed(3)),
    quarterMedianRssMb: quarters.map(Math.round),
    peakRssMb: Math.round(peakRssMb),
    grownMb: Number(grownMb.toFixed(1)),
    isFlat: grownMb <= FLAT_MB,
  };
}

/** The middle one of a quarter of the samples. */
function medianOf(samples: readonly number[], quarter: number): number {
  const size = Math.floor(samples.length / 4);
  const sorted = samples.slice(quarter * size, (quarter + 1) * size).toSorted((a, b) => a - b);
  return sorted[Math.floor(size / 2)] ?? 0;
}
