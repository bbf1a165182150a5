import { beforeEach, describe, expect, test } from "bun:test";
import { GroupCommit } from "../../../src/storage/group-commit.ts";
import { FakeClock } from "../../support/fake-clock.ts";

describe("GroupCommit", () => {
  let clock: FakeClock;
  let commits: number[];
  let durationMs: number;
  let group: GroupCommit;

  beforeEach(() => {
    clock = new FakeClock();
    commits = [];
    durationMs = 0;
    group = new GroupCommit(clock, 250, () => {
      commits.push(clock.monotonicMs());
      group.done(clock.monotonicMs() - durationMs);
    });
  });

  test("appended() makes the first batch after a quiet commit at the end of the turn", async () => {
    group.appended(1, false);
    group.appended(1, false);
    expect(commits).toEqual([]);
    await clock.advance(0);
    expect(commits).toEqual([0]);
  });

  test("appended() lets what is not urgent wait until the interval since the last batch is over", async () => {
    group.appended(1, false);
    await clock.advance(100);
    group.appended(1, false);
    await clock.advance(149);
    expect(commits).toEqual([0]);
    await clock.advance(1);
    expect(commits).toEqual([0, 250]);
    expect(clock.waiting).toBe(0);
  });

  test("appended() does not let an urgent batch wait", async () => {
    group.appended(1, false);
    await clock.advance(100);
    group.appended(1, false);
    group.appended(1, true);
    await clock.advance(0);
    expect(commits).toEqual([0, 100]);
    expect(clock.waiting).toBe(0);
  });

  test("appended() commits when 500 records wait", async () => {
    group.appended(1, false);
    await clock.advance(10);
    group.appended(499, false);
    await clock.advance(0);
    expect(commits).toHaveLength(1);
    group.appended(1, false);
    await clock.advance(0);
    expect(commits).toEqual([0, 10]);
  });

  test("released() waits 250 ms, or for a commit that comes earlier", async () => {
    group.released(1);
    await clock.advance(249);
    expect(commits).toEqual([]);
    await clock.advance(1);
    expect(commits).toEqual([250]);
    group.released(1);
    await clock.advance(50);
    group.appended(1, true);
    await clock.advance(0);
    expect(commits).toEqual([250, 300]);
    expect(clock.waiting).toBe(0);
  });

  test("released() of many commits at once on a quick disk and rests on a slow one", async () => {
    group.released(500);
    await clock.advance(0);
    expect(commits).toEqual([0]);
    durationMs = 30;
    group.released(500);
    await clock.advance(0);
    expect(commits).toEqual([0, 0]);
    group.released(500);
    await clock.advance(119);
    expect(commits).toHaveLength(2);
    await clock.advance(1);
    expect(commits).toEqual([0, 0, 120]);
  });

  test("dispose leaves no timer and commits no more", async () => {
    group.released(1);
    group.appended(1, true);
    group[Symbol.dispose]();
    group.appended(1, true);
    await clock.advance(1000);
    expect(commits).toEqual([]);
    expect(clock.waiting).toBe(0);
  });
});
