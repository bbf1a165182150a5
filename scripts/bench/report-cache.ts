import type { RecordSink } from "../../src/pipeline/record-sink.ts";
import { DEFAULT_REPORTS } from "../../src/pipeline/reports.ts";
import { Pipeline } from "../../src/pipeline/uplink.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { createLogger } from "../../src/sdk/logger.ts";
import type { DeviceData, ReportStrategy, Values } from "../../src/sdk/model.ts";

type StrategyType = NonNullable<ReportStrategy["type"]>;
type Measure = "bytes" | "bytes-held" | "nanos";

const DEVICES = 10_000;
const KEYS = 20;
const { signal } = new AbortController();

/** A store that takes everything and keeps nothing: what is measured is the pipeline. */
const sink: RecordSink = {
  append: () => Promise.resolve(),
  tryAppend: () => true,
  countFiltered: () => undefined,
  countRejected: () => undefined,
};

function openPipeline(type: StrategyType): Pipeline {
  return new Pipeline({
    clock: systemClock,
    sink,
    log: createLogger({
      source: "bench",
      level: "none",
      clock: systemClock,
      sink: () => undefined,
    }),
    onLost: () => undefined,
    reports: {
      ...DEFAULT_REPORTS,
      gateway: { type, reportPeriod: 3_600_000, ttl: 86_400 },
    },
  });
}

/** What a device said, parsed anew as a connector does, so that nothing is shared by chance. */
function dataOf(device: number, round: number): DeviceData {
  const members = Array.from({ length: KEYS }, (_, key) => `"key${key}":${device + key}.${round}5`);
  return {
    deviceName: `Device ${String(device).padStart(5, "0")}`,
    telemetry: [{ values: JSON.parse(`{${members.join(",")}}`) as Values }],
  };
}

function heapBytes(): number {
  Bun.gc(true);
  Bun.gc(true);
  return process.memoryUsage().heapUsed;
}

/** Bytes of heap for each key, once all devices have said something in each of `rounds`. */
async function bytesPerKey(type: StrategyType, rounds: readonly number[]): Promise<number> {
  await using pipeline = openPipeline(type);
  const uplink = pipeline.uplinkOf({ onDevice: () => "default" });
  // What belongs to the pipeline itself, its keys and its stamps is there before.
  for (let device = 0; device < DEVICES; device += 1) {
    await uplink.accept({ ...dataOf(device, 0), strategy: { type: "ON_RECEIVED" } }, signal);
  }
  const before = heapBytes();
  for (const round of rounds) {
    for (let device = 0; device < DEVICES; device += 1) {
      await uplink.accept(dataOf(device, round), signal);
    }
  }
  const bytes = heapBytes() - before;
  return Math.round(bytes / pipeline.reportCounters.keys);
}

/** Nanoseconds for each value whose device said the same before, the best of several rounds. */
async function nanosPerValue(type: StrategyType): Promise<number> {
  await using pipeline = openPipeline(type);
  const uplink = pipeline.uplinkOf({ onDevice: () => "default" });
  const data = Array.from({ length: 1000 }, (_, device) => dataOf(device, 0));
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 60; round += 1) {
    const startMs = performance.now();
    for (const one of data) {
      await uplink.accept(one, signal);
    }
    best = Math.min(best, performance.now() - startMs);
  }
  return Number(((best * 1e6) / (data.length * KEYS)).toFixed(1));
}

/** One measurement in a process of its own: what another one has left behind would be counted with it. */
async function alone(measure: Measure, type: StrategyType): Promise<number> {
  const child = Bun.spawn([process.execPath, import.meta.path, measure, type], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const text = await new Response(child.stdout).text();
  await child.exited;
  return Number(text);
}

/** Memory and time of the report strategies: 10,000 devices with 20 keys. */
export async function reportCache(): Promise<object> {
  return {
    keys: DEVICES * KEYS,
    onChangeBytesPerKey: await alone("bytes", "ON_CHANGE"),
    periodBytesPerKey: await alone("bytes", "ON_REPORT_PERIOD"),
    periodHeldBytesPerKey: await alone("bytes-held", "ON_REPORT_PERIOD"),
    onReceivedNanosPerValue: await alone("nanos", "ON_RECEIVED"),
    onChangeNanosPerValue: await alone("nanos", "ON_CHANGE"),
    periodNanosPerValue: await alone("nanos", "ON_REPORT_PERIOD"),
  };
}

if (import.meta.main) {
  const [measure, type] = process.argv.slice(2) as [Measure, StrategyType];
  const result =
    measure === "nanos"
      ? await nanosPerValue(type)
      : await bytesPerKey(type, measure === "bytes" ? [0] : [0, 1]);
  console.log(result);
}
