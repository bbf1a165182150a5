import * as v from "valibot";
import { field, optional, type ParseIssue } from "#sdk/config";
import type { ReportStrategy } from "#sdk/model";
import { isAggregated, type StrategyConfig, strategyType } from "#sdk/report-strategy";
import { atLeast } from "./values.ts";

const aggregationFunction = optional(v.unknown(), {
  doc: "Not supported: with any value but null the whole strategy is left out.",
  ignored: true,
});

/** `thingsboard.reportStrategy`: what applies where neither connector, device nor key says otherwise. */
export const gatewayStrategy = v.looseObject({
  type: field(strategyType, "ON_RECEIVED", {
    doc: "When a value goes up: each one, on change, by time, or on change and by time. DISABLED sends everything and leaves out the strategies of connectors, devices and keys too.",
  }),
  reportPeriod: field(atLeast(1), 10_000, {
    doc: "Time between two reports of a key, for the two strategies with a period.",
    unit: "ms",
  }),
  ttl: field(atLeast(0), 86_400, {
    doc: "How long the last value of a key is remembered without a change.",
    unit: "s",
  }),
  aggregationFunction,
});

/** The gateway's strategy as the pipeline takes it. */
export function toGatewayStrategy(
  parsed: v.InferOutput<typeof gatewayStrategy>,
): Required<ReportStrategy> {
  if (isAggregated(parsed)) {
    return { type: "ON_RECEIVED", reportPeriod: parsed.reportPeriod, ttl: parsed.ttl };
  }
  return { type: parsed.type, reportPeriod: parsed.reportPeriod, ttl: parsed.ttl };
}

/** What a person should know about a strategy at `path`. */
export function strategyIssues(
  parsed: StrategyConfig | undefined,
  path: readonly (string | number)[],
): readonly ParseIssue[] {
  if (parsed === undefined) {
    return [];
  }
  if (isAggregated(parsed)) {
    const message = "aggregation is not supported: this report strategy is left out";
    return [{ severity: "error", path: [...path, "aggregationFunction"], message }];
  }
  const periodic = parsed.type?.endsWith("REPORT_PERIOD") === true;
  if (periodic && parsed.reportPeriod === undefined) {
    const message = `"reportPeriod" is missing: the gateway's period is used`;
    return [{ severity: "warning", path, message }];
  }
  return [];
}
