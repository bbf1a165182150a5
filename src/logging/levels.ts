import type { LogChannel, LogLevel, LogRecord } from "#sdk/logger";

/** The names of levels in files and on the platform. CRITICAL counts as ERROR: no line is worse. */
const BY_NAME: Readonly<Record<string, LogLevel>> = {
  TRACE: "trace",
  DEBUG: "debug",
  INFO: "info",
  WARNING: "warn",
  WARN: "warn",
  ERROR: "error",
  CRITICAL: "error",
  FATAL: "error",
  NONE: "none",
  NOTSET: "none",
};

/** The number that a level has in the Python gateway, lowest first. */
const NUMBERS: readonly (readonly [number, LogLevel])[] = [
  [5, "trace"],
  [10, "debug"],
  [20, "info"],
  [30, "warn"],
  [50, "error"],
];

/** A level by its name in any case, or by its number: the first level that is not below it. 0 and less is off. `undefined`: there is none. */
export function parseLevel(value: unknown): LogLevel | undefined {
  if (typeof value === "string") {
    const text = value.trim().toUpperCase();
    return /^\d+$/.test(text) ? parseLevel(Number(text)) : BY_NAME[text];
  }
  if (typeof value !== "number" || !Number.isFinite(value)) {
    return undefined;
  }
  if (value <= 0) {
    return "none";
  }
  return NUMBERS.find(([number]) => value <= number)?.[1] ?? "none";
}

/** The level of a handler, for which 0 and NOTSET mean everything. */
export function parseHandlerLevel(value: unknown): LogLevel | undefined {
  const isOpen = typeof value === "string" ? /^\s*(?:notset|0)\s*$/i.test(value) : value === 0;
  return isOpen ? "trace" : parseLevel(value);
}

/** The name and number of a line's level as the Python gateway writes them. */
export const PYTHON_LEVELS: Readonly<
  Record<LogRecord["level"], { readonly name: string; readonly number: number }>
> = {
  trace: { name: "TRACE", number: 5 },
  debug: { name: "DEBUG", number: 10 },
  info: { name: "INFO", number: 20 },
  warn: { name: "WARNING", number: 30 },
  error: { name: "ERROR", number: 40 },
};

/** The loggers of the gateway itself. */
export const CORE_CHANNELS = ["service", "tb_connection", "storage", "extension"] as const;

/** One of the loggers of the gateway itself. */
export type CoreChannel = (typeof CORE_CHANNELS)[number];

/** The logger a line belongs to; a source that is none of them is a part of the service. */
export function channelOf(record: Pick<LogRecord, "channel" | "source">): LogChannel {
  return record.channel ?? CORE_CHANNELS.find((channel) => channel === record.source) ?? "service";
}

/** Whether a logger belongs to a connector. */
export function isConnectorChannel(channel: LogChannel): channel is "connector" | "converter" {
  return channel === "connector" || channel === "converter";
}
