import { beforeEach, describe, expect, test } from "bun:test";
import { Meter, RateLimiter } from "../../../src/thingsboard/rate-limit.ts";
import { FakeClock } from "../../support/fake-clock.ts";

let clock = new FakeClock();

beforeEach(() => {
  clock = new FakeClock();
});

function limiter(...windows: readonly { capacity: number; seconds: number }[]): RateLimiter {
  const made = new RateLimiter(clock, 0.8);
  made.set(windows);
  return made;
}

/** How many single tokens are spent in `seconds` when each is spent as soon as it may be. */
async function spentIn(limit: RateLimiter, seconds: number): Promise<number> {
  const endMs = clock.monotonicMs() + seconds * 1000;
  let spent = 0;
  while (clock.monotonicMs() < endMs) {
    for (let count = limit.available; count > 0; count -= 1) {
      limit.take(1);
      spent += 1;
    }
    await clock.advance(Math.min(endMs - clock.monotonicMs(), limit.delayMs(1)));
  }
  return spent;
}

describe("RateLimiter", () => {
  test("without windows nothing is limited", () => {
    const limit = limiter();
    limit.take(1_000_000);
    expect([limit.available, limit.delayMs(1e9), limit.capacity]).toEqual([
      Number.POSITIVE_INFINITY,
      0,
      Number.POSITIVE_INFINITY,
    ]);
  });

  test("spends 80 % of the limit: the burst, then the rate", async () => {
    expect(await spentIn(limiter({ capacity: 10, seconds: 1 }), 20)).toBe(8 + 20 * 8 - 1);
  });

  test("needs a token in every window", async () => {
    const limit = limiter({ capacity: 10, seconds: 1 }, { capacity: 60, seconds: 60 });
    expect(await spentIn(limit, 600)).toBeLessThanOrEqual(48 + 480);
    expect(limit.capacity).toBe(8);
  });

  test("a limit of one still lets one through, at its own pace", async () => {
    const limit = limiter({ capacity: 1, seconds: 1 });
    expect(limit.available).toBe(1);
    limit.take(1);
    expect(limit.delayMs(1)).toBe(1250);
    await clock.advance(1250);
    expect(limit.available).toBe(1);
  });

  test("waits until tokens have gathered instead of spending each by itself", async () => {
    const limit = limiter({ capacity: 500, seconds: 1 });
    expect(limit.available).toBe(400);
    limit.take(400);
    await clock.advance(50);
    expect(limit.available).toBe(0);
    await clock.advance(limit.delayMs(1));
    expect(limit.available).toBe(40);
  });

  test("what was spent stays spent when the limits are told again", () => {
    const limit = limiter({ capacity: 10, seconds: 1 });
    limit.take(8);
    limit.set([{ capacity: 20, seconds: 1 }]);
    expect(limit.available).toBe(8);
    limit.set([]);
    expect(limit.isLimited).toBe(false);
  });
});

describe("Meter", () => {
  const windows = [
    { capacity: 10, seconds: 1 },
    { capacity: 100, seconds: 60 },
  ];

  test("refused() empties the shortest window first, then the longer ones", () => {
    const meter = new Meter(clock, 1);
    meter.set({ messages: windows, telemetryMessages: windows, telemetryDataPoints: [] });
    meter.refused();
    expect(meter.delayMs({ messages: 1, points: 1 })).toBe(100);
    meter.refused();
    expect(meter.delayMs({ messages: 1, points: 1 })).toBe(600);
    expect(meter.regular.available).toBe(0);
  });

  test("accepted() ends a row of refusals", async () => {
    const meter = new Meter(clock, 1);
    meter.set({ messages: [], telemetryMessages: windows, telemetryDataPoints: [] });
    meter.refused();
    meter.accepted();
    meter.refused();
    expect(meter.delayMs({ messages: 1, points: 1 })).toBe(100);
  });

  test("a publish needs its messages and its data points", () => {
    const meter = new Meter(clock, 1);
    meter.set({
      messages: [],
      telemetryMessages: [{ capacity: 10, seconds: 1 }],
      telemetryDataPoints: [{ capacity: 500, seconds: 1 }],
    });
    expect(meter.largest).toEqual({ messages: 10, points: 500 });
    meter.take({ messages: 1, points: 480 });
    expect(meter.available).toEqual({ messages: 9, points: 0 });
    expect(meter.delayMs({ messages: 1, points: 100 })).toBe(160);
  });

  test("suspectSize() halves what goes out at once after three refusals, and it grows again", () => {
    const meter = new Meter(clock, 1);
    const cost = { messages: 8, points: 200 };
    for (const largest of [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 100]) {
      meter.refused();
      meter.suspectSize(cost);
      expect(meter.largest.points).toBe(largest);
    }
    expect(meter.available).toEqual({ messages: 4, points: 100 });
    meter.accepted();
    expect(meter.largest).toEqual({ messages: 5, points: 101 });
  });
});
