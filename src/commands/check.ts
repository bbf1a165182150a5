import { relative } from "node:path";
import { defineCommand } from "citty";
import type { LoadedConnector, ReadyConnector } from "../config/connectors.ts";
import { compareIssues } from "../config/issue.ts";
import { type LoadedConfiguration, type LoadOptions, loadConfiguration } from "../config/load.ts";
import { connectorTypes } from "../connector/registry.ts";
import { openExtensions } from "../extension/open.ts";
import { systemClock } from "../sdk/clock.ts";
import type { Explanation } from "../sdk/connector.ts";
import { encodeJson } from "../sdk/encode.ts";
import { errorText } from "../sdk/errors.ts";
import { createLogger, type Logger } from "../sdk/logger.ts";
import { type CheckedExtensions, extensionIssues } from "./check-converters.ts";
import { extensionArgs, extensionFlags, UsageError } from "./flags.ts";
import { print } from "./print.ts";

/** How the findings are judged and printed. */
export interface CheckFlags {
  /** Warnings count as errors. */
  readonly strict: boolean;
  /** One JSON object in place of lines. */
  readonly json: boolean;
  /** What each mapping or tag asks for and sends. */
  readonly explain: boolean;
  /** Only what keeps the gateway from starting counts. Default: false. */
  readonly startable?: boolean;
}

/** What is to be printed, ending with a line break, and the exit code. */
export interface CheckResult {
  readonly text: string;
  /** 0: no errors, and no warnings under `strict`; else 3. */
  readonly exitCode: 0 | 3;
}

/** What is checked. */
export interface CheckOptions extends LoadOptions {
  readonly extensions?: CheckedExtensions | undefined;
}

/** Loads a configuration as `tbgw run` would, and says everything that is wrong with it. Connects to nothing. */
export async function check(options: CheckOptions, flags: CheckFlags): Promise<CheckResult> {
  const loaded = await loadAll(options);
  const explained = flags.explain ? loaded.connectors.flatMap(explainConnector) : undefined;
  const broken = (explained ?? []).filter(({ problem }) => problem !== undefined).length;
  const errors = countOf(loaded, "error") + broken;
  const warnings = countOf(loaded, "warning");
  const isBad = errors > 0 || (flags.strict && warnings > 0);
  const failed = loaded.fatal || (isBad && flags.startable !== true);
  const report: Report = { loaded, explained, errors, warnings, cwd: options.cwd };
  return { text: flags.json ? asJson(report) : asLines(report), exitCode: failed ? 3 : 0 };
}

async function loadAll(options: CheckOptions): Promise<LoadedConfiguration> {
  const loaded = await loadConfiguration(options);
  const more = await extensionIssues(loaded.connectors, options.extensions);
  return { ...loaded, issues: [...loaded.issues, ...more].sort(compareIssues) };
}

interface Report {
  readonly loaded: LoadedConfiguration;
  readonly explained: readonly ExplainedConnector[] | undefined;
  readonly errors: number;
  readonly warnings: number;
  readonly cwd: string;
}

interface ExplainedConnector {
  readonly connector: ReadyConnector;
  readonly explanations: readonly Explanation[];
  readonly problem: string | undefined;
}

function countOf(loaded: LoadedConfiguration, severity: "error" | "warning"): number {
  return loaded.issues.filter((issue) => issue.severity === severity).length;
}

function explainConnector(connector: LoadedConnector): readonly ExplainedConnector[] {
  if (connector.state !== "ready" || connector.definition.explain === undefined) {
    return [];
  }
  try {
    const explanations = connector.definition.explain(connector.config);
    return [{ connector, explanations, problem: undefined }];
  } catch (error) {
    return [{ connector, explanations: [], problem: errorText(error) }];
  }
}

function asLines(report: Report): string {
  const { loaded, explained, cwd } = report;
  const lines: string[] = [];
  for (const { severity, file, line, path, message } of loaded.issues) {
    const place = [shortPath(file, cwd), ...(line === undefined ? [] : [line])].join(":");
    const parts = [place, ...(path === "$" ? [] : [path])];
    lines.push([...parts, ...(severity === "warning" ? ["warning"] : []), message].join(": "));
  }
  for (const { connector, explanations, problem } of explained ?? []) {
    lines.push("", `${connector.name} (${connector.type}, ${shortPath(connector.file, cwd)})`);
    if (problem !== undefined) {
      lines.push(`  cannot be explained: ${problem}`);
    }
    for (const { path, request, sends } of explanations) {
      lines.push(`  ${path}: ${request}`);
      lines.push(`    sends ${sends === null ? "nothing" : sentText(sends)}`);
    }
  }
  if (lines.length > 0) {
    lines.push("");
  }
  lines.push(...summary(report));
  return `${lines.join("\n")}\n`;
}

