import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type DateOptions, normaliseTs, parseDate } from "#sdk/dates";
import { type EpochMs, epochMs, Float, type Json } from "#sdk/model";
import { runs } from "../../support/property-runs.ts";

const NOW = epochMs(new Date(2025, 5, 15, 12, 34, 56, 789).getTime());

/** A local moment; month 1 is January. */
function local(year: number, month: number, day: number, ...time: readonly number[]): number {
  const [hour = 0, minute = 0, second = 0, millisecond = 0] = time;
  return new Date(year, month - 1, day, hour, minute, second, millisecond).getTime();
}

const DAY_FIRST: DateOptions = { dayFirst: true };
const YEAR_FIRST: DateOptions = { yearFirst: true };

describe("parseDate()", () => {
  const cases: readonly (readonly [string, DateOptions, number | undefined])[] = [
    ["2024-01-02T03:04:05Z", {}, 1704164645000],
    ["2024-01-02T03:04:05+02:00", {}, 1704157445000],
    ["2024-01-02T03:04:05.678", {}, local(2024, 1, 2, 3, 4, 5, 678)],
    ["2024-01-02", {}, local(2024, 1, 2)],
    ["20240102T030405", {}, local(2024, 1, 2, 3, 4, 5)],
    ["20240102030405", {}, local(2024, 1, 2, 3, 4, 5)],
    ["01/02/2024 03:04", {}, local(2024, 1, 2, 3, 4)],
    ["01/02/2024 03:04", DAY_FIRST, local(2024, 2, 1, 3, 4)],
    ["25.12.2024 10:00", {}, local(2024, 12, 25, 10)],
    ["10.11.24 10:10:10.252", {}, local(2024, 10, 11, 10, 10, 10, 252)],
    ["10.11.24 10:10:10.252", DAY_FIRST, local(2024, 11, 10, 10, 10, 10, 252)],
    ["10.11.24 10:10:10.252", YEAR_FIRST, local(2010, 11, 24, 10, 10, 10, 252)],
    ["10.11.25 10:35:12.123", {}, local(2025, 10, 11, 10, 35, 12, 123)],
    ["10.11.25 10:35:12.123", DAY_FIRST, local(2025, 11, 10, 10, 35, 12, 123)],
    ["10.11.25 10:35:12.123", YEAR_FIRST, local(2010, 11, 25, 10, 35, 12, 123)],
    ["2025-10-20T11:53:37.637Z", {}, 1760961217637],
    ["Jan 2 2024 3:04 PM", {}, local(2024, 1, 2, 15, 4)],
    ["Tue, 02 Jan 2024 03:04:05 GMT", {}, 1704164645000],
    ["12:30", {}, local(2025, 6, 15, 12, 30)],
    ["2024-01-02 03:04:05 CET", {}, local(2024, 1, 2, 3, 4, 5)],
    ["1700000000", {}, undefined],
    ["1700000000000", {}, undefined],
    ["", {}, undefined],
    ["   ", {}, undefined],
    ["2024-01-02T03:04:05,678Z", {}, 1704164645678],
    ["2024-01-02T03:04:05.678999Z", {}, 1704164645678],
    ["2024-01-02T03:04:05.6Z", {}, 1704164645600],
    ["2024-01-02 03:04 -0530", {}, Date.UTC(2024, 0, 2, 8, 34)],
    ["2024-01-02 03:04 +5", {}, Date.UTC(2024, 0, 1, 22, 4)],
    ["2024-01-02 03:04:05 +0200 (CEST)", {}, 1704157445000],
    ["2024-01-02 03:04:05 GMT+3", {}, Date.UTC(2024, 0, 2, 6, 4, 5)],
    ["2024-01-02T03:04z", {}, Date.UTC(2024, 0, 2, 3, 4)],
    ["2-Jan-2024", {}, local(2024, 1, 2)],
    ["Jan-02-2024", {}, local(2024, 1, 2)],
    ["3rd of May 2001", {}, local(2001, 5, 3)],
    ["May 3rd, 2001 at 5 pm", {}, local(2001, 5, 3, 17)],
    ["12 am", {}, local(2025, 6, 15)],
    ["10h36m28.5s", {}, local(2025, 6, 15, 10, 36, 28, 500)],
    ["10 h 36", {}, local(2025, 6, 15, 10, 36)],
    ["10.5h", {}, local(2025, 6, 15, 10, 30)],
    ["19990101T2359", {}, local(1999, 1, 1, 23, 59)],
    ["240102 030405", {}, local(2002, 1, 24, 3, 4, 5)],
    ["240102 030405", YEAR_FIRST, local(2024, 1, 2, 3, 4, 5)],
    ["Sat", {}, local(2025, 6, 21)],
    ["Sunday 10:00", {}, local(2025, 6, 15, 10)],
    ["Feb 2024", {}, local(2024, 2, 15)],
    ["Feb", {}, local(2025, 2, 15)],
    ["2 Jan 74", {}, local(1974 + 100, 1, 2)],
    ["2 Jan 75", {}, local(1975, 1, 2)],
    ["29 Feb 2024", {}, local(2024, 2, 29)],
    ["29 Feb 2025", {}, undefined],
    ["2024-13-01", {}, undefined],
    ["2024-13-13", {}, undefined],
    ["2024-04-31", {}, undefined],
    ["24:00", {}, undefined],
    ["12:60", {}, undefined],
    ["23:59:60", {}, undefined],
    ["13 pm 2024-01-02", {}, local(2024, 1, 2, 13)],
    ["2024-01-02 +25:00", {}, undefined],
    ["hello", {}, undefined],
    ["T", {}, undefined],
    ["1/2/3/4", {}, undefined],
    ["2024-01-02 03:xx", {}, undefined],
    ["2024年1月2日", {}, undefined],
    ["1".repeat(200), {}, undefined],
  ];
  for (const [text, options, expected] of cases) {
    test(`reads "${text.slice(0, 40)}" ${JSON.stringify(options)} as ${expected}`, () => {
      expect(parseDate(text, options, NOW)).toBe(expected as EpochMs);
    });
  }

  test("a month without a day takes today's day, at most its own last one", () => {
    const thirtyFirst = epochMs(new Date(2025, 0, 31).getTime());
    expect(parseDate("Feb 2025", {}, thirtyFirst)).toBe(epochMs(local(2025, 2, 28)));
  });

  test("reads any ISO date back", () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date("1900-01-01"), max: new Date("9999-12-30"), noInvalidDate: true }),
        (date) => {
          expect(parseDate(date.toISOString(), {}, NOW)).toBe(epochMs(date.getTime()));
          expect(parseDate(date.toUTCString(), {}, NOW)).toBe(
            epochMs(Math.floor(date.getTime() / 1000) * 1000),
          );
        },
      ),
    );
  });

  test("never throws", () => {
    const piece = fc.constantFrom(
      ..."2024 24 01 13 99 Jan Mon T - / . : , 10 45.5 h m am Z EST + ( ) of at".split(" "),
      " ",
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(piece, { maxLength: 10 }).map((pieces) => pieces.join("")),
    );
    fc.assert(
      fc.property(text, fc.boolean(), fc.boolean(), (value, dayFirst, yearFirst) => {
        const result = parseDate(value, { dayFirst, yearFirst }, NOW);
        expect(result === undefined || Number.isSafeInteger(result)).toBe(true);
      }),
      { numRuns: runs(3000) },
    );
  });
});

