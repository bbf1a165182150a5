import { describe, expect, test } from "bun:test";
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { LogBudget } from "../../../src/logging/log-budget.ts";
import { LogFile, type LogFileOptions } from "../../../src/logging/log-file.ts";
import { formatTime } from "../../../src/logging/python-time.ts";
import type { Rotation } from "../../../src/logging/rotation.ts";
import { type EpochMs, epochMs } from "../../../src/sdk/model.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { temporaryDir } from "../../support/temporary-dir.ts";

const DAY_MS = 86_400_000;
const DAILY: Rotation = { when: "D", interval: 1, backupCount: 0, maxBytes: 0 };
const PLAIN = { urgent: false, shown: false };

function open(path: string, options: Partial<LogFileOptions> = {}) {
  const clock = new FakeClock();
  const shown: string[] = [];
  const reports: string[] = [];
  const file = new LogFile({
    path,
    rotation: DAILY,
    clock,
    budget: new LogBudget(100 * 2 ** 20),
    elsewhere: (text) => shown.push(text),
    report: (_level, message) => reports.push(message),
    ...options,
  });
  return { file, clock, shown, reports };
}

const linesOf = (path: string): string[] => readFileSync(path, "utf8").trimEnd().split("\n");

describe("LogFile", () => {
  test("makes its folder, for owner and group alone, and waits a moment for more lines", async () => {
    using dir = temporaryDir();
    const path = join(dir.path, "logs", "a.log");
    const { file, clock } = open(path);
    file.write("one", PLAIN);
    file.write("two", PLAIN);
    await clock.advance(200);
    expect(existsSync(path)).toBe(false);
    await clock.advance(50);
    await file.flush();
    expect(linesOf(path)).toEqual(["one", "two"]);
    expect(statSync(path).mode & 0o777 & ~0o640).toBe(0);
    expect(statSync(join(dir.path, "logs")).mode & 0o007).toBe(0);
    await file[Symbol.asyncDispose]();
    expect(clock.waiting).toBe(0);
  });

  test("an urgent line does not wait, and takes those before it along", async () => {
    using dir = temporaryDir();
    const path = join(dir.path, "a.log");
    const { file, clock } = open(path);
    file.write("one", PLAIN);
    file.write("two", { urgent: true, shown: false });
    expect(clock.waiting).toBe(0);
    await file[Symbol.asyncDispose]();
    expect(linesOf(path)).toEqual(["one", "two"]);
  });

  test("is put aside by time and keeps the wanted number", async () => {
    using dir = temporaryDir();
    const path = join(dir.path, "a.log");
    const { file, clock } = open(path, { rotation: { ...DAILY, backupCount: 2 } });
    const days: string[] = [];
    for (let count = 0; count < 5; count += 1) {
      days.push(formatTime("%Y-%m-%d", clock.now()));
      file.write(`day ${count}`, PLAIN);
      await file.flush();
      await clock.advance(DAY_MS);
    }
    await file[Symbol.asyncDispose]();
    const [, , third, fourth] = days;
    expect(readdirSync(dir.path).toSorted()).toEqual([
      "a.log",
      `a.log.${third}`,
      `a.log.${fourth}`,
    ]);
    expect(linesOf(path)).toEqual(["day 4"]);
    expect(linesOf(join(dir.path, `a.log.${fourth}`))).toEqual(["day 3"]);
  });

  test("is put aside by size between two lines, without overwriting one of the same name", async () => {
    using dir = temporaryDir();
    const path = join(dir.path, "a.log");
    const { file } = open(path, { rotation: { ...DAILY, maxBytes: 20 } });
    for (const line of ["first 1", "first 2", "second 1", "second 2", "third"]) {
      file.write(line, PLAIN);
    }
    await file[Symbol.asyncDispose]();
    const aside = readdirSync(dir.path)
      .filter((name) => name !== "a.log")
      .toSorted();
    expect(aside.map((name) => linesOf(join(dir.path, name)))).toEqual([
      ["first 1", "first 2"],
      ["second 1", "second 2"],
    ]);
    expect(linesOf(path)).toEqual(["third"]);
  });

  test("a file of an earlier start is due by its last line", async () => {
    using dir = temporaryDir();
    const path = join(dir.path, "a.log");
    const { file, clock } = open(path);
    writeFileSync(path, "before\n");
    const before = (clock.now() - 2 * DAY_MS) / 1000;
    utimesSync(path, before, before);
    file.write("after", PLAIN);
    await file[Symbol.asyncDispose]();
    expect(linesOf(path)).toEqual(["after"]);
    const day = formatTime("%Y-%m-%d", before * 1000);
    expect(linesOf(`${path}.${day}`)).toEqual(["before"]);
  });

  test("goes on after the clock was set back", async () => {
    using dir = temporaryDir();
    const path = join(dir.path, "a.log");
    const clock = new SetClock(1_900_000_000_000);
    const { file } = open(path, { clock });
    file.write("too late", PLAIN);
    await file.flush();
    clock.offsetMs = -200_000_000_000;
    file.write("right", PLAIN);
    await file.flush();
    clock.offsetMs += 2 * DAY_MS;
    file.write("two days on", PLAIN);
    await file[Symbol.asyncDispose]();
    expect(linesOf(path)).toEqual(["two days on"]);
  });

  test("all files together stay below the total; other files are left alone", async () => {
    using dir = temporaryDir();
    const total = 512 * 1024;
    const budget = new LogBudget(total);
    writeFileSync(join(dir.path, "a.log.mine"), "x".repeat(total));
    const clock = new FakeClock();
    const make = (name: string) => open(join(dir.path, name), { budget, clock }).file;
    const files = [make("a.log"), make("b.log")];
    for (let count = 0; count < 3000; count += 1) {
      files[count % 2]?.write("x".repeat(1023), PLAIN);
      if (count % 50 === 0) {
        await Promise.all(files.map((file) => file.flush()));
        await clock.advance(60_000);
      }
    }
    await Promise.all(files.map((file) => file[Symbol.asyncDispose]()));
    const names = readdirSync(dir.path).filter((name) => name !== "a.log.mine");
    const sum = names.reduce((bytes, name) => bytes + statSync(join(dir.path, name)).size, 0);
    expect(names.length).toBeGreaterThan(3);
    expect(sum).toBeLessThanOrEqual(total + 128 * 1024);
    expect(sum).toBeGreaterThan(total / 2);
    expect(existsSync(join(dir.path, "a.log.mine"))).toBe(true);
    expect(files.map((file) => file.dropped)).toEqual([0, 0]);
  });

  test("what cannot be opened is shown instead, said once, and tried again", async () => {
    using dir = temporaryDir();
    const blocked = join(dir.path, "logs");
    writeFileSync(blocked, "a file where the folder should be");
    const path = join(blocked, "a.log");
    const { file, clock, shown, reports } = open(path);
    file.write("one", PLAIN);
    await file.flush();
    file.write("two", PLAIN);
    file.write("on standard output already", { urgent: false, shown: true });
    expect(shown).toEqual(["one\n", "two\n"]);
    expect(reports).toEqual(["Cannot open a log file"]);
    rmSync(blocked);
    await clock.advance(60_000);
    file.write("three", PLAIN);
    await file[Symbol.asyncDispose]();
    expect(linesOf(path)).toEqual(["three"]);
    expect(reports).toEqual(["Cannot open a log file", "A log file can be written again"]);
    expect(file.dropped).toBe(0);
  });

  test("a disk that is full costs lines, which are counted and noted, and is tried again", async () => {
    using dir = temporaryDir();
    const path = join(dir.path, "a.log");
    // Every write to it fails with ENOSPC.
    const { file, clock, reports } = open("/dev/full");
    for (let count = 0; count < 1200; count += 1) {
      file.write("x".repeat(1000), PLAIN);
    }
    await file.flush();
    expect(file.dropped).toBeGreaterThan(100);
    expect(reports).toEqual(["Cannot write a log file"]);
    await clock.advance(5000);
    await file.flush();
    expect(reports).toHaveLength(1);
    await file[Symbol.asyncDispose]();
    expect(file.dropped).toBe(1200);
    expect(existsSync(path)).toBe(false);
  });

  test("more than the disk takes in time is dropped, and the file says how much", async () => {
    using dir = temporaryDir();
    const path = join(dir.path, "a.log");
    const { file } = open(path);
    for (let count = 0; count < 1500; count += 1) {
      file.write(`${count} ${"x".repeat(1000)}`, PLAIN);
    }
    await file[Symbol.asyncDispose]();
    const lines = linesOf(path);
    const noted = lines.filter((line) => line.startsWith("---"));
    expect(file.dropped).toBeGreaterThan(0);
    expect(noted).toHaveLength(1);
    expect(noted[0]).toContain(`${file.dropped} lines are missing here`);
    expect(lines.length - 1 + file.dropped).toBe(1500);
  });

  test("a file that somebody has moved is made anew", async () => {
    using dir = temporaryDir();
    const path = join(dir.path, "a.log");
    const { file, clock } = open(path);
    file.write("one", PLAIN);
    await file.flush();
    renameSync(path, join(dir.path, "moved"));
    await clock.advance(60_000);
    file.write("two", PLAIN);
    await file[Symbol.asyncDispose]();
    expect(linesOf(path)).toEqual(["two"]);
    expect(linesOf(join(dir.path, "moved"))).toEqual(["one"]);
  });

  test("lines after the end are counted, not written", async () => {
    using dir = temporaryDir();
    const { file } = open(join(dir.path, "a.log"));
    await file[Symbol.asyncDispose]();
    file.write("late", PLAIN);
    expect(file.dropped).toBe(1);
    expect(readdirSync(dir.path)).toEqual([]);
  });
});

/** A clock whose time of day can be set while its timers go on. */
class SetClock extends FakeClock {
  offsetMs = 0;

  override now(): EpochMs {
    return epochMs(super.now() + this.offsetMs);
  }
}
