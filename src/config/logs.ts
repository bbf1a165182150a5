import * as v from "valibot";
import { field, formatPath, optional, type ParseIssue, parseConfig } from "#sdk/config";
import { ConfigError } from "#sdk/errors";
import type { LogLevel } from "#sdk/logger";
import type { Json } from "#sdk/model";
import { nearest } from "#sdk/nearest";
import { parseHandlerLevel, parseLevel } from "../logging/levels.ts";
import { compileFormat, type LineFormat } from "../logging/python-format.ts";
import { ROTATION_UNITS, type Rotation } from "../logging/rotation.ts";
import { anyCase, whole } from "./values.ts";

const LEVELS = "`TRACE`, `DEBUG`, `INFO`, `WARNING`, `ERROR`, `CRITICAL`, or their numbers";

function level(isKnown: (value: unknown) => boolean) {
  const message = "must be TRACE, DEBUG, INFO, WARNING, ERROR, CRITICAL or NONE, or a number";
  return v.pipe(
    v.union([v.string(), v.number()]),
    v.check((value: string | number) => isKnown(value), message),
  );
}

const handlerLevel = level((value) => parseHandlerLevel(value) !== undefined);
const loggerLevel = level((value) => parseLevel(value) !== undefined);

const ignored = (doc: string) => optional(v.unknown(), { doc, ignored: true });

const formatter = v.looseObject({
  format: field(v.string(), "%(message)s", {
    doc: "The line, in the style of Python's `logging`: `%(asctime)s`, `%(levelname)s`, `%(message)s` and so on.",
    examples: ["%(asctime)s - |%(levelname)s| - [%(filename)s] - %(message)s"],
  }),
  datefmt: optional(v.string(), {
    doc: "The time in it, as `strftime` writes it. Default: `2026-01-31 12:00:00,123`.",
    examples: ["%Y-%m-%d %H:%M:%S"],
  }),
  style: field(v.picklist(["%"]), "%", { doc: "Only the style of `%` is understood." }),
  class: ignored("Python class."),
  validate: ignored("Python only."),
  defaults: ignored("Python only."),
});

const handler = v.looseObject({
  formatter: optional(v.string(), { doc: "The name of its line among `formatters`." }),
  level: field(handlerLevel, 0, {
    doc: `Lines below it are left out: ${LEVELS}. 0 and \`NOTSET\` let all pass, \`NONE\` none.`,
  }),
  filename: optional(v.pipe(v.string(), v.minLength(1)), {
    doc: "Writes to this file, which is put aside as the keys below say. Relative to the data directory; `TB_GW_LOGS_PATH` moves it. A handler without it writes to standard output.",
    examples: ["./logs/service.log"],
  }),
  stream: optional(v.string(), {
    doc: "`ext://sys.stderr` for standard error.",
    examples: ["ext://sys.stdout"],
  }),
  when: field(anyCase([...ROTATION_UNITS]), "H", {
    doc: "What `interval` counts: seconds, minutes, hours, days, midnights, or the end of a weekday (`W0` is Monday).",
  }),
  interval: field(whole(1), 1, { doc: "How long a file is written to." }),
  backupCount: field(whole(0), 0, {
    doc: "How many files that were put aside are kept; 0: as many as `tbgw.logs.maxTotalBytes` of the main file allows.",
  }),
  maxBytes: field(whole(0), 0, {
    doc: "Size at which a file is put aside earlier; 0: see `tbgw.logs.maxTotalBytes` of the main file.",
    unit: "bytes",
  }),
  class: ignored("Python class."),
  encoding: ignored("Always UTF-8."),
  delay: ignored("A file is made with its first line."),
  utc: ignored("Python only."),
  atTime: ignored("Python only."),
  mode: ignored("Lines are always added."),
  errors: ignored("Python only."),
  filters: ignored("Python only."),
});

