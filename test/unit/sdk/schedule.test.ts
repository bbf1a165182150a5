import { describe, expect, test } from "bun:test";
import { Schedule } from "../../../src/sdk/schedule.ts";
import { FakeClock } from "../../support/fake-clock.ts";

function setUp(periodMs: number) {
  const clock = new FakeClock();
  const counts: Record<string, number> = {};
  const metrics = {
    count: (name: string, by = 1) => {
      counts[name] = (counts[name] ?? 0) + by;
    },
    rejected: () => undefined,
  };
  return { clock, counts, schedule: new Schedule(periodMs, { clock, metrics }) };
}

const { signal } = new AbortController();

describe("Schedule", () => {
  test("starts at once and then once a period", async () => {
    const { clock, counts, schedule } = setUp(1000);
    const starts: number[] = [];
    const poll = async (): Promise<void> => {
      for (let round = 0; round < 4; round += 1) {
        await schedule.next(signal);
        starts.push(clock.monotonicMs());
      }
    };
    const polled = poll();
    await clock.advance(5000);
    await polled;
    expect(starts).toEqual([0, 1000, 2000, 3000]);
    expect(counts).toEqual({});
  });

  test("a late poll starts at once, is counted, and nothing is caught up", async () => {
    const { clock, counts, schedule } = setUp(1000);
    await schedule.next(signal);
    await clock.advance(3500);
    await schedule.next(signal);
    expect(clock.monotonicMs()).toBe(3500);
    expect(counts).toEqual({ overruns: 1, pollsSkipped: 2 });
    const next = schedule.next(signal);
    await clock.advance(1000);
    await next;
    expect(clock.monotonicMs()).toBe(4500);
  });
});
