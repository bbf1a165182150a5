/** Facts of one log line. A caught error goes into `error`. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Levels from the most to the least talkative; `none` is off. */
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "none";

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
  readonly ts: number;
  readonly level: Exclude<LogLevel, "none">;
  /** Who speaks: `service`, `storage`, `tb_connection`, or a connector's name. */
  readonly source: string;
  readonly message: string;
  readonly fields: LogFields;
}
