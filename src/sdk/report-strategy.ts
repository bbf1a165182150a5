import * as v from "valibot";
import { optional } from "./config.ts";
import type { Json, ReportStrategy } from "./model.ts";

/** The strategies, as they are written in the configuration files, in any case. */
export const strategyType = v.pipe(
  v.string(),
  v.toUpperCase(),
  v.picklist([
    "ON_RECEIVED",
    "ON_CHANGE",
    "ON_REPORT_PERIOD",
    "ON_CHANGE_OR_REPORT_PERIOD",
    "DISABLED",
  ]),
);

/** A number of at least `min`, also as text: `"5000"`. */
function atLeast(min: number) {
  return v.pipe(
    v.union([v.number(), v.pipe(v.string(), v.regex(/^\s*\d+\s*$/), v.transform(Number))]),
    v.minValue(min),
    v.maxValue(Number.MAX_SAFE_INTEGER, "is larger than a file can hold exactly"),
  );
}

/**
 * `reportStrategy` of a connector, a device or a key. What is missing is taken from the level above: key, device, connector,
 * gateway. `toReportStrategy` makes of it what `DeviceData` takes.
 */
export const reportStrategy = v.looseObject({
  type: optional(strategyType, {
    doc: "When a value goes up. DISABLED: each one. Default: that of the level above.",
  }),
  reportPeriod: optional(atLeast(1), {
    doc: "Time between two reports of a key. Default: that of the level above.",
    unit: "ms",
  }),
  ttl: optional(atLeast(0), {
    doc: "How long the last value of a key is remembered without a change. Default: that of the level above.",
    unit: "s",
  }),
  aggregationFunction: optional(v.unknown(), {
    doc: "Not supported: with any value but null the whole strategy is left out.",
    ignored: true,
  }),
});

/** A `reportStrategy` of a configuration. */
export type StrategyConfig = v.InferOutput<typeof reportStrategy>;

/** A configured strategy as the core takes it; `undefined` when nothing is set, or when it asks for an aggregation. */
export function toReportStrategy(config: StrategyConfig | undefined): ReportStrategy | undefined {
  if (config === undefined || isAggregated(config)) {
    return undefined;
  }
  const { type, reportPeriod, ttl } = config;
  if (type === undefined && reportPeriod === undefined && ttl === undefined) {
    return undefined;
  }
  return {
    ...(type === undefined ? {} : { type }),
    ...(reportPeriod === undefined ? {} : { reportPeriod }),
    ...(ttl === undefined ? {} : { ttl }),
  };
}

/** Whether a strategy asks for an aggregation, which nobody does: it is left out as a whole. */
export function isAggregated(config: { readonly aggregationFunction?: unknown }): boolean {
  return config.aggregationFunction !== undefined && config.aggregationFunction !== null;
}

/**
 * For the `upgrade` of a connector: the old switch `sendDataOnlyOnChange: true` of a connector, device or converter becomes
 * the strategy it stands for, on the same level. An entry that has a `reportStrategy` keeps that one. The switch stays in place.
 */
export function upgradeOnlyOnChange(entry: { readonly [key: string]: Json }): {
  readonly [key: string]: Json;
} {
  const { sendDataOnlyOnChange: isOn, reportStrategy: own } = entry;
  const hasOwn = own !== undefined && own !== null && Object.keys(own).length > 0;
  return isOn === true && !hasOwn ? { ...entry, reportStrategy: { type: "ON_CHANGE" } } : entry;
}
