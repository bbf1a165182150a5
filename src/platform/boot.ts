import { readFileSync } from "node:fs";

/** What tells one start of the machine from the next. */
export interface BootInfo {
  /** Random, made by the kernel at each start; "" where it cannot be read. */
  readonly id: string;
  /** Milliseconds since the machine was started, also across restarts of this process. */
  readonly uptimeMs: number;
}

/** Asks the kernel. Without `/proc` the process is taken for the machine. */
export function readBoot(): BootInfo {
  try {
    const id = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const [seconds] = readFileSync("/proc/uptime", "utf8").split(" ");
    const uptimeMs = Math.round(Number(seconds) * 1000);
    if (Number.isSafeInteger(uptimeMs)) {
      return { id, uptimeMs };
    }
  } catch (error) {
    if (!(error instanceof Error)) {
      throw error;
    }
  }
  return { id: "", uptimeMs: Math.round(performance.now()) };
}
