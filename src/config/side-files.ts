import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type * as v from "valibot";
import { parseConfig } from "#sdk/config";
import type { Json } from "#sdk/model";
import { type DeviceFilterRules, deviceFilter } from "./device-filter.ts";
import { deepFreeze } from "./freeze.ts";
import type { GatewayConfig } from "./gateway.ts";
import { type FileIssue, located } from "./issue.ts";
import { type LogsPlan, planLogs } from "./logs.ts";
import { type StatisticsCommand, statisticsCommands } from "./statistics.ts";
import { type Overlay, readDocument } from "./text-file.ts";

/** The files that the main file names besides those of the connectors. */
export interface SideFiles {
  /** `undefined`: no filter. */
  readonly deviceFilter: DeviceFilterRules | undefined;
  readonly statisticsCommands: readonly StatisticsCommand[];
  readonly logs: LogsFile;
  readonly issues: readonly FileIssue[];
}

/** What `logs.json` beside the main file comes to. */
export interface LogsFile {
  /** `undefined`: everything goes to standard output. */
  readonly plan: LogsPlan | undefined;
  /** In words: why there is no plan. */
  readonly problem: string | undefined;
  /** The content of the file; two plans cannot be compared, as they hold functions. */
  readonly raw: Json | undefined;
}

/** The file with the loggers. */
const LOGS_FILE = "logs.json";

/** Loads the device filter and the custom statistics, where they are switched on, and the loggers. Never throws. */
export function loadSideFiles(
  gateway: GatewayConfig,
  configDir: string,
  overlay?: Overlay,
): SideFiles {
  const { deviceFiltering, statistics } = gateway.thingsboard;
  const issues: FileIssue[] = [];
  const load = <S extends v.GenericSchema>(schema: S, name: string) =>
    loadChecked(schema, { file: resolve(configDir, name), overlay }, issues);
  const filter = deviceFiltering.enable
    ? load(deviceFilter, deviceFiltering.filterFile)
    : undefined;
  const custom = statistics.enableCustom ?? statistics.enable;
  const { configuration } = statistics;
  const commands =
    custom && configuration !== undefined && configuration !== ""
      ? load(statisticsCommands, configuration)
      : undefined;
  if ((commands ?? []).length > 0 && !gateway.tbgw.allowStatisticsCommands) {
    const names = (commands ?? []).map(({ attributeOnGateway }) => `"${attributeOnGateway}"`);
    const message = `the commands of ${names.join(", ")} are left out: they need tbgw.allowStatisticsCommands in tb_gateway.json`;
    const file = resolve(configDir, configuration ?? "");
    issues.push({ severity: "warning", file, line: 1, path: "$", message });
  }
  return {
    deviceFilter: deepFreeze(filter),
    statisticsCommands: deepFreeze(commands ?? []),
    logs: loadLogs({ file: resolve(configDir, LOGS_FILE), overlay }, issues),
    issues,
  };
}

interface Source {
  readonly file: string;
  readonly overlay: Overlay | undefined;
}

/** A missing file is no mistake: lines go to standard output then. */
function loadLogs({ file, overlay }: Source, issues: FileIssue[]): LogsFile {
  if (overlay?.has(file) !== true && !existsSync(file)) {
    return { plan: undefined, problem: "the file is missing", raw: undefined };
  }
  const { document, issues: textual } = readDocument(file, overlay);
  issues.push(...textual);
  if (document?.value === undefined) {
    const problem = textual[0]?.message ?? "the file is empty";
    return { plan: undefined, problem, raw: undefined };
  }
  const planned = planLogs(document.value);
  issues.push(...planned.issues.map((issue) => located(file, document, issue)));
  const problem = planned.plan === undefined ? planned.issues[0]?.message : undefined;
  return { plan: planned.plan, problem, raw: deepFreeze(document.value) };
}

function loadChecked<S extends v.GenericSchema>(
  schema: S,
  { file, overlay }: Source,
  issues: FileIssue[],
): v.InferOutput<S> | undefined {
  const { document, issues: textual } = readDocument(file, overlay);
  issues.push(...textual);
  if (document?.value === undefined) {
    return undefined;
  }
  const parsed = parseConfig(schema, document.value);
  issues.push(...parsed.issues.map((issue) => located(file, document, issue)));
  return parsed.value;
}
