import { describe, expect, test } from "bun:test";
import { Fence } from "../../../src/delivery/fence.ts";
import { FakeClock } from "../../support/fake-clock.ts";

describe("Fence", () => {
  test("is passed when its own answer comes", async () => {
    const clock = new FakeClock();
    const asked: number[] = [];
    const fence = new Fence(clock, (id) => asked.push(id));
    const passed: string[] = [];
    const one = fence.pass().then(() => passed.push("one"));
    const two = fence.pass().then(() => passed.push("two"));
    fence.passed(asked[1] ?? 0);
    fence.passed(99);
    await two;
    expect(passed).toEqual(["two"]);
    fence.passed(asked[0] ?? 0);
    await one;
    expect(clock.waiting).toBe(0);
  });

  test("without an answer it is passed after 2 s", async () => {
    const clock = new FakeClock();
    const passed: string[] = [];
    const waiting = new Fence(clock, () => undefined).pass().then(() => passed.push("late"));
    await clock.advance(1999);
    expect(passed).toEqual([]);
    await clock.advance(1);
    await waiting;
    expect(passed).toEqual(["late"]);
  });

  test("kept() says whether the answer came within 5 s", async () => {
    const clock = new FakeClock();
    const asked: [number, boolean][] = [];
    const fence = new Fence(clock, (id, kept) => asked.push([id, kept]));
    const answered = fence.kept();
    const late = fence.kept();
    fence.passed(asked[0]?.[0] ?? 0);
    expect(await answered).toBe(true);
    await clock.advance(5000);
    expect(await late).toBe(false);
    expect(asked.map(([, kept]) => kept)).toEqual([true, true]);
    expect(clock.waiting).toBe(0);
  });
});
