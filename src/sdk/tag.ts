import { DataError } from "./errors.ts";
import { compileJsonPath, type JsonPath, memberOf } from "./json-path.ts";
import type { Json } from "./model.ts";

/** How a value is put into a text: as it reads (`textOf`), or as JSON with quotes and escapes. */
export type Encoding = "text" | "json";

/** The inside of one `${…}`, compiled once. */
export interface Tag {
  /** The text between the braces, unchanged. */
  readonly source: string;
  /** What a `:json` or `:raw` at the end asks for. */
  readonly encoding: Encoding | undefined;
  /** Why `source` is no path; such a tag still finds a member of that very name. */
  readonly problem: string | undefined;
  /** The value in `body`; `undefined` is a miss, JSON null is `null`. */
  find(body: Json): Json | undefined;
}

const MODIFIER = /^(.*):(json|raw)$/s;
const CONDITION = /\swhere\s/;

/**
 * Splits a text at its tags: literal parts are strings. A tag is `${`, any characters but `}`, then `}`; inside double quotes
 * a `}` belongs to the tag. A `${` that is never closed is literal.
 */
export function splitTags(text: string): readonly (string | { readonly tag: string })[] {
  const parts: (string | { readonly tag: string })[] = [];
  let literalStart = 0;
  let open = text.indexOf("${");
  while (open !== -1) {
    const close = closingBrace(text, open + 2);
    if (close === -1) {
      break;
    }
    if (open > literalStart) {
      parts.push(text.slice(literalStart, open));
    }
    parts.push({ tag: text.slice(open + 2, close) });
    literalStart = close + 1;
    open = text.indexOf("${", literalStart);
  }
  if (literalStart < text.length) {
    parts.push(text.slice(literalStart));
  }
  return parts;
}

/**
 * Compiles the inside of a tag. It is looked up in this order: the member of exactly that name, the member named by its first
 * word, the JSON path; a path with `where` goes before the first word. Nothing, blanks or `$` is the whole body.
 */
export function compileTag(source: string): Tag {
  const [, base, modifier] = MODIFIER.exec(source) ?? [];
  const lookUp = compileLookUp(base ?? source);
  return {
    source,
    encoding: modifier === undefined ? undefined : modifier === "json" ? "json" : "text",
    problem: lookUp.problem,
    find: base === undefined ? lookUp.find : (body) => memberOf(body, source) ?? lookUp.find(body),
  };
}

function compileLookUp(source: string): Pick<Tag, "problem" | "find"> {
  const name = source.trim();
  if (name === "" || name === "$") {
    return { problem: undefined, find: (body) => memberOf(body, source) ?? body };
  }
  const { path, problem } = tryPath(name);
  const firstWord = /^\S+/.exec(name)?.[0] ?? name;
  const isConditional = path !== undefined && CONDITION.test(name);
  const byWord = (body: Json): Json | undefined =>
    firstWord === name ? undefined : memberOf(body, firstWord);
  const find = (body: Json): Json | undefined => {
    const exact = memberOf(body, source) ?? (name === source ? undefined : memberOf(body, name));
    if (exact !== undefined) {
      return exact;
    }
    return isConditional ? (path.first(body) ?? byWord(body)) : (byWord(body) ?? path?.first(body));
  };
  return { problem, find };
}

function tryPath(name: string): {
  readonly path: JsonPath | undefined;
  readonly problem: string | undefined;
} {
  try {
    return { path: compileJsonPath(name), problem: undefined };
  } catch (error) {
    if (error instanceof DataError) {
      return { path: undefined, problem: error.message };
    }
    throw error;
  }
}

/** Where the `}` of a tag is whose inside begins at `start`; -1 when there is none. */
export function closingBrace(text: string, start: number): number {
  const first = text.indexOf("}", start);
  const quote = text.indexOf('"', start);
  if (first === -1 || quote === -1 || quote > first) {
    return first;
  }
  const quoteEnd = text.indexOf('"', quote + 1);
  if (quoteEnd === -1 || text.slice(quote, quoteEnd).includes("${")) {
    return first;
  }
  const close = closingBrace(text, quoteEnd + 1);
  return close === -1 ? first : close;
}
