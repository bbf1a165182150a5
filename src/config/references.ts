import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import * as v from "valibot";
import {
  entriesItem,
  metadataOf,
  objectShape,
  type ParseIssue,
  recordValue,
  unwrapSchema,
} from "#sdk/config";
import { errorText } from "#sdk/errors";
import type { Environment } from "./directories.ts";
import type { Path } from "./issue.ts";

/** Where references point to. */
export interface ReferenceSources {
  readonly env: Environment;
  /** A relative path in `${file:…}` starts here. */
  readonly configDir: string;
}

/** A value without references. */
export interface Resolved {
  /** A copy; what a failed reference stood for is left out. */
  readonly value: unknown;
  readonly issues: readonly ParseIssue[];
  /** The values of all secret fields, wherever they came from, for redaction. */
  readonly secrets: readonly string[];
}

/** `${env:NAME}` or `${file:/path}`, anywhere in a text. */
const REFERENCE = /\$\{(env|file):([^}]*)\}/g;

/** A secret or a path fits into this many times over; more is not what was meant. */
const MAX_FILE_BYTES = 65_536;

/** Whether a text holds a reference. */
export function hasReference(text: string): boolean {
  return text.search(REFERENCE) !== -1;
}

/** Whether a text holds references and nothing else. */
export function isReference(text: string): boolean {
  return text !== "" && text.replaceAll(REFERENCE, "") === "";
}

/**
 * Puts the environment variables and files that a value refers to in their places, in fields marked `reference` only. A
 * reference that cannot be resolved is an error, and its field counts as missing. A reference in any other known field is
 * a warning and stays as it is.
 */
export function resolveReferences(
  schema: v.GenericSchema,
  value: unknown,
  sources: ReferenceSources,
): Resolved {
  const walk: Walk = { sources, issues: [], secrets: [] };
  const resolved = resolveAt(schema, value, [], walk);
  return {
    value: resolved === MISSING ? undefined : resolved,
    issues: walk.issues,
    secrets: walk.secrets,
  };
}

interface Walk {
  readonly sources: ReferenceSources;
  readonly issues: ParseIssue[];
  readonly secrets: string[];
}

const MISSING: unique symbol = Symbol("missing");

function resolveAt(schema: v.GenericSchema, value: unknown, path: Path, walk: Walk): unknown {
  if (typeof value === "string") {
    return resolveText(schema, value, path, walk);
  }
  if (Array.isArray(value)) {
    const item = entriesItem(schema) ?? arrayItem(schema) ?? schema;
    return value
      .map((element, index) => resolveAt(item, element, [...path, index], walk))
      .filter((element) => element !== MISSING);
  }
  if (!isRecord(value)) {
    return value;
  }
  const pairs: [string, unknown][] = [];
  const fieldOf = fieldsOf(schema, value);
  for (const [key, inner] of Object.entries(value)) {
    const field = fieldOf(key);
    const resolved = field === undefined ? inner : resolveAt(field, inner, [...path, key], walk);
    if (resolved !== MISSING) {
      pairs.push([key, resolved]);
    }
  }
  return Object.fromEntries(pairs);
}

/** The schema of each member of an object or of a table by name; `undefined` for an unknown member. */
export function fieldsOf(
  schema: v.GenericSchema,
  value: unknown,
): (key: string) => v.GenericSchema | undefined {
  const chosen = chosenSchema(schema, value);
  const shape = objectShape(chosen);
  if (shape === undefined) {
    const same = recordValue(chosen);
    return () => same;
  }
  return (key) => (Object.hasOwn(shape, key) ? shape[key] : undefined);
}

function resolveText(schema: v.GenericSchema, text: string, path: Path, walk: Walk): unknown {
  const info = metadataOf(schema);
  const secret = info["secret"] === true;
  if (!hasReference(text)) {
    if (secret && text !== "") {
      walk.secrets.push(text);
    }
    return text;
  }
  if (info["reference"] !== true) {
    const message = "references do not work in this field: the text is taken as it is";
    walk.issues.push({ severity: "warning", path, message });
    return text;
  }
  const problems: string[] = [];
  const resolved = text.replaceAll(REFERENCE, (whole, kind: string, target: string) => {
    const found = kind === "env" ? readVariable(target, walk) : readSmallFile(target, walk);
    if (found.text === undefined) {
      problems.push(`${whole}: ${found.problem}`);
    }
    return found.text ?? "";
  });
  if (problems.length > 0) {
    walk.issues.push({ severity: "error", path, message: problems.join("; ") });
    return MISSING;
  }
  if (secret) {
    walk.secrets.push(resolved);
  }
  return typedAs(schema, resolved);
}

type Found =
  | { readonly text: string; readonly problem?: undefined }
  | { readonly text?: undefined; readonly problem: string };

function readVariable(name: string, walk: Walk): Found {
  const text = walk.sources.env[name];
  return text === undefined ? { problem: "the environment variable is not set" } : { text };
}

function readSmallFile(target: string, walk: Walk): Found {
  try {
    const content = readFileSync(resolve(walk.sources.configDir, target));
    if (content.length > MAX_FILE_BYTES) {
      return { problem: `the file is larger than ${MAX_FILE_BYTES} bytes` };
    }
    // Editors and `echo` end a file with a line break that is no part of the secret.
    return { text: content.toString("utf8").replace(/\r?\n$/, "") };
  } catch (error) {
    return { problem: `the file cannot be read: ${errorText(error)}` };
  }
}

/** A number or a boolean where the field takes no text. */
function typedAs(schema: v.GenericSchema, text: string): unknown {
  const takesText: boolean = v.is(schema, text);
  if (takesText) {
    return text;
  }
  const number = Number(text);
  if (text.trim() !== "" && v.is(schema, number)) {
    return number;
  }
  const boolean = text === "true";
  return (boolean || text === "false") && v.is(schema, boolean) ? boolean : text;
}

/** The schema that applies to `value`: of several, the one it fits. */
export function chosenSchema(schema: v.GenericSchema, value: unknown): v.GenericSchema {
  const inner = unwrapSchema(schema, value);
  const options: unknown = inner.type === "union" && "options" in inner ? inner.options : undefined;
  if (!Array.isArray(options)) {
    return inner;
  }
  const fitting: unknown = options.find((option) => isSchema(option) && v.is(option, value));
  return isSchema(fitting) ? unwrapSchema(fitting, value) : inner;
}

/** The element schema of a plain list. */
export function arrayItem(schema: v.GenericSchema): v.GenericSchema | undefined {
  const inner = unwrapSchema(schema, undefined);
  const item: unknown = inner.type === "array" && "item" in inner ? inner.item : undefined;
  return isSchema(item) ? item : undefined;
}

/** Whether a value is a synchronous valibot schema. */
export function isSchema(value: unknown): value is v.GenericSchema {
  return (
    isRecord(value) &&
    value["kind"] === "schema" &&
    value["async"] === false &&
    typeof value["~run"] === "function"
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
