import { describe, expect, test } from "bun:test";
import { Series } from "../../../../src/demo/thingsboard/series.ts";
import { epochMs } from "../../../../src/sdk/model.ts";

function filled(retain: number | undefined, stamps: readonly number[]): Series {
  const series = new Series("k", { retain });
  for (const [index, ts] of stamps.entries()) {
    series.add({ key: "k", ts: epochMs(ts), type: "LONG", value: index, text: String(index) });
  }
  return series;
}

describe("Series", () => {
  test("stored() is ordered by ts and the last arrival of a ts wins", () => {
    const series = filled(undefined, [3, 1, 3, 2]);
    expect(series.arrivals().map((point) => point.value)).toEqual([0, 1, 2, 3]);
    expect(series.stored().map((point) => point.value)).toEqual([1, 3, 2]);
  });

  test("latest is the highest ts, of equal ones the last arrival", () => {
    expect(filled(undefined, [3, 5, 5, 4]).latest?.value).toBe(2);
  });

  test("retain bounds what is kept and not what is counted", () => {
    const stamps = Array.from({ length: 1_000 }, (_, index) => index);
    const series = filled(10, stamps);
    expect(series.arrivals().map((point) => Number(point.ts))).toEqual(stamps.slice(-10));
    expect(series.count).toBe(1_000);
    expect(filled(0, stamps).arrivals()).toEqual([]);
    expect(filled(0, stamps).latest?.value).toBe(999);
  });
});
