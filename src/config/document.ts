import {
  findNodeAtLocation,
  getNodeValue,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
  visit,
} from "jsonc-parser";
import type { ScalarTag } from "yaml";
import { errorText } from "#sdk/errors";
import type { Json } from "#sdk/model";
import type { Path } from "./issue.ts";

/** YAML needs the largest library of all, and few files are YAML: the first one loads it. */
function yaml(): typeof import("yaml") {
  return require("yaml");
}

/** Something about the text itself. `line` and `column` count from 1. */
export interface TextIssue {
  readonly severity: "error" | "warning";
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** A configuration text with the positions of its parts. */
export interface Document {
  /** Plain objects, lists and scalars; `undefined` when the text has an error. */
  readonly value: Json | undefined;
  readonly issues: readonly TextIssue[];
  /** Line, counted from 1, of the value at `path`; for one that is not there, of the nearest part around it. */
  readonly lineOf: (path: Path) => number;
}

/**
 * Reads JSON (RFC 8259). Comments and a byte order mark are tolerated with a warning, since editors write them; a key that
 * appears twice is a warning too, and its last value counts.
 */
export function parseJson(text: string): Document {
  const clean = text.startsWith("\u{FEFF}") ? text.slice(1) : text;
  const starts = lineStarts(clean);
  const errors: ParseError[] = [];
  const root = parseTree(clean, errors, { disallowComments: false, allowTrailingComma: false });
  // One mistake makes the parser stumble over the rest: only the first says what is wrong.
  const issues: TextIssue[] = errors.slice(0, 1).map((error) => ({
    severity: "error",
    ...positionOf(starts, error.offset),
    message: jsonMessage(error, clean),
  }));
  issues.push(...commentWarnings(clean, starts));
  if (root !== undefined) {
    collectDuplicates(root, starts, issues);
  }
  const failed = root === undefined || errors.length > 0;
  return {
    value: failed ? undefined : plainValue(root),
    issues,
    lineOf: (path) => positionOf(starts, root === undefined ? 0 : jsonOffset(root, path)).line,
  };
}

/**
 * Reads one document of YAML 1.2, with `yes`, `no`, `on` and `off` as true and false and with `<<` merges, since the files
 * come from programs that read them so. A key that appears twice is a warning, and its last value counts.
 */
export function parseYaml(text: string): Document {
  const { LineCounter, parseDocument } = yaml();
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    merge: true,
    customTags: [WORD_BOOLEAN],
  });
  const issues: TextIssue[] = [];
  let failed = false;
  for (const problem of [...document.errors, ...document.warnings]) {
    const harmless = problem.name === "YAMLWarning" || problem.code === "DUPLICATE_KEY";
    const { line, col } = lines.linePos(problem.pos[0]);
    const [said = problem.code] = problem.message.split(/ at line |:?\n/);
    const message = problem.code === "DUPLICATE_KEY" ? TWICE : `not valid YAML: ${said}`;
    if (harmless || !failed) {
      issues.push({ severity: harmless ? "warning" : "error", line, column: col, message });
    }
    failed ||= !harmless;
  }
  const lineOf = (path: Path): number =>
    lines.linePos(yamlOffset(document.contents, path, document)).line;
  if (failed) {
    return { value: undefined, issues, lineOf };
  }
  try {
    // The library limits what aliases may expand to, so that a few lines cannot fill the memory.
    const value: unknown = document.toJS();
    if (!isJson(value)) {
      return { ...notYaml("it holds something that JSON does not have"), lineOf };
    }
    return { value, issues, lineOf };
  } catch (error) {
    return { ...notYaml(errorText(error)), lineOf };
  }
}

function notYaml(reason: string): Pick<Document, "value" | "issues"> {
  const message = `not valid YAML: ${reason}`;
  return { value: undefined, issues: [{ severity: "error", line: 1, column: 1, message }] };
}

/** Whether a value is made of what JSON has. */
function isJson(value: unknown): value is Json {
  if (Array.isArray(value)) {
    return value.every(isJson);
  }
  if (typeof value === "object" && value !== null) {
    return Object.getPrototypeOf(value) === Object.prototype && Object.values(value).every(isJson);
  }
  return value === null || ["boolean", "number", "string"].includes(typeof value);
}

/** The words that YAML 1.1 reads as true and false and YAML 1.2 as text. */
const WORD_BOOLEAN: ScalarTag = {
  tag: "tag:yaml.org,2002:bool",
  default: true,
  test: /^(?:yes|no|on|off)$/i,
  resolve: (text) => /^(?:yes|on)$/i.test(text),
};
const TWICE = "a key appears twice in this object; the last one counts";

