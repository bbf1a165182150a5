import { DataError } from "./errors.ts";
import { closingBrace } from "./tag.ts";

/** A piece of an arithmetic expression. `at` is its offset in the source. */
export interface Token {
  readonly kind: "number" | "text" | "tag" | "name" | "operator" | "end";
  /** A tag without its braces, a text without its quotes, anything else as written. */
  readonly text: string;
  readonly at: number;
}

/** Longer expressions are refused: they are no calculation somebody wrote. */
const MAX_LENGTH = 4096;
const NUMBER = /(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.$])/y;
const NAME = /[A-Za-z_]\w*/y;
const OPERATOR = /\*\*|\/\/|<<|>>|<=|>=|==|!=|[-+*/%~&|^<>(),]/y;
const BLANK = /\s+/y;

/** The advice at the end of every refusal. */
export const ALLOWED =
  "allowed are numbers, ${tags}, quoted texts, + - * / // % **, bit operations, comparisons, and, or, not, " +
  "a if b else c, and abs bool float int max min round str";

/** The error of everything that cannot be compiled. */
export function refuse(source: string, at: number, problem: string): DataError {
  return new DataError(
    `Cannot compile "${source}": ${problem} at character ${at + 1}; ${ALLOWED}`,
    { reason: "bad-expression" },
  );
}

/** Splits an expression. @throws DataError with reason `bad-expression` and the position. */
export function tokenize(source: string): readonly Token[] {
  if (source.length > MAX_LENGTH) {
    throw refuse(source.slice(0, 40), MAX_LENGTH, `more than ${MAX_LENGTH} characters`);
  }
  const tokens: Token[] = [];
  let index = skipBlanks(source, 0);
  while (index < source.length) {
    const { token, end } = readToken(source, index);
    tokens.push(token);
    index = skipBlanks(source, end);
  }
  tokens.push({ kind: "end", text: "the end", at: source.length });
  return tokens;
}

interface Read {
  readonly token: Token;
  readonly end: number;
}

function readToken(source: string, at: number): Read {
  const first = source.charAt(at);
  if (source.startsWith("${", at)) {
    return readTag(source, at);
  }
  if (first === '"' || first === "'") {
    return readText(source, at);
  }
  const read =
    match(NUMBER, "number", source, at) ??
    match(NAME, "name", source, at) ??
    match(OPERATOR, "operator", source, at);
  if (read === undefined) {
    throw refuse(source, at, `unexpected ${JSON.stringify(first)}`);
  }
  return read;
}

function readTag(source: string, at: number): Read {
  const close = closingBrace(source, at + 2);
  if (close === -1) {
    throw refuse(source, at, "a tag without its closing brace");
  }
  const next = source.charAt(close + 1);
  if (/[\w.$]/.test(next)) {
    throw refuse(source, close + 1, "something directly behind a tag: need an operator");
  }
  return { token: { kind: "tag", text: source.slice(at + 2, close), at }, end: close + 1 };
}

/** A quoted text. Tags inside stay as they are, quotes in them included. */
function readText(source: string, at: number): Read {
  const quote = source.charAt(at);
  let text = "";
  let index = at + 1;
  while (index < source.length) {
    const character = source.charAt(index);
    if (character === quote) {
      return { token: { kind: "text", text, at }, end: index + 1 };
    }
    const close = source.startsWith("${", index) ? closingBrace(source, index + 2) : -1;
    const end = close === -1 ? index + 1 : close + 1;
    if (character === "\\") {
      text += source.charAt(end);
      index = end + 1;
    } else {
      text += source.slice(index, end);
      index = end;
    }
  }
  throw refuse(source, at, "a text without its closing quote");
}

function match(pattern: RegExp, kind: Token["kind"], source: string, at: number): Read | undefined {
  pattern.lastIndex = at;
  const text = pattern.exec(source)?.[0];
  return text === undefined ? undefined : { token: { kind, text, at }, end: at + text.length };
}

function skipBlanks(source: string, at: number): number {
  BLANK.lastIndex = at;
  return at + (BLANK.exec(source)?.[0].length ?? 0);
}