const logger = v.looseObject({
  level: optional(loggerLevel, {
    doc: `Lines below it do not exist, for no handler and not for the platform: ${LEVELS}; \`NONE\` switches the logger off. Default: that of \`root\`. Connectors have their own \`logLevel\` in its place.`,
  }),
  handlers: field(v.array(v.string()), [], { doc: "The names of its handlers." }),
  propagate: field(v.boolean(), true, { doc: "Whether the handlers of `root` get its lines too." }),
  qualname: ignored("Python only."),
  filters: ignored("Python only."),
});

/** `logs.json`, what the Python gateway gives to `logging.config.dictConfig`. */
export const logsConfig = v.looseObject({
  version: ignored("Always 1."),
  disable_existing_loggers: ignored("Python only."),
  incremental: ignored("Python only."),
  filters: ignored("Python only."),
  ts: ignored("Written by remote configuration."),
  formatters: field(v.record(v.string(), formatter), {}, { doc: "The lines, by name." }),
  handlers: field(v.record(v.string(), handler), {}, { doc: "Where lines go, by name." }),
  loggers: field(
    v.record(v.string(), logger),
    {},
    {
      doc: "The parts of the gateway that log: `service`, `tb_connection` (to the platform), `storage`, `extension`, `connector` (all of them, each with a file of its own beside the one named here), `converter` (of their data). `database` has no lines: those of the event store are in `storage`.",
    },
  ),
  root: field(logger, {}, { doc: "The loggers that are not named, and those with `propagate`." }),
});

type LogsConfig = v.InferOutput<typeof logsConfig>;

/** Where lines go. */
export type HandlerPlan = {
  readonly name: string;
  readonly level: LogLevel;
  readonly format: LineFormat;
} & (
  | { readonly kind: "stdout" | "stderr" }
  | { readonly kind: "file"; readonly filename: string; readonly rotation: Rotation }
);

/** One logger: which lines exist, and where they go. */
export interface LoggerPlan {
  readonly level: LogLevel;
  readonly handlers: readonly HandlerPlan[];
}

/** The loggers a plan is about; `root` stands for those that are not named. */
export type PlannedLogger =
  | "service"
  | "tb_connection"
  | "storage"
  | "extension"
  | "connector"
  | "converter"
  | "root";

/** The names a file may give to loggers. */
const LOGGERS: readonly string[] = [
  "service",
  "tb_connection",
  "storage",
  "extension",
  "connector",
  "converter",
  "database",
];

/** What `logs.json` comes to. */
export type LogsPlan = Readonly<Record<PlannedLogger, LoggerPlan>>;

/** A plan with what is wrong with its source; `undefined` when nothing of it can be used. */
export interface PlannedLogs {
  readonly plan: LogsPlan | undefined;
  readonly issues: readonly ParseIssue[];
}

/** Understands the content of `logs.json`: what is wrong costs as little as possible, and is said. Does no input or output. */
export function planLogs(json: unknown): PlannedLogs {
  const { value, issues } = parseConfig(logsConfig, json);
  if (value === undefined) {
    return { plan: undefined, issues };
  }
  const found = [...issues, ...staleReferences(value, json)];
  const handlers = new Map<string, HandlerPlan>();
  for (const [name, one] of Object.entries(value.handlers)) {
    handlers.set(name, toHandler(name, one, formatOf(value, one.formatter)));
  }
  for (const [name, { format, datefmt }] of Object.entries(value.formatters)) {
    for (const message of compileFormat(format, datefmt).problems) {
      found.push({ severity: "error", path: ["formatters", name, "format"], message });
    }
  }
  return { plan: toPlan(value, handlers), issues: found };
}

/** As `planLogs`, for a push of the platform. @throws ConfigError when anything of it is wrong */
export function planLogsStrictly(json: Json, file: string): LogsPlan {
  const { plan, issues } = planLogs(json);
  const errors = issues.filter(({ severity }) => severity === "error");
  if (plan === undefined || errors.length > 0) {
    throw new ConfigError(
      file,
      errors.map(({ path, message }) => ({ path: formatPath(path), message })),
    );
  }
  return plan;
}