describe("normaliseTs()", () => {
  const cases: readonly (readonly [string, Json, number | undefined])[] = [
    ["milliseconds", 1700000000000, 1700000000000],
    ["seconds", 1700000000, 1700000000000],
    ["the first milliseconds", 1e11, 1e11],
    ["the last seconds", 1e11 - 1, (1e11 - 1) * 1000],
    ["broken seconds", Float.fromText("1700000000.123"), 1700000000123],
    ["broken milliseconds", Float.fromText("1700000000123.9"), 1700000000123],
    ["a float with an exponent", Float.fromText("1.7e12"), 1700000000000],
    ["a bigint of milliseconds", 1700000000000n, 1700000000000],
    ["text of seconds", "1700000000", 1700000000000],
    ["text of milliseconds", " 1700000000000 ", 1700000000000],
    ["text of broken seconds", "1700000000.5", 1700000000500],
    ["a date", "2024-01-02T03:04:05Z", 1704164645000],
    ["a compact date", "20240102", local(2024, 1, 2)],
    ["a compact moment", "20240102030405", local(2024, 1, 2, 3, 4, 5)],
    ["zero", 0, 0],
    ["a negative number", -1, undefined],
    ["nanoseconds", 1700000000000000000n, undefined],
    ["NaN", Number.NaN, undefined],
    ["infinity", Float.fromText("1e400"), undefined],
    ["other text", "soon", undefined],
    ["empty text", "", undefined],
    ["null", null, undefined],
    ["true", true, undefined],
    ["an array", [1700000000000], undefined],
    ["an object", { ts: 1 }, undefined],
  ];
  for (const [name, value, expected] of cases) {
    test(`reads ${name} as ${expected}`, () => {
      expect(normaliseTs(value, {}, NOW)).toBe(expected as EpochMs);
    });
  }

  test("hands the options on", () => {
    expect(normaliseTs("01/02/2024", DAY_FIRST, NOW)).toBe(epochMs(local(2024, 2, 1)));
  });
});
