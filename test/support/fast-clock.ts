import { type Clock, systemClock } from "../../src/sdk/clock.ts";

/** The system's clock running `factor` times as fast, so that back-offs and deadlines of real links pass quickly in a test. */
export function fastClock(factor: number): Clock {
  return {
    now: () => systemClock.now(),
    monotonicMs: () => systemClock.monotonicMs() * factor,
    sleep: (durationMs, signal) => systemClock.sleep(durationMs / factor, signal),
    deadline: (durationMs, signal) => systemClock.deadline(durationMs / factor, signal),
    timer: (durationMs, callback) => systemClock.timer(durationMs / factor, callback),
  };
}
