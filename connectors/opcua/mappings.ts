import { formatPath } from "#sdk/config";
import { indexInFile } from "#sdk/config-places";
import type { ReportStrategy } from "#sdk/model";
import { toReportStrategy } from "#sdk/report-strategy";
import {
  type AttributePoint,
  type MappingConfig,
  type MethodConfig,
  OWN_CONVERTERS,
  type TimeseriesPoint,
} from "./config.ts";
import {
  type NodeExpression,
  parseNodeExpression,
  parseTemplate,
  type TemplatePart,
} from "./node-expression.ts";
import { looksLikeNodeId } from "./node-id.ts";

/** Whose time a value carries. */
export type Stamp = "gateway" | "source" | "server";

/** One value of a device, out of the configuration. */
export interface Point {
  readonly path: string;
  /** `undefined`: the name of the node. */
  readonly key: string | undefined;
  readonly section: "attributes" | "telemetry";
  /** A node, or what is sent as it stands. */
  readonly source: { readonly node: NodeExpression } | { readonly constant: string };
  readonly stamp: Stamp;
  readonly strategy: ReportStrategy | undefined;
}

/** A shared attribute and the node it is written to. */
export interface Update {
  readonly key: string;
  readonly node: NodeExpression;
  readonly timeoutMs: number;
}

/** One entry of `mapping`, read. */
export interface Mapping {
  readonly path: string;
  readonly pattern: NodeExpression;
  readonly name: readonly TemplatePart[];
  readonly nameText: string;
  readonly profile: readonly TemplatePart[];
  readonly points: readonly Point[];
  readonly updates: readonly Update[];
  readonly methods: readonly MethodConfig[];
  readonly strategy: ReportStrategy | undefined;
  readonly converter: string | undefined;
  readonly config: MappingConfig;
}

/** Reads the expressions of the mappings. The schema has refused those that cannot be read. */
export function compileMappings(configs: readonly MappingConfig[]): readonly Mapping[] {
  return configs.map((config, index) =>
    compileMapping(config, ["mapping", indexInFile(configs, index)]),
  );
}

function compileMapping(config: MappingConfig, path: readonly (string | number)[]): Mapping {
  const { deviceInfo } = config;
  const point =
    (section: Point["section"], list: "attributes" | "timeseries") =>
    (one: AttributePoint | TimeseriesPoint, index: number): Point => ({
      path: formatPath([...path, list, indexInFile(config[list], index)]),
      key: one.key,
      section,
      source: sourceOf(one),
      stamp:
        "timestampLocation" in one && isStamp(one.timestampLocation)
          ? one.timestampLocation
          : "gateway",
      strategy: toReportStrategy(one.reportStrategy),
    });
  return {
    path: formatPath(path),
    pattern: parseNodeExpression(config.deviceNodePattern),
    name: parseTemplate(deviceInfo.deviceNameExpression),
    nameText: deviceInfo.deviceNameExpression,
    profile: parseTemplate(deviceInfo.deviceProfileExpression),
    points: [
      ...config.attributes.map(point("attributes", "attributes")),
      ...config.timeseries.map(point("telemetry", "timeseries")),
    ],
    updates: config.attributes_updates.map(({ key, value, timeout }) => ({
      key,
      node: parseNodeExpression(value),
      timeoutMs: timeout,
    })),
    methods: config.rpc_methods,
    strategy: toReportStrategy(config.reportStrategy),
    converter: OWN_CONVERTERS.test(config.converter ?? "") ? undefined : config.converter,
    config,
  };
}

function isStamp(value: unknown): value is Stamp {
  return value === "gateway" || value === "source" || value === "server";
}

function sourceOf({ value, type }: AttributePoint | TimeseriesPoint): Point["source"] {
  return type === "constant" && !value.includes("${") && !looksLikeNodeId(value)
    ? { constant: value }
    : { node: parseNodeExpression(value) };
}
