import type { Clock } from "#sdk/clock";

/**
 * Collects the garbage of this thread at once. The run time lets a heap double before it does so by itself; on a small board that is
 * memory nobody can spare while a backlog runs through. Costs some milliseconds, depending on what is alive.
 */
export function collectGarbage(): void {
  Bun.gc(true);
}

/** What was needed to start is garbage by then: the configuration's texts and trees, the schemas' intermediates. */
const SETTLED_MS = 5000;

/**
 * Collects the garbage of the start once, some seconds after it: a gateway that has little to do allocates too little for the run time to do
 * so by itself within the hour. Disposing the result before calls it off.
 */
export function collectAfterStart(clock: Clock): Disposable {
  return clock.timer(SETTLED_MS, collectGarbage);
}

/** Bytes that the objects and buffers of this thread take; microseconds to find out. */
export function heapBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Bytes of memory that the process holds, all threads together. */
export function residentBytes(): number {
  return process.memoryUsage.rss();
}
