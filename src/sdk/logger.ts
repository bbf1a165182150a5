import type { Clock } from "./clock.ts";
import { errorText } from "./errors.ts";

/** Facts of one log line. A caught error goes into `error`. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Levels from the most to the least talkative; `none` is off. */
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "none";

/**
 * The logger a line goes through, by the names of the logging configuration: a part of the gateway, a connector, or the
 * conversion of a connector's data.
 */
export type LogChannel =
  | "service"
  | "tb_connection"
  | "storage"
  | "extension"
  | "connector"
  | "converter";

/** A constant sentence; the facts, and an `error`, go into `fields`. */
export interface Logger {
  trace(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** One line on its way to the sinks; plain data, so that it can cross a thread. */
export interface LogRecord {
  /** Epoch milliseconds. */
  readonly ts: number;
  readonly level: Exclude<LogLevel, "none">;
  /** Who speaks: `service`, `storage`, `tb_connection`, or a connector's name. */
  readonly source: string;
  /** Absent: a part of the gateway, which `source` names. */
  readonly channel?: LogChannel;
  /** Protocol of the connector that speaks. */
  readonly connectorType?: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** Takes each line; must not throw and must not wait. */
export type LogSink = (record: LogRecord) => void;

const RANKS: Readonly<Record<LogLevel, number>> = {
  trace: 0,
  debug: 1,
  info: 2,
  warn: 3,
  error: 4,
  none: 5,
};

/** Whether a line of `level` passes a threshold. */
export function isLogged(level: Exclude<LogLevel, "none">, threshold: LogLevel): boolean {
  return RANKS[level] >= RANKS[threshold];
}

/** The more talkative of two levels. */
export function mostTalkative(one: LogLevel, other: LogLevel): LogLevel {
  return RANKS[one] < RANKS[other] ? one : other;
}

/** What a logger is made from. */
export interface LoggerOptions {
  readonly source: string;
  readonly channel?: LogChannel;
  readonly connectorType?: string;
  /** A function is asked for each line, so that a level may change while the logger is in use. */
  readonly level: LogLevel | (() => LogLevel);
  readonly clock: Pick<Clock, "now">;
  readonly sink: LogSink;
}

/** A logger that turns each line into a plain record: errors become text, so that a record can cross a thread. */
export function createLogger(options: LoggerOptions): Logger {
  const { channel, connectorType } = options;
  const origin = {
    ...(channel === undefined ? {} : { channel }),
    ...(connectorType === undefined ? {} : { connectorType }),
  };
  const write = (
    level: Exclude<LogLevel, "none">,
    message: string,
    fields: LogFields = {},
  ): void => {
    const threshold = typeof options.level === "function" ? options.level() : options.level;
    if (isLogged(level, threshold)) {
      const { clock, source } = options;
      const plain = plainFields(fields);
      options.sink({ ts: clock.now(), level, source, ...origin, message, fields: plain });
    }
  };
  return {
    trace: (message, fields) => write("trace", message, fields),
    debug: (message, fields) => write("debug", message, fields),
    info: (message, fields) => write("info", message, fields),
    warn: (message, fields) => write("warn", message, fields),
    error: (message, fields) => write("error", message, fields),
  };
}

function plainFields(fields: LogFields): LogFields {
  const plain: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (value instanceof Error) {
      plain[key] = errorText(value);
    } else if (typeof value === "bigint") {
      plain[key] = String(value);
    } else if (value !== undefined) {
      plain[key] = value;
    }
  }
  return plain;
}

/**
 * A logger for messages that bad input can cause again and again: the first of each sentence is written, then one per
 * `everyMs` with the number left out meanwhile in `suppressed`.
 */
export function rateLimited(
  log: Logger,
  clock: Pick<Clock, "monotonicMs">,
  everyMs = 60_000,
): Logger {
  const said = new Map<string, { atMs: number; suppressed: number }>();
  const limit =
    (level: keyof Logger) =>
    (message: string, fields: LogFields = {}): void => {
      const nowMs = clock.monotonicMs();
      const last = said.get(message);
      if (last !== undefined && nowMs - last.atMs < everyMs) {
        last.suppressed += 1;
        return;
      }
      said.set(message, { atMs: nowMs, suppressed: 0 });
      const extra =
        last === undefined || last.suppressed === 0 ? {} : { suppressed: last.suppressed };
      log[level](message, { ...fields, ...extra });
    };
  return {
    trace: limit("trace"),
    debug: limit("debug"),
    info: limit("info"),
    warn: limit("warn"),
    error: limit("error"),
  };
}
