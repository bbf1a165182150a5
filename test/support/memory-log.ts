import { createLogger, type Logger, type LogRecord } from "../../src/sdk/logger.ts";

/** A log that keeps its lines. */
export interface MemoryLog {
  readonly log: Logger;
  readonly records: LogRecord[];
  /** The messages of one level. */
  readonly messages: (level?: LogRecord["level"]) => string[];
}

/** Makes one that keeps every level. */
export function memoryLog(source = "test"): MemoryLog {
  const records: LogRecord[] = [];
  const log = createLogger({
    source,
    level: "trace",
    clock: { now: () => 0 as ReturnType<Parameters<typeof createLogger>[0]["clock"]["now"]> },
    sink: (record) => records.push(record),
  });
  const messages = (level?: LogRecord["level"]): string[] =>
    records
      .filter((record) => level === undefined || record.level === level)
      .map(({ message }) => message);
  return { log, records, messages };
}