function lineStarts(text: string): readonly number[] {
  const starts = [0];
  for (let index = text.indexOf("\n"); index !== -1; index = text.indexOf("\n", index + 1)) {
    starts.push(index + 1);
  }
  return starts;
}

function positionOf(starts: readonly number[], offset: number): { line: number; column: number } {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((starts[middle] ?? 0) <= offset) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 };
}

/** Texts for the mistakes people make in JSON by hand. */
const JSON_MISTAKES: Readonly<Record<string, string>> = {
  InvalidSymbol: "this word is not JSON; text needs double quotes",
  InvalidNumberFormat: "this is not a number as JSON writes it",
  PropertyNameExpected: 'a key in double quotes is needed here; is there a "," too much?',
  ValueExpected: 'a value is needed here; is there a "," too much?',
  ColonExpected: 'a ":" is needed here',
  CommaExpected: 'a "," is needed here',
  CloseBraceExpected: 'a "}" is needed here',
  CloseBracketExpected: 'a "]" is needed here',
  EndOfFileExpected: "the file should end here",
  UnexpectedEndOfString: 'a text does not end: a " is needed',
  InvalidEscapeCharacter: 'a "\\" in a text must be written as "\\\\"',
  InvalidCharacter: "a control character must be escaped",
};

function jsonMessage(error: ParseError, text: string): string {
  if (text.trim() === "") {
    return "the file is empty";
  }
  const name = printParseErrorCode(error.error);
  const hint = JSON_MISTAKES[name] ?? name;
  return `not valid JSON: ${hint}`;
}

function commentWarnings(text: string, starts: readonly number[]): readonly TextIssue[] {
  if (!text.includes("//") && !text.includes("/*")) {
    return [];
  }
  let first: number | undefined;
  visit(text, {
    onComment: (offset) => {
      first ??= offset;
    },
  });
  if (first === undefined) {
    return [];
  }
  const message = "JSON has no comments: other programs will refuse this file";
  return [{ severity: "warning", ...positionOf(starts, first), message }];
}

function collectDuplicates(node: Node, starts: readonly number[], issues: TextIssue[]): void {
  const seen = new Set<unknown>();
  for (const child of node.children ?? []) {
    const key: unknown = child.type === "property" ? child.children?.[0]?.value : undefined;
    if (typeof key === "string" && seen.has(key)) {
      const message = `"${key}" appears twice in this object; the last one counts`;
      issues.push({ severity: "warning", ...positionOf(starts, child.offset), message });
    }
    seen.add(key);
    collectDuplicates(child, starts, issues);
  }
}

/** The value of a tree; unlike the library's own, a key named `__proto__` stays an ordinary key. */
function plainValue(node: Node): Json {
  if (node.type === "array") {
    return (node.children ?? []).map(plainValue);
  }
  if (node.type !== "object") {
    const scalar: unknown = getNodeValue(node);
    return isJson(scalar) ? scalar : null;
  }
  const pairs: [string, Json][] = [];
  for (const property of node.children ?? []) {
    const [key, value] = property.children ?? [];
    if (key !== undefined && value !== undefined) {
      pairs.push([String(key.value), plainValue(value)]);
    }
  }
  return Object.fromEntries(pairs);
}

function jsonOffset(root: Node, path: Path): number {
  for (let length = path.length; length > 0; length -= 1) {
    const node = findNodeAtLocation(root, path.slice(0, length));
    if (node !== undefined) {
      // A value may start lines below its key; the key is where a person looks.
      return node.parent?.type === "property" ? node.parent.offset : node.offset;
    }
  }
  return root.offset;
}

type YamlDocument = ReturnType<ReturnType<typeof yaml>["parseDocument"]>;

function yamlOffset(contents: unknown, path: Path, document: YamlDocument): number {
  const { isAlias, isCollection, isMap, isScalar } = yaml();
  let node: unknown = contents;
  let offset = startOf(contents) ?? 0;
  for (const part of path) {
    const target: unknown = isAlias(node) ? node.resolve(document) : node;
    if (!isCollection(target)) {
      break;
    }
    const pair = isMap(target)
      ? target.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part))
      : undefined;
    const found: unknown = pair?.value ?? target.get(part, true);
    const here = startOf(pair?.key) ?? startOf(found);
    if (here === undefined) {
      break;
    }
    offset = here;
    node = found;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return yaml().isNode(node) ? node.range?.[0] : undefined;
}
