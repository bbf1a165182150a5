import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import {
  gatewayStrategy,
  strategyIssues,
  toConnectorStrategy,
  toGatewayStrategy,
} from "../../../src/config/report-strategy.ts";
import { reportStrategy } from "../../../src/sdk/report-strategy.ts";

const gateway = { type: "ON_CHANGE", reportPeriod: 5000, ttl: 60 } as const;

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

describe("toConnectorStrategy", () => {
  const of = (section: object) => toConnectorStrategy(v.parse(reportStrategy, section), gateway);

  test("none or an empty one inherits", () => {
    expect(toConnectorStrategy(undefined, gateway)).toBeUndefined();
    expect(of({})).toBeUndefined();
    expect(of({ type: "ON_CHANGE", aggregationFunction: "AVG" })).toBeUndefined();
  });

  test("what is missing is the gateway's", () => {
    expect(of({ reportPeriod: 1 })).toEqual({ type: "ON_CHANGE", reportPeriod: 1, ttl: 60 });
    expect(of({ type: "on_received", aggregationFunction: null })).toEqual({
      type: "ON_RECEIVED",
      reportPeriod: 5000,
      ttl: 60,
    });
  });

  test("a period strategy without a period is a warning", () => {
    const warned = (section: object) =>
      strategyIssues(v.parse(reportStrategy, section), []).map(({ severity }) => severity);
    expect(warned({ type: "ON_REPORT_PERIOD" })).toEqual(["warning"]);
    expect(warned({ type: "ON_CHANGE_OR_REPORT_PERIOD" })).toEqual(["warning"]);
    expect(warned({ type: "ON_REPORT_PERIOD", reportPeriod: 1 })).toEqual([]);
    expect(warned({ type: "ON_CHANGE" })).toEqual([]);
  });
});
