import { describe, expect, test } from "bun:test";
import { type Progress, ProgressWatchdog, STALL_MS } from "../../../src/delivery/watchdog.ts";

const stalled: Progress = {
  nowMs: 0,
  queued: 5,
  acknowledged: 7,
  lastAckMs: undefined,
  connected: true,
  paused: false,
};

/** Looks every 10 s for `lengthMs`; the steps with the time they were due. */
function watch(
  watchdog: ProgressWatchdog,
  lengthMs: number,
  state: (nowMs: number) => Partial<Progress>,
) {
  const steps: [number, string][] = [];
  for (let nowMs = 0; nowMs <= lengthMs; nowMs += 10_000) {
    const step = watchdog.check({ ...stalled, nowMs, ...state(nowMs) });
    if (step !== undefined) {
      steps.push([nowMs, step]);
    }
  }
  return steps;
}

describe("ProgressWatchdog", () => {
  test("goes from mild to harsh while values wait on an open link and none is acknowledged", () => {
    const steps = watch(new ProgressWatchdog(), 6 * STALL_MS, () => ({}));
    expect(steps.map(([, step]) => step)).toEqual([
      "reconnect",
      "rebuild",
      "restart",
      "reconnect",
      "rebuild",
    ]);
    const [first = [0]] = steps;
    expect(first[0]).toBeLessThanOrEqual(STALL_MS + 10_000);
  });

  test("keeps quiet while values move, nothing waits, the link is down, or sending is paused", () => {
    expect(watch(new ProgressWatchdog(), 300_000, (nowMs) => ({ acknowledged: nowMs }))).toEqual(
      [],
    );
    expect(watch(new ProgressWatchdog(), 300_000, () => ({ queued: 0 }))).toEqual([]);
    expect(watch(new ProgressWatchdog(), 300_000, () => ({ connected: false }))).toEqual([]);
    expect(watch(new ProgressWatchdog(), 300_000, () => ({ paused: true }))).toEqual([]);
  });

  test("a PUBACK is progress also while the disk does not let the store note it", () => {
    const acked = watch(new ProgressWatchdog(), 300_000, (nowMs) => ({ lastAckMs: nowMs }));
    expect(acked).toEqual([]);
    // What was acknowledged over the session before is none.
    const steps = watch(new ProgressWatchdog(), 200_000, () => ({ lastAckMs: 1 }));
    expect(steps.map(([, step]) => step)).toEqual(["reconnect", "rebuild"]);
  });

  test("begins with the mild step again once a value has moved", () => {
    const steps = watch(new ProgressWatchdog(), 300_000, (nowMs) => ({
      acknowledged: nowMs < 100_000 ? 7 : 8,
    }));
    expect(steps.map(([, step]) => step).slice(0, 2)).toEqual(["reconnect", "reconnect"]);
  });
});
