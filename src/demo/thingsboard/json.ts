import { DataError } from "#sdk/errors";

/** A value without members. */
export interface ScalarNode {
  readonly kind: "null" | "boolean" | "number" | "string";
  /** The characters as they were sent, quotes included. */
  readonly text: string;
  /** The content of a string with its escapes resolved; the same as `text` otherwise. */
  readonly content: string;
}

/** A JSON array. */
export interface ArrayNode {
  readonly kind: "array";
  readonly text: string;
  readonly items: readonly JsonNode[];
}

/** A JSON object. A repeated name keeps the place of its first and the value of its last appearance. */
export interface ObjectNode {
  readonly kind: "object";
  readonly text: string;
  readonly members: ReadonlyMap<string, JsonNode>;
}

/** A parsed JSON value that remembers its literal text, so that `5`, `5.0` and `"5"` stay three things. */
export type JsonNode = ScalarNode | ArrayNode | ObjectNode;

/** Deepest nesting that is read; the server's parser has the same limit. */
const MAX_DEPTH = 255;

const TAB = 0x09;
const LINE_FEED = 0x0a;
const FORM_FEED = 0x0c;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const DOUBLE_QUOTE = 0x22;
const HASH = 0x23;
const SINGLE_QUOTE = 0x27;
const ASTERISK = 0x2a;
const COMMA = 0x2c;
const SLASH = 0x2f;
const COLON = 0x3a;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const GREATER_THAN = 0x3e;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const BYTE_ORDER_MARK = 0xfeff;

const NULL_NODE: ScalarNode = { kind: "null", text: "null", content: "null" };
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const ESCAPES: Readonly<Record<string, string>> = {
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  "\n": "\n",
  "'": "'",
  '"': '"',
  "/": "/",
  "\\": "\\",
};

/** The characters that end a word without quotes. */
const WORD_END = new Set(
  Array.from("/\\;#={}[]:, \t\f\r\n", (character) => character.charCodeAt(0)),
);

/**
 * Reads JSON as leniently as the server does: names and strings may stand without quotes or in single quotes, comments
 * are skipped, `;` separates like `,`, `=` and `=>` stand for `:`, `NaN`, `Infinity` and `007` are strings, and a
 * missing array element is null. Nothing at all is null.
 * @throws DataError when the text is cut off, followed by more text, or nested deeper than 255 levels.
 */
export function parseJson(text: string): JsonNode {
  return new Reader(text).document();
}

