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
/** How long a look at what the process does takes, and how much of a core it may take to count as quiet. */
const LOOK_MS = 3000;
const QUIET_SHARE = 0.03;

/**
 * Collects the garbage of the start once, some seconds after it: a gateway that has little to do allocates too little for the run time to do
 * so by itself within the hour. Then drops the code of the start, once, as soon as the process has little to do: 4 MB of an idle gateway.
 * Disposing the result before calls it off.
 */
export function collectAfterStart(clock: Clock): Disposable {
  let timer: Disposable;
  const look = (): void => {
    const before = process.cpuUsage();
    timer = clock.timer(LOOK_MS, () => {
      const { user, system } = process.cpuUsage(before);
      if ((user + system) / 1000 > LOOK_MS * QUIET_SHARE) {
        look(); // A busy gateway needs its code: it would compile all of it again.
        return;
      }
      // Takes effect when this thread next waits; what is needed again is compiled from the program file.
      Bun.shrink();
      collectGarbage();
    });
  };
  timer = clock.timer(SETTLED_MS, () => {
    collectGarbage();
    look();
  });
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
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
