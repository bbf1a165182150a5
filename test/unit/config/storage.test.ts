import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { storage, toStoragePlan } from "../../../src/config/storage.ts";

function plan(section: object) {
  return toStoragePlan(v.parse(storage, section));
}
const DAY_MS = 86_400_000;

describe("toStoragePlan", () => {
  test("an empty section is a durable store with the quota of the disk", () => {
    expect(plan({})).toEqual({
      settings: {
        kind: "sqlite",
        maxRecords: 10_000,
        maxBytes: undefined,
        ttlMs: 7 * DAY_MS,
        whenFull: "drop-oldest",
        durability: "durable",
        commitIntervalMs: 250,
        drain: "fifo",
      },
      leftBehind: undefined,
    });
  });

  test("memory is a ring that refuses further records", () => {
    const { settings, leftBehind } = plan({ type: "memory", max_records_count: 5 });
    expect(settings).toMatchObject({ kind: "memory", maxRecords: 5, whenFull: "drop-newest" });
    expect(leftBehind).toBeUndefined();
  });

  test("file: the quota is the files' size, and never below 1 GiB", () => {
    const small = plan({ type: "file" });
    expect(small.settings).toMatchObject({ kind: "sqlite", maxBytes: 2 ** 30 });
    const large = plan({ type: "file", max_file_count: 200, max_records_per_file: 10_000 });
    expect(large.settings.maxBytes).toBe(200 * 10_000 * 1024);
    expect(large.leftBehind).toEqual({ kind: "file", folder: "./" });
  });

  test("sqlite: the quota is size_limit times max_db_amount, the age messages_ttl_in_days", () => {
    const { settings } = plan({ type: "sqlite", size_limit: 10, messages_ttl_in_days: 1 });
    expect(settings).toMatchObject({ maxBytes: 100_000_000, ttlMs: DAY_MS });
    expect(plan({ type: "sqlite" }).settings.maxBytes).toBe(10_240_000_000);
  });

  test.each([
    ["./data/data.db", "./data/"],
    ["./data/", "./data/"],
    ["data.db", "./"],
    ["/var/x/y.db", "/var/x/"],
  ])("the database of a Python gateway at %s is in %s", (path, folder) => {
    expect(plan({ type: "sqlite", data_file_path: path }).leftBehind?.folder).toBe(folder);
  });

  test("our own keys go before what the type comes to", () => {
    const own = {
      maxBytes: 100_000,
      ttlDays: 0.5,
      whenFull: "wait",
      durability: "relaxed",
      commitIntervalMs: 0,
      drain: "fifo",
    };
    for (const type of ["memory", "file", "sqlite"]) {
      expect(plan({ type, ...own }).settings).toMatchObject({
        maxBytes: 100_000,
        ttlMs: DAY_MS / 2,
        whenFull: "wait",
        durability: "relaxed",
        commitIntervalMs: 0,
        drain: "fifo",
      });
    }
  });
});
