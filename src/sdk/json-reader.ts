import { DataError } from "./errors.ts";
import { setMember } from "./members.ts";
import { Float, type Json } from "./model.ts";

/** Deeper input is refused, so that hostile input cannot exhaust the stack of a later step. */
const MAX_DEPTH = 128;
/** A text this short cannot hold more than `MAX_DEPTH` complete levels. */
const MAX_SHALLOW_LENGTH = 2 * MAX_DEPTH;
/** What the run time's own parser would lose: a fraction or exponent after a digit, a long run of digits, a zero's sign. */
const INEXACT = /\d[.eE]|\d{16}|[\s:,[]-0|^-0/;

const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const UPPER_E = 0x45;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const LOWER_E = 0x65;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const looseUtf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Reads strict JSON (RFC 8259) without losing numbers: an integer is a `number`, beyond ±(2^53 − 1) a `bigint`; a number with a
 * fraction or exponent is a `Float` that keeps its spelling. Of duplicate names the last wins; `__proto__` is a name like
 * any other. A byte order mark is not JSON. @throws DataError with reason `not-json`, also beyond 128 levels.
 */
export function readJson(text: string): Json {
  if (text.length <= MAX_SHALLOW_LENGTH && !INEXACT.test(text)) {
    return parseNatively(text);
  }
  return new Reader(text).read();
}

/**
 * What a payload holds: JSON if its bytes, without those that are not UTF-8, are JSON; else its text if all of it is UTF-8;
 * else the bytes themselves (the same array, not a copy). An empty payload is an empty text.
 */
export function decodePayload(bytes: Uint8Array): Json | Uint8Array {
  const text = decodeStrictly(bytes);
  try {
    return readJson(text ?? decodeValidPart(bytes));
  } catch (error) {
    if (error instanceof DataError) {
      return text ?? bytes;
    }
    throw error;
  }
}

function parseNatively(text: string): Json {
  try {
    // JSON text without fractions, exponents and long integers has no other values than those of `Json`.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
    return JSON.parse(text) as Json;
  } catch (cause) {
    throw new DataError("Cannot read as JSON", { cause, reason: "not-json" });
  }
}

function decodeStrictly(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The text without the bytes that are not UTF-8, but with every U+FFFD that was really sent (EF BF BD). */
function decodeValidPart(bytes: Uint8Array): string {
  const parts: string[] = [];
  let start = 0;
  for (let index = 0; index <= bytes.length; index += 1) {
    const isReplacement =
      bytes[index] === 0xef && bytes[index + 1] === 0xbf && bytes[index + 2] === 0xbd;
    if (isReplacement || index === bytes.length) {
      parts.push(looseUtf8.decode(bytes.subarray(start, index)).replaceAll("\ufffd", ""));
      start = index + 3;
    }
  }
  return parts.join("\ufffd");
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}

/** One pass over the text by character codes; `NaN` is the code behind its end. Measured at about half the cost of a reviver. */
class Reader {
  readonly #text: string;
  #index = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): Json {
    const value = this.#readValue(0);
    this.#skipSpace();
    if (this.#index < this.#text.length) {
      throw this.#refuse();
    }
    return value;
  }

  #readValue(depth: number): Json {
    switch (this.#skipSpace()) {
      case QUOTE:
        return this.#readString();
      case OPEN_BRACE:
        return this.#readObject(depth + 1);
      case OPEN_BRACKET:
        return this.#readArray(depth + 1);
      case 0x74:
        return this.#readWord("true", true);
      case 0x66:
        return this.#readWord("false", false);
      case 0x6e:
        return this.#readWord("null", null);
      default:
        return this.#readNumber();
    }
  }

  #readObject(depth: number): Json {
    this.#checkDepth(depth);
    const object: Record<string, Json> = {};
    this.#index += 1;
    if (this.#skipSpace() === CLOSE_BRACE) {
      this.#index += 1;
      return object;
    }
    for (;;) {
      if (this.#skipSpace() !== QUOTE) {
        throw this.#refuse();
      }
      const name = this.#readString();
      if (this.#skipSpace() !== COLON) {
        throw this.#refuse();
      }
      this.#index += 1;
      const value = this.#readValue(depth);
      setMember(object, name, value);
      if (this.#endsWith(CLOSE_BRACE)) {
        return object;
      }
    }
  }

  #readArray(depth: number): Json {
    this.#checkDepth(depth);
    const items: Json[] = [];
    this.#index += 1;
    if (this.#skipSpace() === CLOSE_BRACKET) {
      this.#index += 1;
      return items;
    }
    for (;;) {
      items.push(this.#readValue(depth));
      if (this.#endsWith(CLOSE_BRACKET)) {
        return items;
      }
    }
  }

  /** Consumes the comma before the next member (false) or the `closing` character (true). */
  #endsWith(closing: number): boolean {
    const code = this.#skipSpace();
    if (code !== closing && code !== COMMA) {
      throw this.#refuse();
    }
    this.#index += 1;
    return code === closing;
  }

  #readString(): string {
    const text = this.#text;
    const start = this.#index + 1;
    let index = start;
    let code = text.charCodeAt(index);
    // Not below a space also stops at the end of the text, whose code is NaN.
    while (code >= 0x20 && code !== QUOTE && code !== BACKSLASH) {
      index += 1;
      code = text.charCodeAt(index);
    }
    this.#index = index + 1;
    return code === QUOTE ? text.slice(start, index) : this.#readEscapedString(start, index);
  }

  /** Finds the end from `index` on and leaves the escapes to the run time's parser. */
  #readEscapedString(start: number, index: number): string {
    let end = index;
    let code = this.#text.charCodeAt(end);
    while (code !== QUOTE) {
      this.#index = end;
      if (!(code >= 0x20)) {
        throw this.#refuse();
      }
      end += code === BACKSLASH ? 2 : 1;
      code = this.#text.charCodeAt(end);
    }
    const value = parseNatively(this.#text.slice(start - 1, end + 1));
    this.#index = end + 1;
    return typeof value === "string" ? value : "";
  }

  #readNumber(): Json {
    const text = this.#text;
    const start = this.#index;
    if (text.charCodeAt(start) === MINUS) {
      this.#index += 1;
    }
    const first = text.charCodeAt(this.#index);
    this.#skipDigits();
    if (first === ZERO && this.#index - start > (text.charCodeAt(start) === MINUS ? 2 : 1)) {
      throw this.#refuse();
    }
    if (this.#skipFraction()) {
      return Float.fromText(text.slice(start, this.#index));
    }
    const digits = text.slice(start, this.#index);
    const value = Number(digits);
    if (Number.isSafeInteger(value)) {
      // An integer has no negative zero.
      return value === 0 ? 0 : value;
    }
    return BigInt(digits);
  }

  /** Skips `.5`, `e3` or both; whether there was any. */
  #skipFraction(): boolean {
    let isFloat = false;
    if (this.#text.charCodeAt(this.#index) === POINT) {
      isFloat = true;
      this.#index += 1;
      this.#skipDigits();
    }
    const code = this.#text.charCodeAt(this.#index);
    if (code === LOWER_E || code === UPPER_E) {
      isFloat = true;
      this.#index += 1;
      const sign = this.#text.charCodeAt(this.#index);
      if (sign === PLUS || sign === MINUS) {
        this.#index += 1;
      }
      this.#skipDigits();
    }
    return isFloat;
  }

  /** Skips at least one digit. */
  #skipDigits(): void {
    const start = this.#index;
    while (isDigit(this.#text.charCodeAt(this.#index))) {
      this.#index += 1;
    }
    if (this.#index === start) {
      throw this.#refuse();
    }
  }

  #readWord<T extends boolean | null>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#index)) {
      throw this.#refuse();
    }
    this.#index += word.length;
    return value;
  }

  /** The code of the next character that is no white space. */
  #skipSpace(): number {
    const text = this.#text;
    let code = text.charCodeAt(this.#index);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
      this.#index += 1;
      code = text.charCodeAt(this.#index);
    }
    return code;
  }

  #checkDepth(depth: number): void {
    if (depth > MAX_DEPTH) {
      throw new DataError(`Cannot read as JSON: more than ${MAX_DEPTH} levels deep`, {
        reason: "not-json",
      });
    }
  }

  #refuse(): DataError {
    const found =
      this.#index < this.#text.length
        ? `unexpected ${JSON.stringify(this.#text.charAt(this.#index))} at offset ${this.#index}`
        : "unexpected end";
    return new DataError(`Cannot read as JSON: ${found}`, { reason: "not-json" });
  }
}