function formatOf(config: LogsConfig, name: string | undefined): LineFormat {
  const named = name === undefined ? undefined : config.formatters[name];
  return compileFormat(named?.format ?? "%(message)s", named?.datefmt).render;
}

function toHandler(
  name: string,
  one: v.InferOutput<typeof handler>,
  format: LineFormat,
): HandlerPlan {
  const base = { name, level: parseHandlerLevel(one.level) ?? "trace", format };
  const { filename, when, interval, backupCount, maxBytes } = one;
  if (filename === undefined) {
    return { ...base, kind: one.stream?.endsWith("stderr") === true ? "stderr" : "stdout" };
  }
  return { ...base, kind: "file", filename, rotation: { when, interval, backupCount, maxBytes } };
}

function toPlan(config: LogsConfig, handlers: ReadonlyMap<string, HandlerPlan>): LogsPlan {
  const named = (names: readonly string[]): readonly HandlerPlan[] =>
    names.flatMap((name) => handlers.get(name) ?? []);
  const root: LoggerPlan = {
    level: parseLevel(config.root.level ?? "WARNING") ?? "warn",
    handlers: named(config.root.handlers),
  };
  const plan = (one: v.InferOutput<typeof logger> | undefined): LoggerPlan => {
    if (one === undefined) {
      return root;
    }
    const own = named(one.handlers);
    const all = one.propagate ? [...new Set([...own, ...root.handlers])] : own;
    return { level: parseLevel(one.level) ?? root.level, handlers: all };
  };
  const { loggers } = config;
  return {
    service: plan(loggers["service"]),
    tb_connection: plan(loggers["tb_connection"]),
    storage: plan(loggers["storage"]),
    extension: plan(loggers["extension"]),
    connector: plan(loggers["connector"]),
    converter: plan(loggers["converter"]),
    root,
  };
}

/** Names of loggers, handlers and formatters that are not there. One that is there but wrong has been reported already. */
function staleReferences(config: LogsConfig, json: unknown): readonly ParseIssue[] {
  const issues: ParseIssue[] = [];
  const handlers = keysIn(json, "handlers");
  const formatters = keysIn(json, "formatters");
  for (const name of Object.keys(config.loggers).filter((one) => !LOGGERS.includes(one))) {
    const near = nearest(name, LOGGERS);
    const hint = near === undefined ? "" : `; did you mean "${near}"?`;
    const message = `nothing here logs as "${name}": it has no effect${hint}`;
    issues.push({ severity: "warning", path: ["loggers", name], message });
  }
  const look = (path: ParseIssue["path"], name: string, known: readonly string[]): void => {
    if (!known.includes(name)) {
      const near = nearest(name, known);
      const hint = near === undefined ? `there are ${known.join(", ")}` : `did you mean "${near}"?`;
      const message = `there is no "${name}": ${hint}`;
      issues.push({ severity: "error", path, message });
    }
  };
  for (const [name, one] of Object.entries(config.handlers)) {
    if (one.formatter !== undefined) {
      look(["handlers", name, "formatter"], one.formatter, formatters);
    }
  }
  const loggers: readonly (readonly [ParseIssue["path"], v.InferOutput<typeof logger>])[] = [
    ...Object.entries(config.loggers).map(([name, one]) => [["loggers", name], one] as const),
    [["root"], config.root],
  ];
  for (const [path, one] of loggers) {
    for (const [index, name] of one.handlers.entries()) {
      look([...path, "handlers", index], name, handlers);
    }
  }
  return issues;
}

/** Also those that are wrong: they have been reported. */
function keysIn(json: unknown, part: "handlers" | "formatters"): readonly string[] {
  const named = v.safeParse(v.looseObject({ [part]: v.looseObject({}) }), json);
  return named.success ? Object.keys(named.output[part] ?? {}) : [];
}
