import { encodeJson, textOf } from "./encode.ts";
import type { Json, Values } from "./model.ts";
import { compileTag, type Encoding, splitTags, type Tag } from "./tag.ts";

/** What differs between the places that use `${…}`. */
export interface ExpressionOptions {
  /** How values are put into the text, unless a tag says `:json` or `:raw`. Default `text`. */
  readonly encoding?: Encoding;
  /** Tags that are put in as plain text even where `encoding` is `json`, so that a text may quote them itself. */
  readonly plain?: readonly string[];
  /** Whether a JSON null counts as no value (the default) or is put in as `null`. */
  readonly nulls?: "missing" | "text";
  /** Whether a text without any tag is itself looked up, as a tag would be, before it is taken literally. Default no. */
  readonly bare?: boolean;
}

/** What one evaluation found. */
export interface Evaluation {
  /** The text with every value in its place; a tag without a value stays as it was written. */
  readonly text: string;
  /** Tags without a value, in order. Whoever needs all of them must not use `text` then. */
  readonly missing: readonly string[];
  /** The value itself when the expression is exactly one tag and found one; else `undefined`. */
  readonly value: Json | undefined;
}

/** A text with `${…}` tags, compiled once. Evaluation changes nothing and keeps nothing. */
export interface Expression {
  readonly source: string;
  /** Whether evaluation never depends on the body. */
  readonly isConstant: boolean;
  /** The insides of the tags, in order. */
  readonly tags: readonly string[];
  /** Tags that are no valid path, one sentence each; they can only match a member of that very name. */
  readonly problems: readonly string[];
  evaluate(body: Json): Evaluation;
  /**
   * The texts of all tags that have a value, in order, the items of an array each as one; the whole text when there is no
   * tag. For expressions that list names, such as `${first}, ${second}`.
   */
  names(body: Json): readonly string[];
}

/** Stands between literal texts. */
interface TagPart {
  readonly tag: Tag;
  readonly encoding: Encoding;
}

const NONE: readonly string[] = [];

/**
 * Compiles a `${…}` text of the ThingsBoard gateway's configuration files. Never throws: a tag that is no path is reported in
 * `problems`. @see compileTag for how a tag is looked up.
 */
export function compileExpression(source: string, options: ExpressionOptions = {}): Expression {
  const { encoding = "text", plain = [], nulls = "missing", bare = false } = options;
  const split = splitTags(source);
  const isBare = bare && split.length === 1 && split[0] === source;
  const parts = (isBare ? [{ tag: source }] : split).map((part) => {
    if (typeof part === "string") {
      return part;
    }
    const tag = compileTag(part.tag);
    const own = plain.includes(part.tag.trim()) ? "text" : encoding;
    return { tag, encoding: tag.encoding ?? own };
  });
  const tagParts = parts.filter((part) => typeof part !== "string");
  const nullsMiss = nulls === "missing";
  const find = ({ tag }: TagPart, body: Json): Json | undefined => {
    const value = tag.find(body);
    return value === null && nullsMiss ? undefined : value;
  };
  return {
    source,
    isConstant: tagParts.length === 0,
    tags: tagParts.map(({ tag }) => tag.source),
    problems: isBare ? NONE : tagParts.flatMap(({ tag }) => tag.problem ?? []),
    evaluate: evaluator({ source, parts, isBare, find }),
    names: (body) =>
      tagParts.length === 0
        ? [source]
        : tagParts.flatMap((part) => namesIn(find(part, body), isBare ? source : undefined)),
  };
}

/**
 * A template over named variables, compiled once: `${deviceName}`, `${params.pin}`, `${value:json}` (quoted and escaped),
 * `${value:raw}` (as it reads). `null` is put in as `null`. `missing`: tags without a value.
 */
export function template(
  expression: string,
  options: ExpressionOptions = {},
): (variables: Values) => Pick<Evaluation, "text" | "missing"> {
  const compiled = compileExpression(expression, { nulls: "text", ...options });
  return (variables) => compiled.evaluate(variables);
}

interface Program {
  readonly source: string;
  readonly parts: readonly (string | TagPart)[];
  readonly isBare: boolean;
  readonly find: (part: TagPart, body: Json) => Json | undefined;
}

function evaluator({ source, parts, isBare, find }: Program): (body: Json) => Evaluation {
  const [first] = parts;
  if (first === undefined || (parts.length === 1 && typeof first === "string")) {
    const constant = { text: source, missing: NONE, value: undefined };
    return () => constant;
  }
  if (parts.length === 1 && typeof first !== "string") {
    const missed: Evaluation = {
      text: source,
      missing: isBare ? NONE : [first.tag.source],
      value: undefined,
    };
    return (body) => {
      const value = find(first, body);
      return value === undefined ? missed : new SingleTag(value, first.encoding);
    };
  }
  return (body) => {
    let text = "";
    const missing: string[] = [];
    for (const part of parts) {
      if (typeof part === "string") {
        text += part;
        continue;
      }
      const value = find(part, body);
      if (value === undefined) {
        missing.push(part.tag.source);
        text += `\${${part.tag.source}}`;
      } else {
        text += put(value, part.encoding);
      }
    }
    return { text, missing, value: undefined };
  };
}

/** Most expressions are one tag whose value is used as it is: the text is made only when somebody asks. */
class SingleTag implements Evaluation {
  readonly missing = NONE;
  readonly value: Json;
  readonly #encoding: Encoding;

  constructor(value: Json, encoding: Encoding) {
    this.value = value;
    this.#encoding = encoding;
  }

  get text(): string {
    return put(this.value, this.#encoding);
  }
}

function put(value: Json, encoding: Encoding): string {
  return encoding === "json" ? encodeJson(value) : textOf(value);
}

function namesIn(value: Json | undefined, fallback: string | undefined): readonly string[] {
  if (value === undefined) {
    return fallback === undefined ? NONE : [fallback];
  }
  const list: readonly Json[] = isList(value) ? value : [value];
  return list.filter((name) => name !== null && name !== "").map(textOf);
}

/** `Array.isArray` does not narrow a readonly array. */
function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
