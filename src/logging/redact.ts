import type { LogRecord, LogSink } from "#sdk/logger";

/** What stands in place of a secret. */
const REDACTED = "***";
/** A shorter secret would blank out ordinary text. */
const MIN_SECRET_LENGTH = 4;

/** Replaces each secret wherever it appears in text, also inside objects and lists. Other values pass unchanged. */
export function redactSecrets(value: unknown, secrets: readonly string[]): unknown {
  if (typeof value === "string") {
    let text = value;
    for (const secret of secrets) {
      text = text.replaceAll(secret, REDACTED);
    }
    return text;
  }
  if (Array.isArray(value)) {
    return value.map((element: unknown) => redactSecrets(element, secrets));
  }
  if (typeof value === "object" && value !== null) {
    const copy: Record<string, unknown> = {};
    for (const [key, element] of Object.entries(value)) {
      copy[key] = redactSecrets(element, secrets);
    }
    return copy;
  }
  return value;
}

/** A sink that writes no line with one of `secrets` in it: the last line of defence, whatever a library put into an error. */
export function redactingSink(sink: LogSink, secrets: readonly string[]): LogSink {
  const known = secrets.filter((secret) => secret.length >= MIN_SECRET_LENGTH);
  if (known.length === 0) {
    return sink;
  }
  return (record) => {
    const fields: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(record.fields)) {
      fields[key] = redactSecrets(value, known);
    }
    const message = String(redactSecrets(record.message, known));
    const clean: LogRecord = { ...record, message, fields };
    sink(clean);
  };
}
