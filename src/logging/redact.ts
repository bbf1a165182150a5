import type { LogRecord } from "#sdk/logger";

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

/** The secrets that no line may hold; more may come while the gateway runs. */
export class Secrets {
  readonly #texts = new Set<string>();
  #longestFirst: readonly string[] = [];

  constructor(secrets: readonly string[] = []) {
    this.add(secrets);
  }

  /** Also the forms a secret has inside JSON and inside an address. */
  add(secrets: readonly string[]): void {
    for (const secret of secrets) {
      if (secret.length >= MIN_SECRET_LENGTH) {
        this.#texts.add(secret);
        this.#texts.add(JSON.stringify(secret).slice(1, -1));
        this.#texts.add(addressForm(secret));
      }
    }
    // A secret that is a part of another must not leave the rest of it in the line.
    this.#longestFirst = [...this.#texts].sort((one, other) => other.length - one.length);
  }

  /** A value to be shown without any of them; texts stay texts, everything else passes unchanged. */
  hide<T>(value: T): T {
    if (this.#longestFirst.length === 0) {
      return value;
    }
    // Only texts change, and a text stays a text.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
    return redactSecrets(value, this.#longestFirst) as T;
  }

  /** The line without any of them: the last line of defence, whatever a library put into an error. */
  redact(record: LogRecord): LogRecord {
    const known = this.#longestFirst;
    if (known.length === 0) {
      return record;
    }
    const fields: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(record.fields)) {
      fields[key] = redactSecrets(value, known);
    }
    const message = String(redactSecrets(record.message, known));
    return { ...record, message, fields };
  }
}

/** As in a URL; a text that is no well-formed Unicode has no such form. */
function addressForm(secret: string): string {
  return secret.isWellFormed() ? encodeURIComponent(secret) : secret;
}