class Reader {
  readonly #text: string;
  #position = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
    if (text.charCodeAt(0) === BYTE_ORDER_MARK) {
      this.#position = 1;
    }
  }

  document(): JsonNode {
    if (Number.isNaN(this.#skipBlank())) {
      return NULL_NODE;
    }
    const node = this.#value();
    if (!Number.isNaN(this.#skipBlank())) {
      throw this.#error("expected the end of the text");
    }
    return node;
  }

  #value(): JsonNode {
    const code = this.#skipBlank();
    if (code === DOUBLE_QUOTE || code === SINGLE_QUOTE) {
      const start = this.#position;
      const content = this.#quoted(code);
      return { kind: "string", text: this.#text.slice(start, this.#position), content };
    }
    if (code === OPEN_BRACE) {
      return this.#nested(() => this.#object());
    }
    if (code === OPEN_BRACKET) {
      return this.#nested(() => this.#array());
    }
    const text = this.#word();
    return { kind: wordKind(text), text, content: text };
  }

  #nested(read: () => JsonNode): JsonNode {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) {
      throw this.#error(`nested deeper than ${MAX_DEPTH} levels`);
    }
    const node = read();
    this.#depth -= 1;
    return node;
  }

  #object(): ObjectNode {
    const start = this.#position;
    const members = new Map<string, JsonNode>();
    this.#position += 1;
    if (this.#skipBlank() === CLOSE_BRACE) {
      this.#position += 1;
      return { kind: "object", text: this.#text.slice(start, this.#position), members };
    }
    for (;;) {
      const name = this.#name();
      members.set(name, this.#value());
      const code = this.#skipBlank();
      this.#position += 1;
      if (code === CLOSE_BRACE) {
        return { kind: "object", text: this.#text.slice(start, this.#position), members };
      }
      if (code !== COMMA && code !== SEMICOLON) {
        throw this.#error("expected , or } after a member");
      }
    }
  }

  #name(): string {
    const code = this.#skipBlank();
    const name = code === DOUBLE_QUOTE || code === SINGLE_QUOTE ? this.#quoted(code) : this.#word();
    const separator = this.#skipBlank();
    this.#position += 1;
    if (separator === EQUALS) {
      if (this.#text.charCodeAt(this.#position) === GREATER_THAN) {
        this.#position += 1;
      }
    } else if (separator !== COLON) {
      throw this.#error("expected : after a name");
    }
    return name;
  }

  #array(): ArrayNode {
    const start = this.#position;
    const items: JsonNode[] = [];
    this.#position += 1;
    let code = this.#skipBlank();
    if (code === CLOSE_BRACKET) {
      this.#position += 1;
      return { kind: "array", text: this.#text.slice(start, this.#position), items };
    }
    for (;;) {
      const isMissing = code === COMMA || code === SEMICOLON || code === CLOSE_BRACKET;
      items.push(isMissing ? NULL_NODE : this.#value());
      code = this.#skipBlank();
      this.#position += 1;
      if (code === CLOSE_BRACKET) {
        return { kind: "array", text: this.#text.slice(start, this.#position), items };
      }
      if (code !== COMMA && code !== SEMICOLON) {
        throw this.#error("expected , or ] after an element");
      }
      code = this.#skipBlank();
    }
  }

  #word(): string {
    const start = this.#position;
    let position = start;
    while (position < this.#text.length && !WORD_END.has(this.#text.charCodeAt(position))) {
      position += 1;
    }
    if (position === start) {
      throw this.#error("expected a value");
    }
    this.#position = position;
    return this.#text.slice(start, position);
  }

  #quoted(quote: number): string {
    const text = this.#text;
    const start = this.#position + 1;
    for (let position = start; position < text.length; position += 1) {
      const code = text.charCodeAt(position);
      if (code === quote) {
        this.#position = position + 1;
        return text.slice(start, position);
      }
      if (code === BACKSLASH) {
        return this.#escaped(quote, start, position);
      }
    }
    throw this.#error("a string is not closed");
  }

  #escaped(quote: number, start: number, firstEscape: number): string {
    const text = this.#text;
    let content = text.slice(start, firstEscape);
    let position = firstEscape;
    while (position < text.length) {
      const code = text.charCodeAt(position);
      if (code === quote) {
        this.#position = position + 1;
        return content;
      }
      if (code === BACKSLASH) {
        const length = text[position + 1] === "u" ? 6 : 2;
        content += this.#escape(text.slice(position, position + length));
        position += length;
      } else {
        content += text.charAt(position);
        position += 1;
      }
    }
    throw this.#error("a string is not closed");
  }

  #escape(sequence: string): string {
    if (/^\\u[0-9a-fA-F]{4}$/.test(sequence)) {
      return String.fromCharCode(Number.parseInt(sequence.slice(2), 16));
    }
    const content = sequence.length === 2 ? ESCAPES[sequence.charAt(1)] : undefined;
    if (content === undefined) {
      throw this.#error(`unknown escape ${sequence}`);
    }
    return content;
  }

  /** Moves to the next character that means something and returns its code, NaN at the end. */
  #skipBlank(): number {
    for (;;) {
      const code = this.#text.charCodeAt(this.#position);
      if (code > SPACE) {
        if (code !== SLASH && code !== HASH) {
          return code;
        }
        this.#skipComment(code);
      } else if (isBlank(code)) {
        this.#position += 1;
      } else {
        return code;
      }
    }
  }

  #skipComment(code: number): void {
    const next = this.#text.charCodeAt(this.#position + 1);
    if (code === SLASH && next === ASTERISK) {
      const end = this.#text.indexOf("*/", this.#position + 2);
      if (end < 0) {
        throw this.#error("a comment is not closed");
      }
      this.#position = end + 2;
      return;
    }
    if (code === SLASH && next !== SLASH) {
      throw this.#error("expected a value");
    }
    while (this.#position < this.#text.length && !this.#isAtLineEnd()) {
      this.#position += 1;
    }
  }

  #isAtLineEnd(): boolean {
    const code = this.#text.charCodeAt(this.#position);
    return code === LINE_FEED || code === CARRIAGE_RETURN;
  }

  #error(problem: string): DataError {
    return new DataError(`Cannot read JSON at character ${this.#position}: ${problem}`, {
      reason: "bad-json",
    });
  }
}

function isBlank(code: number): boolean {
  return (
    code === SPACE ||
    code === TAB ||
    code === LINE_FEED ||
    code === CARRIAGE_RETURN ||
    code === FORM_FEED
  );
}

function wordKind(word: string): ScalarNode["kind"] {
  const first = word.charCodeAt(0);
  if (first <= 0x39) {
    return NUMBER.test(word) ? "number" : "string";
  }
  if (word.length > 5) {
    return "string";
  }
  switch (word.toLowerCase()) {
    case "true":
    case "false":
      return "boolean";
    case "null":
      return "null";
    default:
      return "string";
  }
}