function summary({ loaded, errors, warnings }: Report): readonly string[] {
  const states = ["ready", "invalid", "skipped"] as const;
  const counts = states
    .map((state) => ({ state, count: loaded.connectors.filter((c) => c.state === state).length }))
    .filter(({ state, count }) => count > 0 || state === "ready")
    .map(({ state, count }) => `${count} ${state}`);
  const lines = [
    `${plural(errors, "error")}, ${plural(warnings, "warning")}; connectors: ${counts.join(", ")}`,
  ];
  if (loaded.fatal) {
    lines.push("The gateway cannot start with this configuration.");
  }
  return lines;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Relative where that is shorter, so that an editor or terminal can open it from here. */
function shortPath(file: string, cwd: string): string {
  if (!file.startsWith("/")) {
    return file;
  }
  const short = relative(cwd, file);
  return short.startsWith("..") || short === "" ? file : short;
}

function sentText(sends: NonNullable<Explanation["sends"]>): string {
  // `undefined` members are left out: the encoder takes JSON values only.
  const members = Object.entries(sends).filter(([, value]) => value !== undefined);
  return `{${members.map(([key, value]) => `${JSON.stringify(key)}:${encodeJson(value)}`).join(",")}}`;
}

function asJson(report: Report): string {
  const { loaded, explained, errors, warnings } = report;
  const connectors = loaded.connectors.map((connector) => {
    const found = explained?.find((candidate) => candidate.connector === connector);
    const explanations = found?.explanations.map(({ path, request, sends }) => ({
      path,
      request,
      sends: sends === null ? null : sentText(sends),
    }));
    const { id, name, type, file, state } = connector;
    return { id, name, type, file, state, explanations, problem: found?.problem };
  });
  const { configDir, dataDir, fatal, issues } = loaded;
  const all = { configDir, dataDir, fatal, errors, warnings, connectors, issues };
  return `${JSON.stringify(all, undefined, 2)}\n`;
}

/** `tbgw check` */
export const checkCommand = defineCommand({
  meta: { name: "check", description: "Check the configuration" },
  args: {
    config: { type: "string", description: "Directory with tb_gateway.json", valueHint: "DIR" },
    data: {
      type: "string",
      description: "Directory for the event store and state",
      valueHint: "DIR",
    },
    strict: { type: "boolean", description: "Warnings count as errors" },
    json: { type: "boolean", description: "Print one JSON object" },
    explain: { type: "boolean", description: "Say what each mapping asks for and sends" },
    startable: {
      type: "boolean",
      description: "Fail only for what keeps the gateway from starting",
    },
    ...extensionArgs,
  },
  run: async ({ args, rawArgs }) => {
    const [extra] = args._;
    if (extra !== undefined) {
      throw new UsageError(`check takes no argument "${extra}"; the directory goes after --config`);
    }
    const place = {
      configDir: args.config,
      dataDir: args.data,
      env: process.env,
      cwd: process.cwd(),
    };
    const extensions = openExtensions(extensionFlags(rawArgs, args), place, warningLog());
    const result = await check(
      { ...place, connectorTypes, extensions },
      {
        strict: args.strict === true,
        json: args.json === true,
        explain: args.explain === true,
        startable: args.startable === true,
      },
    );
    await print(result.text);
    return result.exitCode;
  },
});

/** What is said beside the mistakes of the configuration goes to the terminal, not into what a script reads. */
function warningLog(): Logger {
  return createLogger({
    source: "extension",
    level: "warn",
    clock: systemClock,
    sink: ({ level, message, fields }) => {
      // What cannot be used is among the mistakes of the configuration.
      if (level === "warn") {
        process.stderr.write(`tbgw: ${message}: ${JSON.stringify(fields)}\n`);
      }
    },
  });
}
