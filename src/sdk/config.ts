import * as v from "valibot";
import type { Json } from "./model.ts";

/** What people and tools need to know about a configuration field. */
export interface FieldInfo {
  /** One or two plain sentences. */
  readonly doc: string;
  /** Unit of a number: `s`, `ms`, `bytes`. */
  readonly unit?: string;
  /** Redacted in logs, status, errors and support bundles. */
  readonly secret?: boolean;
  /** May hold `${env:NAME}` or `${file:/path}`. */
  readonly reference?: boolean;
  /** The question of the set-up wizard; without it the wizard does not ask. */
  readonly wizard?: string;
  readonly examples?: readonly Json[];
  /** Accepted so that existing files load, without any effect. */
  readonly ignored?: boolean;
}

type Schema = v.GenericSchema<unknown, unknown>;

/** An optional field with a default; its type is the default's. */
export function field<const S extends v.GenericSchema>(
  schema: S,
  fallback: v.InferInput<S>,
  info: FieldInfo,
) {
  return v.pipe(
    v.optional(schema, () => fallback),
    v.metadata({ ...info, fallback }),
  );
}

/** A field that may be absent and has no default. */
export function optional<const S extends v.GenericSchema>(schema: S, info: FieldInfo) {
  return v.pipe(v.optional(schema), v.metadata({ ...info }));
}

/** A field without which its object makes no sense. */
export function required<const S extends v.GenericSchema>(schema: S, info: FieldInfo) {
  return v.pipe(schema, v.metadata({ ...info }));
}

/**
 * A list whose invalid elements are left out and reported with their path, so that one bad entry never costs the others.
 * `{}` in place of a list means an empty list: configuration editors write it.
 */
export function entries<const S extends v.GenericSchema>(item: S) {
  return v.pipe(
    v.unknown(),
    v.transform((input): unknown => (isEmptyObject(input) ? [] : input)),
    v.array(item),
    v.metadata({ [ENTRIES]: item }),
  );
}

/** Key of the metadata that marks a list of `entries`. */
const ENTRIES = "tbgwEntries";

/** What is wrong, and where. `path` holds keys and indexes from the root of the file. */
export interface ParseIssue {
  readonly severity: "error" | "warning";
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** `value` is `undefined` when something is missing that has no default. */
export interface Parsed<T> {
  readonly value: T | undefined;
  readonly issues: readonly ParseIssue[];
}

/**
 * Reads a configuration object so that one mistake costs as little as possible: a wrong value is an error and its default
 * is used, an invalid element of `entries` is left out, an unknown key is a warning with the nearest known name.
 */
export function parseConfig<const S extends v.GenericSchema>(
  schema: S,
  input: unknown,
): Parsed<v.InferOutput<S>> {
  const issues: ParseIssue[] = [];
  const repaired = repair(schema, input, [], issues);
  if (repaired === INVALID) {
    return { value: undefined, issues };
  }
  const result = v.safeParse(schema, repaired);
  if (!result.success) {
    reportAll(result.issues, [], issues);
    return { value: undefined, issues };
  }
  return { value: result.output, issues };
}

/** `mapping[2].converter.type`; the root is `$`. */
export function formatPath(path: readonly (string | number)[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") {
      text += `[${part}]`;
    } else if (/^[A-Za-z_$][\w$-]*$/.test(part)) {
      text += text === "" ? part : `.${part}`;
    } else {
      text += `[${JSON.stringify(part)}]`;
    }
  }
  return text === "" ? "$" : text;
}

const INVALID: unique symbol = Symbol("invalid");
type Path = readonly (string | number)[];

/** The input without what cannot be used, or INVALID when nothing of it can. */
function repair(schema: Schema, input: unknown, path: Path, issues: ParseIssue[]): unknown {
  const item = entriesItem(schema);
  if (item !== undefined) {
    return repairList(item, input, path, issues);
  }
  const inner = unwrap(schema, input);
  const shape = objectShape(inner);
  if (shape !== undefined && isRecord(input)) {
    return repairObject({ schema: inner, shape }, input, path, issues);
  }
  const result = v.safeParse(schema, input);
  if (result.success) {
    return input;
  }
  reportAll(result.issues, path, issues);
  return INVALID;
}

function repairList(item: Schema, input: unknown, path: Path, issues: ParseIssue[]): unknown {
  if (input === undefined || isEmptyObject(input)) {
    return input;
  }
  if (!Array.isArray(input)) {
    issues.push({ severity: "error", path, message: `must be a list, but is ${describe(input)}` });
    return INVALID;
  }
  const kept: unknown[] = [];
  for (const [index, element] of input.entries()) {
    const repaired = repair(item, element, [...path, index], issues);
    if (repaired !== INVALID) {
      kept.push(repaired);
    }
  }
  return kept;
}

function repairObject(
  target: { readonly schema: Schema; readonly shape: Readonly<Record<string, Schema>> },
  input: Readonly<Record<string, unknown>>,
  path: Path,
  issues: ParseIssue[],
): unknown {
  const known = Object.keys(target.shape);
  const output: Record<string, unknown> = { ...input };
  let usable = true;
  for (const [key, sub] of Object.entries(target.shape)) {
    const here = [...path, key];
    if (!Object.hasOwn(input, key) || (input[key] === null && isOptional(sub))) {
      delete output[key];
      if (!isOptional(sub)) {
        const near = nearest(
          key,
          Object.keys(input).filter((other) => !known.includes(other)),
        );
        const hint = near === undefined ? "" : `; is "${near}" meant to be it?`;
        issues.push({ severity: "error", path: here, message: `"${key}" is missing${hint}` });
        usable = false;
      }
      continue;
    }
    const repaired = repair(sub, input[key], here, issues);
    if (repaired !== INVALID) {
      output[key] = repaired;
    } else if (isOptional(sub)) {
      delete output[key];
    } else {
      usable = false;
    }
  }
  warnUnknown(known, input, path, issues);
  if (!usable) {
    return INVALID;
  }
  const whole = v.safeParse(target.schema, output);
  if (!whole.success) {
    reportAll(whole.issues, path, issues);
    return INVALID;
  }
  return output;
}

