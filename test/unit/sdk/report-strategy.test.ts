import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import {
  reportStrategy,
  toReportStrategy,
  upgradeOnlyOnChange,
} from "../../../src/sdk/report-strategy.ts";

describe("toReportStrategy", () => {
  const of = (section: object) => toReportStrategy(v.parse(reportStrategy, section));

  test("what is not set is left to the level above", () => {
    expect(of({ type: "on_change" })).toEqual({ type: "ON_CHANGE" });
    expect(of({ reportPeriod: "5000" })).toEqual({ reportPeriod: 5000 });
    expect(of({ ttl: 5, aggregationFunction: null })).toEqual({ ttl: 5 });
  });

  test("nothing set, or an aggregation, is no strategy", () => {
    expect(toReportStrategy(undefined)).toBeUndefined();
    expect(of({})).toBeUndefined();
    expect(of({ type: "ON_CHANGE", aggregationFunction: "AVG" })).toBeUndefined();
  });
});

describe("upgradeOnlyOnChange", () => {
  test("the switch that is on becomes ON_CHANGE", () => {
    expect(upgradeOnlyOnChange({ a: 1, sendDataOnlyOnChange: true })).toEqual({
      a: 1,
      sendDataOnlyOnChange: true,
      reportStrategy: { type: "ON_CHANGE" },
    });
    expect(
      upgradeOnlyOnChange({ sendDataOnlyOnChange: true, reportStrategy: {} })["reportStrategy"],
    ).toEqual({ type: "ON_CHANGE" });
  });

  test("a strategy goes before it, and off changes nothing", () => {
    for (const entry of [
      { sendDataOnlyOnChange: true, reportStrategy: { type: "ON_RECEIVED" } },
      { sendDataOnlyOnChange: false },
      { sendDataOnlyOnChange: "yes" },
      {},
    ]) {
      expect(upgradeOnlyOnChange(entry)).toBe(entry);
    }
  });
});
