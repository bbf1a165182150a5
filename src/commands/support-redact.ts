import { isSecretName, REDACTED } from "../config/redact.ts";
import { isReference } from "../config/references.ts";
import { Secrets } from "../logging/redact.ts";

/** What looks like a secret wherever it stands, also one that no configuration has any more. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  // A private key in PEM, also as one line of JSON.
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, REDACTED],
  // mqtt://user:password@host
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@"']+@/gi, `$1${REDACTED}@`],
  [/\b(Bearer|Basic) +[\w+/=.~-]{6,}/g, `$1 ${REDACTED}`],
];

/**
 * "accessToken": "…", password=…, also inside a text of JSON; a reference such as ${env:TOKEN} says only where it comes from. The value is
 * replaced between its quotes, so that JSON stays JSON.
 */
const NAMED =
  /((?:passw|passphrase|secret|token|credential|private_?key(?!s?_?path)|api_?key)[\w-]*\\?["']?\s*[=:]\s*)(?!\s|["'\\]*\$\{(?:env|file):)(?:(\\")[^\n]*?\\"|(")(?:[^"\\]|\\.)*"|(')[^'\n]*'|[^\s,;&{}[\])"'\\]+)/gi;

/** Takes secrets out of texts: those that are known, and what looks like one. */
export class Redaction {
  readonly #known = new Secrets();

  /** Secrets by their values. */
  add(secrets: readonly string[]): void {
    this.#known.add(secrets);
  }

  /** Adds what is under a name that means a secret, anywhere in a value. */
  learn(value: unknown, name = ""): void {
    if (typeof value === "string" || typeof value === "number") {
      // A reference is not the secret: it says where that is.
      if (isSecretName(name) && !isReference(String(value))) {
        this.add([String(value)]);
      }
      return;
    }
    if (Array.isArray(value)) {
      for (const item of value) {
        this.learn(item, name);
      }
    } else if (typeof value === "object" && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        this.learn(inner, key);
      }
    }
  }

  clean(text: string): string {
    let clean = this.#known.hide(text);
    for (const [pattern, replacement] of PATTERNS) {
      clean = clean.replaceAll(pattern, replacement);
    }
    // One of the three quotes at most; the others are empty.
    return clean.replaceAll(NAMED, `$1$2$3$4${REDACTED}$2$3$4`);
  }
}
