import { systemClock } from "../../src/sdk/clock.ts";

/** How often a condition of another process is looked at; conditions of our own are awaited as events. */
const LOOK_EVERY_MS = 20;

/** Waits until `condition` holds, for what another process does. @throws Error naming `what` after `timeoutMs` */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const endMs = systemClock.monotonicMs() + timeoutMs;
  while (!(await condition())) {
    if (systemClock.monotonicMs() > endMs) {
      throw new Error(`Not within ${timeoutMs} ms: ${what}`);
    }
    await systemClock.sleep(LOOK_EVERY_MS, new AbortController().signal);
  }
}
