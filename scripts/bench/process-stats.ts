import { readFileSync } from "node:fs";

/** Clock ticks a second of `/proc/PID/stat`; 100 on every Linux the program runs on. */
const TICKS = 100;

/** What the kernel says about a process. */
export interface ProcessStats {
  readonly cpuSeconds: number;
  readonly rssMb: number;
  /** The part of it that is no page of a file: what the machine cannot take back. */
  readonly privateMb: number;
  readonly peakRssMb: number;
  readonly diskBytes: number;
}

/** Reads `/proc`; the process must be alive. */
export function processStats(pid: number): ProcessStats {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const io = readFileSync(`/proc/${pid}/io`, "utf8");
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS,
    rssMb: number(status, /VmRSS:\s+(\d+)/) / 1024,
    privateMb: number(status, /RssAnon:\s+(\d+)/) / 1024,
    peakRssMb: number(status, /VmHWM:\s+(\d+)/) / 1024,
    diskBytes: number(io, /^write_bytes: (\d+)/m),
  };
}

function number(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1] ?? 0);
}
