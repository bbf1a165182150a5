import { describe, expect, test } from "bun:test";
import { backoffMs } from "../../../src/sdk/backoff.ts";
import { InvariantError, RejectedError, TransientError } from "../../../src/sdk/errors.ts";
import { supervise } from "../../../src/sdk/supervise.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

describe("backoffMs()", () => {
  test("doubles from 1 s to 20 s, and jitter only shortens it", () => {
    const delays = [1, 2, 3, 4, 5, 6, 7].map((attempt) => backoffMs(attempt, 0));
    expect(delays).toEqual([1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]);
    expect(backoffMs(6, 0.999)).toBeGreaterThan(17_999);
    expect(backoffMs(6, 0.999)).toBeLessThan(20_000);
  });

  test("a configured ceiling above 20 s is 20 s", () => {
    expect(backoffMs(9, 0, { firstMs: 5000, factor: 2, ceilingMs: 120_000 })).toBe(20_000);
  });
});

/** Runs a link whose attempts do what `attempts` says, one after another; keeps when each began. */
function link(attempts: readonly ((healthy: () => void) => Promise<void>)[]) {
  const clock = new FakeClock();
  const { log, records } = memoryLog();
  const starts: number[] = [];
  const stop = new AbortController();
  const done = supervise(
    {
      name: "broker",
      host: { clock, log },
      run: async (_signal, healthy) => {
        starts.push(clock.monotonicMs());
        const attempt = attempts[Math.min(starts.length, attempts.length) - 1];
        await attempt?.(healthy);
      },
    },
    stop.signal,
  );
  done.catch(() => undefined);
  return { clock, records, starts, stop, done };
}

const refused = (): Promise<void> => Promise.reject(new TransientError("refused"));

describe("supervise()", () => {
  test("tells the length of each pause when it begins", async () => {
    const clock = new FakeClock();
    const stop = new AbortController();
    const pauses: { readonly atMs: number; readonly delayMs: number }[] = [];
    const starts: number[] = [];
    const done = supervise(
      {
        name: "broker",
        host: { clock, log: memoryLog().log },
        run: () => {
          starts.push(clock.monotonicMs());
          return refused();
        },
        paused: (delayMs) => pauses.push({ atMs: clock.monotonicMs(), delayMs }),
      },
      stop.signal,
    );
    done.catch(() => undefined);
    await clock.advance(10_000);
    stop.abort(new Error("the test is over"));
    expect(pauses.length).toBeGreaterThan(2);
    expect(pauses.slice(0, starts.length - 1).map(({ atMs, delayMs }) => atMs + delayMs)).toEqual(
      starts.slice(1),
    );
  });

  test("tries again for ever with growing pauses, and says a cause once", async () => {
    const { clock, records, starts, stop } = link([refused]);
    await clock.advance(120_000);
    expect(starts.length).toBeGreaterThan(7);
    const pauses = starts.slice(1).map((start, index) => start - (starts[index] ?? 0));
    expect(Math.max(...pauses)).toBeLessThanOrEqual(20_000);
    expect(pauses[0]).toBeLessThanOrEqual(1000);
    expect(records.filter(({ level }) => level === "warn").length).toBe(1);
    stop.abort();
  });

  test("says causes that take turns once an hour each", async () => {
    const other = (): Promise<void> => Promise.reject(new TransientError("no route"));
    const turns = Array.from({ length: 300 }, (_, index) => (index % 2 === 0 ? refused : other));
    const { clock, records, starts, stop, done } = link(turns);
    for (let round = 0; round < 100; round += 1) {
      await clock.advance(20_000);
    }
    expect(starts.length).toBeGreaterThan(80);
    expect(records.filter(({ level }) => level === "warn").length).toBe(2);
    for (let round = 0; round < 100; round += 1) {
      await clock.advance(20_000);
    }
    expect(records.filter(({ level }) => level === "warn").length).toBe(4);
    stop.abort();
    await done.catch(() => undefined);
  });

  test("starts from the first pause again after a minute up", async () => {
    const attempts = [refused, refused, refused, refused];
    const { clock, starts, stop } = link([
      ...attempts,
      async (healthy) => {
        healthy();
        await clock.sleep(61_000, stop.signal);
      },
      refused,
    ]);
    await clock.advance(90_000);
    const [, , , , fifth = 0, sixth = 0] = starts;
    expect(sixth - fifth).toBeLessThanOrEqual(62_000);
    stop.abort();
  });

  test("a link that says again and again that it is healthy is up once, from the first time on", async () => {
    const { clock, records, starts, stop } = link([
      refused,
      refused,
      refused,
      refused,
      async (healthy) => {
        for (let answer = 0; answer < 70; answer += 1) {
          healthy();
          await clock.sleep(1000, stop.signal);
        }
      },
      refused,
    ]);
    await clock.advance(120_000);
    const [, , , , fifth = 0, sixth = 0] = starts;
    expect(sixth - fifth).toBeLessThanOrEqual(71_000);
    expect(records.filter(({ message }) => message.startsWith("Link is up")).length).toBe(1);
    stop.abort();
  });

  test("refused credentials wait 60 s, and retryAfterMs goes before the policy", async () => {
    const { clock, records, starts, stop } = link([
      () => Promise.reject(new RejectedError("bad password")),
      () => Promise.reject(new TransientError("quota", { retryAfterMs: 5000 })),
      refused,
    ]);
    await clock.advance(66_000);
    expect(starts.slice(0, 3)).toEqual([0, 60_000, 65_000]);
    expect(records.some(({ level }) => level === "error")).toBe(true);
    stop.abort();
  });

  test("rejects with the reason of the abort, and passes our own bugs on", async () => {
    const aborted = link([refused]);
    await aborted.clock.advance(10);
    aborted.stop.abort("stop");
    await expect(aborted.done).rejects.toBe("stop");
    const broken = link([() => Promise.reject(new InvariantError("bug"))]);
    await expect(broken.done).rejects.toThrow("bug");
  });
});
