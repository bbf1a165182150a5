import type { LogRecord, LogSink } from "#sdk/logger";

/** `2026-01-31T12:00:00.000Z WARN  mqtt-plant: Link is down link="broker 10.0.0.5:1883" error="refused"` */
export function formatLogLine(record: LogRecord): string {
  let line = `${new Date(record.ts).toISOString()} ${record.level.toUpperCase().padEnd(5)} ${record.source}: ${record.message}`;
  for (const [key, value] of Object.entries(record.fields)) {
    line += ` ${key}=${typeof value === "number" ? value : JSON.stringify(value)}`;
  }
  return line;
}

/** Writes each line to a stream, as text. */
export function streamSink(stream: { write(text: string): unknown }): LogSink {
  return (record) => {
    stream.write(`${formatLogLine(record)}\n`);
  };
}