function warnUnknown(
  known: readonly string[],
  input: Readonly<Record<string, unknown>>,
  path: Path,
  issues: ParseIssue[],
): void {
  if (known.length === 0) {
    return;
  }
  for (const key of Object.keys(input)) {
    if (!known.includes(key)) {
      const near = nearest(key, known);
      const hint = near === undefined ? "" : `; did you mean "${near}"?`;
      issues.push({
        severity: "warning",
        path: [...path, key],
        message: `"${key}" is not known here and has no effect${hint}`,
      });
    }
  }
}

/** valibot's issues as ours, with what was found and what is needed. */
function reportAll(found: readonly v.BaseIssue<unknown>[], path: Path, issues: ParseIssue[]): void {
  for (const issue of found) {
    const below: (string | number)[] = [];
    for (const part of issue.path ?? []) {
      const key: unknown = part.key;
      below.push(typeof key === "number" ? key : String(key));
    }
    issues.push({ severity: "error", path: [...path, ...below], message: messageOf(issue) });
  }
}

function messageOf(issue: v.BaseIssue<unknown>): string {
  if (issue.kind === "schema" && issue.expected !== null && issue.message.startsWith("Invalid ")) {
    return `must be ${issue.expected.replaceAll(" | ", " or ")}, but is ${describe(issue.input)}`;
  }
  return issue.message;
}

/** A short text of a value for an error message. */
function describe(input: unknown): string {
  if (typeof input === "string") {
    return input.length > 40 ? `text of ${input.length} characters` : JSON.stringify(input);
  }
  if (Array.isArray(input)) {
    return "a list";
  }
  return isRecord(input) ? "an object" : String(input);
}

/** A schema without its `optional` layer; for a variant, the option the input chooses. */
function unwrap(schema: Schema, input: unknown): Schema {
  const wrapped: unknown = "wrapped" in schema ? schema.wrapped : undefined;
  if (isSchema(wrapped)) {
    return unwrap(wrapped, input);
  }
  if (schema.type === "variant" && "options" in schema && "key" in schema && isRecord(input)) {
    const chosen = chooseOption(schema.options, String(schema.key), input);
    return chosen === undefined ? schema : unwrap(chosen, input);
  }
  return schema;
}

function chooseOption(
  options: unknown,
  key: string,
  input: Readonly<Record<string, unknown>>,
): Schema | undefined {
  if (!Array.isArray(options)) {
    return undefined;
  }
  for (const option of options) {
    if (!isSchema(option)) {
      continue;
    }
    const discriminator = objectShape(option)?.[key];
    if (discriminator !== undefined && v.is(discriminator, input[key])) {
      return option;
    }
  }
  return undefined;
}

/** The fields of an object schema; `undefined` for any other schema. */
export function objectShape(schema: Schema): Readonly<Record<string, Schema>> | undefined {
  const shape: unknown = "entries" in schema ? schema.entries : undefined;
  if (!isRecord(shape)) {
    return undefined;
  }
  const fields: Record<string, Schema> = {};
  for (const [key, value] of Object.entries(shape)) {
    if (isSchema(value)) {
      fields[key] = value;
    }
  }
  return fields;
}

/** The element schema of a list made by `entries`; `undefined` for any other schema. */
export function entriesItem(schema: Schema): Schema | undefined {
  const own = metadataOf(schema)[ENTRIES];
  if (isSchema(own)) {
    return own;
  }
  const wrapped: unknown = "wrapped" in schema ? schema.wrapped : undefined;
  return isSchema(wrapped) ? entriesItem(wrapped) : undefined;
}

/** What `field`, `optional` and `required` wrote down about a field. */
export function metadataOf(schema: Schema): Readonly<Record<string, unknown>> {
  const found: unknown = v.getMetadata(schema);
  return isRecord(found) ? found : {};
}

/** Whether a key with this schema may be left out. */
export function isOptional(schema: Schema): boolean {
  return (
    schema.type === "optional" || schema.type === "nullish" || schema.type === "exact_optional"
  );
}

function isSchema(value: unknown): value is Schema {
  return isRecord(value) && value["kind"] === "schema" && typeof value["~run"] === "function";
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isEmptyObject(value: unknown): boolean {
  return isRecord(value) && Object.keys(value).length === 0;
}

/** The known name closest to `key`, if it is close enough to be meant. */
export function nearest(key: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.ceil(key.length / 3)) + 1;
  for (const name of known) {
    const distance = editDistance(key.toLowerCase(), name.toLowerCase());
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance. */
function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const same = left[row - 1] === right[column - 1] ? 0 : 1;
      current.push(
        Math.min(
          (previous[column] ?? 0) + 1,
          (current[column - 1] ?? 0) + 1,
          (previous[column - 1] ?? 0) + same,
        ),
      );
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}
