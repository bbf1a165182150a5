import type { ReportStrategy } from "#sdk/model";
import type { StrategyConfig } from "./item-config.ts";

/** A strategy of the configuration as the pipeline takes it; one without a type says nothing. */
export function toStrategy(config: StrategyConfig | undefined): ReportStrategy | undefined {
  if (config?.type === undefined) {
    return undefined;
  }
  const { type, reportPeriod, ttl } = config;
  return {
    type,
    ...(reportPeriod === undefined ? {} : { reportPeriod }),
    ...(ttl === undefined ? {} : { ttl }),
  };
}
