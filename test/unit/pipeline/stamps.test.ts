import { describe, expect, test } from "bun:test";
import { Stamps } from "../../../src/pipeline/stamps.ts";
import { epochMs } from "../../../src/sdk/model.ts";

const NOON = 1_790_000_000_000;
const HOUR_MS = 3_600_000;

/** Stamps of values of one key of one device that arrived at these times. */
function stampsOf(arrivals: readonly number[]): number[] {
  const stamps = new Stamps();
  return arrivals.map((arrivedMs) => stamps.stamp("A", ["t"], epochMs(arrivedMs)));
}

describe("Stamps", () => {
  test("values of a key in one millisecond get successive times, also after a burst", () => {
    const burst = Array.from({ length: 5000 }, () => NOON);
    const stamps = stampsOf([...burst, NOON + 1000, NOON + 2000]);
    expect(stamps.slice(0, 3)).toEqual([NOON, NOON + 1, NOON + 2]);
    expect(stamps.slice(-2)).toEqual([NOON + 5000, NOON + 5001]);
  });

  test("a clock that is set back is followed: a wrong future must not last", () => {
    const year2036 = NOON + 10 * 365 * 24 * HOUR_MS;
    expect(stampsOf([year2036, year2036 + 1000, NOON, NOON + 1000])).toEqual([
      year2036,
      year2036 + 1000,
      NOON,
      NOON + 1000,
    ]);
    expect(stampsOf([NOON, NOON - HOUR_MS, NOON - HOUR_MS + 500])).toEqual([
      NOON,
      NOON - HOUR_MS,
      NOON - HOUR_MS + 500,
    ]);
  });

  test("a clock that is slewed or sources that overlap do not make a time come twice", () => {
    expect(stampsOf([NOON, NOON - 300, NOON - 200, NOON + 5])).toEqual([
      NOON,
      NOON + 1,
      NOON + 2,
      NOON + 5,
    ]);
  });
});
