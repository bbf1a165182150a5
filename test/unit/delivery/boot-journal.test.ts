import { afterEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Boot,
  type Boots,
  hasJournal,
  isProvisional,
  JOURNAL_FILE,
  NOTE_EVERY_MS,
  provisionalTime,
  readJournal,
  realTime,
  withBoot,
  writeJournal,
} from "../../../src/delivery/boot-journal.ts";

const START = 1_790_000_000_000;
const boot = (number: number, lastMs: number, startMs?: number): Boot => ({
  number,
  id: `boot-${number}`,
  lastMs,
  ...(startMs === undefined ? {} : { startMs }),
});

const folders: string[] = [];
afterEach(async () => {
  await Promise.all(folders.splice(0).map((path) => rm(path, { recursive: true, force: true })));
});

describe("provisionalTime()", () => {
  test("increases with the offset and with the boot, and is no time of anybody else", () => {
    const times = [
      provisionalTime(boot(0, 0), 0),
      provisionalTime(boot(0, 0), 5),
      provisionalTime(boot(1, 0), 0),
      provisionalTime(boot(2047, 0), 10 ** 12),
    ];
    expect(times).toEqual([...times].sort((left, right) => left - right));
    expect(times.every(isProvisional)).toBe(true);
    expect([0, -1, -62_135_596_800_000, START].some(isProvisional)).toBe(false);
    expect(() => new Date(times[0] ?? Number.NaN).toISOString()).not.toThrow();
  });
});

describe("realTime()", () => {
  test("is the start of the boot and the offset, exactly", () => {
    const boots: Boots = [boot(7, 0, START)];
    expect(realTime(provisionalTime(boot(7, 0), 1234), boots)).toBe(START + 1234);
  });

  test("leaves every other time as it is", () => {
    expect(realTime(-5, [])).toBe(-5);
    expect(realTime(START, [])).toBe(START);
  });

  test("is not known while no boot from that one on has a start", () => {
    const time = provisionalTime(boot(1, 0), 5);
    expect(realTime(time, [boot(1, 10)])).toBeUndefined();
    expect(realTime(time, [boot(0, 10, START), boot(1, 10)])).toBeUndefined();
  });

  test("boots without a start lie before the next one, in order", () => {
    const boots: Boots = [boot(0, 60_000), boot(1, 30_000), boot(2, 5, START)];
    const latest = (number: number, ms: number): number | undefined =>
      realTime(provisionalTime(boot(number, 0), ms), boots);
    // Up to a whole note period may have passed after the last note.
    const lastOfFirst = latest(0, 60_000 + NOTE_EVERY_MS);
    const firstOfSecond = latest(1, 0);
    expect(lastOfFirst).toBe(firstOfSecond);
    expect(latest(1, 30_000 + NOTE_EVERY_MS)).toBe(START);
    expect(latest(1, 10)).toBe((firstOfSecond ?? 0) + 10);
  });
});

describe("withBoot()", () => {
  test("finds the boot again after a restart of the process, and not after one of the machine", () => {
    const first = withBoot([], { id: "a", uptimeMs: 100 });
    expect(first.boot.number).toBe(0);
    expect(withBoot(first.boots, { id: "a", uptimeMs: 900 }).boot).toBe(first.boot);
    expect(withBoot(first.boots, { id: "b", uptimeMs: 10 }).boot.number).toBe(1);
    expect(withBoot(first.boots, { id: "", uptimeMs: 10 }).boot.number).toBe(1);
  });
});

describe("readJournal()", () => {
  test("reads what was written, and takes rubbish for nothing", async () => {
    const dir = await mkdtemp(join(tmpdir(), "tbgw-boots-"));
    folders.push(dir);
    expect(hasJournal(dir)).toBe(false);
    expect(readJournal(dir)).toEqual([]);
    const boots: Boots = [boot(3, 10), boot(4, 20, START)];
    writeJournal(dir, boots);
    expect(hasJournal(dir)).toBe(true);
    expect(readJournal(dir)).toEqual(boots);
    for (const rubbish of ["", "[{", '[{"number":-1}]', "{}"]) {
      await writeFile(join(dir, JOURNAL_FILE), rubbish);
      expect(readJournal(dir)).toEqual([]);
    }
  });
});
