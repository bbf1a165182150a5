import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import {
  gatewayStrategy,
  strategyIssues,
  toGatewayStrategy,
} from "../../../src/config/report-strategy.ts";
import { reportStrategy } from "../../../src/sdk/report-strategy.ts";

describe("toGatewayStrategy", () => {
  test("an empty section is ON_RECEIVED, the type in any case", () => {
    const empty = toGatewayStrategy(v.parse(gatewayStrategy, {}));
    expect(empty).toEqual({ type: "ON_RECEIVED", reportPeriod: 10_000, ttl: 86_400 });
    expect(toGatewayStrategy(v.parse(gatewayStrategy, { type: "on_change" })).type).toBe(
      "ON_CHANGE",
    );
  });

  test("an aggregation leaves the strategy out", () => {
    const parsed = v.parse(gatewayStrategy, { type: "ON_CHANGE", aggregationFunction: "AVG" });
    expect(toGatewayStrategy(parsed).type).toBe("ON_RECEIVED");
    expect(strategyIssues(parsed, ["x"])).toMatchObject([
      { severity: "error", path: ["x", "aggregationFunction"] },
    ]);
  });
});

describe("strategyIssues", () => {
  test("a period strategy without a period is a warning", () => {
    const warned = (section: object) =>
      strategyIssues(v.parse(reportStrategy, section), []).map(({ severity }) => severity);
    expect(warned({ type: "ON_REPORT_PERIOD" })).toEqual(["warning"]);
    expect(warned({ type: "ON_CHANGE_OR_REPORT_PERIOD" })).toEqual(["warning"]);
    expect(warned({ type: "ON_REPORT_PERIOD", reportPeriod: 1 })).toEqual([]);
    expect(warned({ type: "ON_CHANGE" })).toEqual([]);
  });
});
