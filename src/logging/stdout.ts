import type { LogRecord } from "#sdk/logger";

/** `2026-01-31T12:00:00.000Z WARN  mqtt-plant: Link is down link="broker 10.0.0.5:1883" error="refused"` */
export function formatLogLine(record: LogRecord): string {
  return `${new Date(record.ts).toISOString()} ${record.level.toUpperCase().padEnd(5)} ${record.source}: ${messageText(record)}`;
}

/** The sentence of a line with its facts: `Link is down link="broker 10.0.0.5:1883" error="refused"` */
export function messageText(record: Pick<LogRecord, "message" | "fields">): string {
  let text = record.message;
  for (const [key, value] of Object.entries(record.fields)) {
    text += ` ${key}=${typeof value === "number" ? value : JSON.stringify(value)}`;
  }
  return text;
}
