import * as v from "valibot";
import { describeValue, issueMessage } from "./config-message.ts";
import { type Path, rememberPlaces, type ShortenedList } from "./config-places.ts";
import type { Json } from "./model.ts";
import { nearest } from "./nearest.ts";

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
  /** The text names a converter, which `tbgw check` then looks for; `own`: names that stand for the connector's own conversion. */
  readonly converter?: { readonly kind: "uplink" | "downlink"; readonly own?: RegExp };
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
  const found: Found = { issues, shortened: [] };
  const repaired = repair(schema, input, [], found);
  if (repaired === INVALID) {
    return { value: undefined, issues };
  }
  const result = v.safeParse(schema, repaired);
  if (!result.success) {
    reportAll(result.issues, { path: [], schema }, issues);
    return { value: undefined, issues };
  }
  rememberPlaces(result.output, found.shortened);
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

/** What comes to light on the way. */
interface Found {
  readonly issues: ParseIssue[];
  readonly shortened: ShortenedList[];
}

/** The input without what cannot be used, or INVALID when nothing of it can. */
function repair(schema: Schema, input: unknown, path: Path, found: Found): unknown {
  const inner = unwrapSchema(schema, input);
  const item = entriesItem(schema) ?? entriesItem(inner);
  if (item !== undefined) {
    return repairList(item, input, path, found);
  }
  const shape = objectShape(inner);
  if (shape !== undefined && isRecord(input)) {
    return repairObject({ schema: inner, shape }, input, path, found);
  }
  if (shape !== undefined && Array.isArray(input)) {
    // valibot takes a list for an object without keys.
    found.issues.push({ severity: "error", path, message: "must be an object, but is a list" });
    return INVALID;
  }
  const value = recordValue(inner);
  if (value !== undefined && isRecord(input)) {
    return repairRecord({ schema: inner, value }, input, path, found);
  }
  return accept(schema, input, path, found.issues);
}

/** `input` when the schema takes it as it is. */
function accept(schema: Schema, input: unknown, path: Path, issues: ParseIssue[]): unknown {
  const result = v.safeParse(schema, input);
  if (result.success) {
    return input;
  }
  reportAll(result.issues, { path, schema }, issues);
  return INVALID;
}

/** A table by name: what cannot be used of it is left out. */
function repairRecord(
  target: { readonly schema: Schema; readonly value: Schema },
  input: Readonly<Record<string, unknown>>,
  path: Path,
  found: Found,
): unknown {
  const kept: [string, unknown][] = [];
  for (const [key, element] of Object.entries(input)) {
    const repaired = repair(target.value, element, [...path, key], found);
    if (repaired !== INVALID) {
      kept.push([key, repaired]);
    }
  }
  return accept(target.schema, Object.fromEntries(kept), path, found.issues);
}

function repairList(item: Schema, input: unknown, path: Path, found: Found): unknown {
  if (input === undefined || isEmptyObject(input)) {
    return input;
  }
  if (!Array.isArray(input)) {
    found.issues.push({
      severity: "error",
      path,
      message: `must be a list, but is ${describeValue(input)}`,
    });
    return INVALID;
  }
  const left: unknown[] = [];
  const kept: number[] = [];
  for (const [index, element] of input.entries()) {
    const repaired = repair(item, element, [...path, index], found);
    if (repaired !== INVALID) {
      left.push(repaired);
      kept.push(index);
    }
  }
  if (left.length < input.length) {
    found.shortened.push({ path, kept });
  }
  return left;
}

function repairObject(
  target: { readonly schema: Schema; readonly shape: Readonly<Record<string, Schema>> },
  input: Readonly<Record<string, unknown>>,
  path: Path,
  found: Found,
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
        found.issues.push({ severity: "error", path: here, message: `"${key}" is missing${hint}` });
        usable = false;
      }
      continue;
    }
    const repaired = repair(sub, input[key], here, found);
    if (repaired !== INVALID) {
      output[key] = repaired;
    } else if (isOptional(sub)) {
      delete output[key];
    } else {
      usable = false;
    }
  }
  warnUnknown(known, input, path, found.issues);
  if (!usable) {
    return INVALID;
  }
  return accept(target.schema, output, path, found.issues);
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
function reportAll(
  found: readonly v.BaseIssue<unknown>[],
  place: { readonly path: Path; readonly schema: Schema },
  issues: ParseIssue[],
): void {
  for (const issue of found) {
    const below: (string | number)[] = [];
    for (const part of issue.path ?? []) {
      const key: unknown = part.key;
      below.push(typeof key === "number" ? key : String(key));
    }
    issues.push({
      severity: "error",
      path: [...place.path, ...below],
      message: issueMessage(issue, isSecretAt(place.schema, below)),
    });
  }
}

/** Whether a field on the way from `schema` down `path` is marked as secret. */
function isSecretAt(schema: Schema, path: Path): boolean {
  if (metadataOf(schema)["secret"] === true) {
    return true;
  }
  const [key, ...rest] = path;
  if (key === undefined) {
    return false;
  }
  const below =
    typeof key === "number"
      ? entriesItem(schema)
      : objectShape(unwrapSchema(schema, undefined))?.[key];
  return below !== undefined && isSecretAt(below, rest);
}

/** A schema without its `optional` layer; for a variant or union, the option that `input` chooses. */
export function unwrapSchema(schema: Schema, input: unknown): Schema {
  const wrapped: unknown = "wrapped" in schema ? schema.wrapped : undefined;
  if (isSchema(wrapped)) {
    return unwrapSchema(wrapped, input);
  }
  if (schema.type === "variant" && "options" in schema && "key" in schema && isRecord(input)) {
    const chosen = chooseOption(schema.options, String(schema.key), input);
    return chosen === undefined ? schema : unwrapSchema(chosen, input);
  }
  if (schema.type === "union" && "options" in schema) {
    return chooseByShape(schema.options, input) ?? schema;
  }
  return schema;
}

/** Of a union, the option for a list or an object when `input` is one, so that its parts are looked at one by one. */
function chooseByShape(options: unknown, input: unknown): Schema | undefined {
  const list = Array.isArray(options) ? options.filter(isSchema) : [];
  if (Array.isArray(input)) {
    return list.find((option) => entriesItem(option) !== undefined);
  }
  return isRecord(input) ? list.find((option) => objectShape(option) !== undefined) : undefined;
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

/** The value schema of a table by name; `undefined` for any other schema. */
export function recordValue(schema: Schema): Schema | undefined {
  const value: unknown = schema.type === "record" && "value" in schema ? schema.value : undefined;
  return isSchema(value) ? value : undefined;
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
