import { readFileSync, statfsSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { Float, type Json, type Values } from "#sdk/model";

const KIB = 1024;

/** The part of the report that is about the machine and this process; the names are those of the Python gateway. */
export interface MachineStats {
  readonly totalCpuUsage: Float;
  readonly diskUsage: Float;
  /** Percent of the memory that is *used*, despite its name: dashboards expect it so. */
  readonly freeMemory: Float;
  readonly freeDisk: string;
  readonly gwProcessCpuUsage: Float;
  readonly gwMemory: Float;
  readonly gwProcessMemoryFullInfo: Values;
}

/** Processor time of this process and when it was looked at. */
interface CpuSample {
  readonly cpuMicros: number;
  readonly atMs: number;
}

/** Asks the kernel about the machine and this process: a handful of small files under `/proc`, read once a report. */
export class Machine {
  readonly #monotonicMs: () => number;
  #last: CpuSample;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
    this.#last = this.#cpuSample();
  }

  /** What goes up once at the start. */
  attributes(): Values {
    const disk = statfsSync("/");
    return {
      totalMemory: humanSize(totalmem()),
      totalDisk: humanSize(disk.blocks * disk.bsize),
      cpuCount: cpus().length,
    };
  }

  /** The state at this moment; the processor time of this process is that since the last call. */
  stats(): MachineStats {
    const disk = statfsSync("/");
    const used = disk.blocks - disk.bfree;
    const memory = keyValues("/proc/meminfo");
    const total = (memory.get("MemTotal") ?? totalmem() / KIB) * KIB;
    const available = (memory.get("MemAvailable") ?? 0) * KIB;
    const rss = process.memoryUsage.rss();
    const [, , load15 = 0] = loadavg();
    return {
      totalCpuUsage: percent(load15 / Math.max(1, cpus().length), 2),
      // As df says it: root's reserve counts neither as used nor as free.
      diskUsage: percent(used / Math.max(1, used + disk.bavail), 1),
      freeMemory: percent((total - available) / total, 1),
      freeDisk: humanSize(disk.bavail * disk.bsize),
      gwProcessCpuUsage: percent(this.#cpuShare(), 1),
      gwMemory: percent(rss / total, 1),
      gwProcessMemoryFullInfo: memoryFullInfo(rss),
    };
  }

  #cpuSample(): CpuSample {
    const { user, system } = process.cpuUsage();
    return { cpuMicros: user + system, atMs: this.#monotonicMs() };
  }

  /** Cores in use by this process since the last look; above 1 when several are. */
  #cpuShare(): number {
    const before = this.#last;
    this.#last = this.#cpuSample();
    const spanMs = this.#last.atMs - before.atMs;
    return spanMs <= 0 ? 0 : (this.#last.cpuMicros - before.cpuMicros) / 1000 / spanMs;
  }
}

/** Bytes of this process by kind, under the names that `psutil` gives them. */
function memoryFullInfo(rss: number): Values {
  const status = keyValues("/proc/self/status");
  const smaps = keyValues("/proc/self/smaps_rollup");
  const of = (map: ReadonlyMap<string, number>, ...names: readonly string[]): Json =>
    names.reduce((sum, name) => sum + (map.get(name) ?? 0) * KIB, 0);
  return {
    rss,
    vms: of(status, "VmSize"),
    shared: of(status, "RssFile", "RssShmem"),
    text: of(status, "VmExe"),
    lib: 0,
    data: of(status, "VmData", "VmStk"),
    dirty: 0,
    uss: of(smaps, "Private_Clean", "Private_Dirty", "Private_Hugetlb"),
    pss: of(smaps, "Pss"),
    swap: of(smaps, "Swap"),
  };
}

/** The lines `Name: 123 kB` of a file; none when the kernel does not offer it. */
function keyValues(path: string): ReadonlyMap<string, number> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return new Map(); // Another kernel, or a sandbox: the report has zeros.
  }
  const found = text.matchAll(/^([A-Za-z_()]+):\s+(\d+) kB$/gm);
  return new Map([...found].map((match) => [match[1] ?? "", Number(match[2])]));
}

function percent(share: number, digits: number): Float {
  return new Float(Number((share * 100).toFixed(digits)));
}

const SUFFIXES = ["B", "K", "M", "G", "T"];

/** A size as the Python gateway writes it: powers of 1024, one decimal, one letter: `8.0G`. */
export function humanSize(bytes: number): string {
  let size = bytes;
  let index = 0;
  while (size >= KIB && index < SUFFIXES.length - 1) {
    size /= KIB;
    index += 1;
  }
  return `${size.toFixed(1)}${SUFFIXES[index]}`;
}
