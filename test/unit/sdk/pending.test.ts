import { describe, expect, test } from "bun:test";
import { Pending } from "../../../src/sdk/pending.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const { signal } = new AbortController();
const late = (): Error => new Error("late");

describe("Pending", () => {
  test("resolve() answers those who wait under one key in the order they came", async () => {
    const pending = new Pending<string, number>(new FakeClock());
    using first = pending.open("a");
    using second = pending.open("a");
    using other = pending.open("b");
    expect(pending.size).toBe(3);
    expect(pending.resolve("a", 1)).toBe(true);
    expect(pending.resolve("a", 2)).toBe(true);
    expect(pending.resolve("a", 3)).toBe(false);
    expect(await first.within(1000, signal, late)).toBe(1);
    expect(await second.within(1000, signal, late)).toBe(2);
    expect(pending.has("a")).toBe(false);
    pending.resolve("b", 4);
    expect(await other.within(1000, signal, late)).toBe(4);
  });

  test("within() ends at its time, and not before", async () => {
    const clock = new FakeClock();
    const pending = new Pending<string, number>(clock);
    {
      using waiting = pending.open("a");
      const reply = waiting.within(1000, signal, late).catch((error: unknown) => error);
      await clock.advance(999);
      expect(pending.resolve("a", 1)).toBe(true);
      expect(await reply).toBe(1);
    }
    {
      using waiting = pending.open("a");
      const reply = waiting.within(1000, signal, late).catch((error: unknown) => error);
      await clock.advance(1000);
      expect(await reply).toEqual(new Error("late"));
    }
    expect(pending.resolve("a", 2)).toBe(false);
    expect(clock.waiting).toBe(0);
  });

  test("one who gave up is passed over", async () => {
    const pending = new Pending<string, number>(new FakeClock());
    const first = pending.open("a");
    using second = pending.open("a");
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    expect(pending.size).toBe(1);
    pending.resolve("a", 1);
    expect(await second.within(1000, signal, late)).toBe(1);
  });

  test("giving up ends a wait that has begun, with its timer", async () => {
    const clock = new FakeClock();
    const pending = new Pending<string, string>(clock);
    const waiting = pending.open("a");
    const reply = waiting.within(86_400_000, new AbortController().signal, () => new Error("late"));
    expect(clock.waiting).toBe(1);
    waiting[Symbol.dispose]();
    expect(await reply.catch((error: unknown) => String(error))).toContain("nobody waits");
    expect(clock.waiting).toBe(0);
  });

  test("an abort ends the wait with its reason, also one before it", async () => {
    const clock = new FakeClock();
    const pending = new Pending<string, number>(clock);
    const stop = new AbortController();
    using waiting = pending.open("a");
    const reply = waiting.within(1000, stop.signal, late).catch((error: unknown) => error);
    stop.abort("stopped");
    expect(await reply).toBe("stopped");
    using again = pending.open("a");
    expect(await again.within(1000, stop.signal, late).catch((error: unknown) => error)).toBe(
      "stopped",
    );
    expect(clock.waiting).toBe(0);
  });
});
