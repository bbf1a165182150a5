import { type JsonSchema, toJsonSchema } from "@valibot/to-json-schema";
import type * as v from "valibot";
import {
  entriesItem,
  isOptional,
  metadataOf,
  objectShape,
  recordValue,
  unwrapSchema,
} from "#sdk/config";
import { arrayItem, isSchema } from "./references.ts";

/** A JSON Schema (draft-07) with our annotations `x-unit`, `x-secret` and `x-reference`. */
export type AnnotatedSchema = JsonSchema & {
  readonly "x-unit"?: string;
  readonly "x-secret"?: true;
  readonly "x-reference"?: true;
};

/** The JSON Schema of a file, for editors. Objects stay open: an unknown key is a warning for us, not a mistake. */
export function describeFile(schema: v.GenericSchema, title: string): AnnotatedSchema {
  return { $schema: "http://json-schema.org/draft-07/schema#", title, ...jsonSchemaOf(schema, 0) };
}

/** Deeper than any configuration file goes; a schema that contains itself ends here. */
const MAX_DEPTH = 16;

function jsonSchemaOf(schema: v.GenericSchema, depth: number): AnnotatedSchema {
  if (depth > MAX_DEPTH) {
    return {};
  }
  const structure = structureOf(schema, depth);
  // A number may stand as text where a reference is allowed.
  const isText = structure.type === "string" || structure.anyOf !== undefined;
  const open = metadataOf(schema)["reference"] === true && !isText;
  return {
    ...(open ? { anyOf: [structure, REFERENCE_TEXT] } : structure),
    ...annotationsOf(schema),
  };
}

const REFERENCE_TEXT = { type: "string", pattern: "\\$\\{(env|file):" } as const;

function structureOf(schema: v.GenericSchema, depth: number): AnnotatedSchema {
  const inner = isOptional(schema) ? unwrapSchema(schema, undefined) : schema;
  const item = entriesItem(schema) ?? arrayItem(inner);
  if (item !== undefined) {
    return { type: "array", items: jsonSchemaOf(item, depth + 1) };
  }
  const shape = objectShape(inner);
  if (shape !== undefined) {
    return objectSchema(shape, depth);
  }
  const options = optionsOf(inner);
  if (options !== undefined) {
    return { anyOf: options.map((option) => jsonSchemaOf(option, depth + 1)) };
  }
  const value = recordValue(inner);
  if (value !== undefined) {
    return { type: "object", additionalProperties: jsonSchemaOf(value, depth + 1) };
  }
  return scalarSchema(inner);
}

function objectSchema(
  shape: Readonly<Record<string, v.GenericSchema>>,
  depth: number,
): AnnotatedSchema {
  const properties: Record<string, AnnotatedSchema> = {};
  const required: string[] = [];
  for (const [key, field] of Object.entries(shape)) {
    properties[key] = jsonSchemaOf(field, depth + 1);
    if (!isOptional(field)) {
      required.push(key);
    }
  }
  return { type: "object", properties, ...(required.length === 0 ? {} : { required }) };
}

/** A text, number, truth value or choice; what JSON Schema cannot say is left open. */
function scalarSchema(schema: v.GenericSchema): AnnotatedSchema {
  const last = choiceAtEnd(schema) ?? schema;
  const converted = toJsonSchema(last, {
    typeMode: "input",
    errorMode: "ignore",
    ignoreActions: ["metadata"],
  });
  const { $schema: _, ...rest } = converted;
  return rest;
}

/** A choice that texts are brought to by a pipe, such as one that does not care about case. */
function choiceAtEnd(schema: v.GenericSchema): v.GenericSchema | undefined {
  const pipe: unknown = "pipe" in schema ? schema.pipe : undefined;
  const steps = Array.isArray(pipe) ? pipe.filter(isSchema) : [];
  for (const step of steps) {
    const found = step.type === "picklist" ? step : choiceAtEnd(step);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}

function optionsOf(schema: v.GenericSchema): readonly v.GenericSchema[] | undefined {
  const isChoice = schema.type === "union" || schema.type === "variant";
  const options: unknown = isChoice && "options" in schema ? schema.options : undefined;
  return Array.isArray(options) ? options.filter(isSchema) : undefined;
}

function annotationsOf(schema: v.GenericSchema): AnnotatedSchema {
  const { doc, fallback, unit, secret, reference, examples, ignored } = metadataOf(schema);
  return {
    ...(typeof doc === "string" ? { description: doc } : {}),
    ...(isJsonValue(fallback) ? { default: fallback } : {}),
    ...(Array.isArray(examples) ? { examples: examples.filter(isJsonValue) } : {}),
    ...(typeof unit === "string" ? { "x-unit": unit } : {}),
    ...(secret === true ? { "x-secret": true } : {}),
    ...(reference === true ? { "x-reference": true } : {}),
    ...(ignored === true ? { deprecated: true } : {}),
  };
}

type JsonValue = NonNullable<JsonSchema["default"]>;

/** Defaults and examples are written down as JSON values; a `bigint` has no place in JSON Schema. */
function isJsonValue(value: unknown): value is JsonValue {
  if (Array.isArray(value)) {
    return value.every(isJsonValue);
  }
  if (typeof value === "object" && value !== null) {
    return Object.values(value).every(isJsonValue);
  }
  return value === null || ["string", "number", "boolean"].includes(typeof value);
}

/** One line of an option table. */
export interface OptionRow {
  /** `security.type`; lists are `connectors[].name`, tables by name `deny.*`. */
  readonly path: string;
  /** `text`, `whole number 1 to 65535`, `true or false`, `` `a`, `b` ``, `list of …`, `object`. */
  readonly type: string;
  /** JSON text; "" when there is none. */
  readonly fallback: string;
  readonly unit: string;
  readonly doc: string;
  readonly required: boolean;
  readonly secret: boolean;
  readonly reference: boolean;
  readonly ignored: boolean;
}

/** All options of a file in the order of the schema, containers before what they contain; of a list, those of an element. */
export function optionRows(schema: v.GenericSchema): readonly OptionRow[] {
  const rows: OptionRow[] = [];
  const item = entriesItem(schema);
  collectRows(describeFile(item ?? schema, ""), "", rows);
  return rows;
}

function collectRows(schema: AnnotatedSchema, path: string, rows: OptionRow[]): void {
  const needed = new Set(schema.required ?? []);
  for (const [key, field] of Object.entries(schema.properties ?? {})) {
    if (typeof field === "boolean") {
      continue;
    }
    const here = path === "" ? key : `${path}.${key}`;
    rows.push(toRow(field, here, needed.has(key)));
    collectInner(field, here, rows);
  }
}

function collectInner(field: AnnotatedSchema, path: string, rows: OptionRow[]): void {
  collectRows(field, path, rows);
  const { items, anyOf, additionalProperties } = field;
  if (typeof additionalProperties === "object") {
    collectInner(additionalProperties, `${path}.*`, rows);
  }
  if (typeof items === "object" && !Array.isArray(items)) {
    collectInner(items, `${path}[]`, rows);
  }
  const known = new Set(rows.map((row) => row.path));
  for (const option of anyOf ?? []) {
    if (typeof option === "object") {
      const own: OptionRow[] = [];
      collectInner(option, path, own);
      // The options of a choice share keys: the first one that has a key describes it.
      rows.push(...own.filter((row) => !known.has(row.path)));
      own.forEach((row) => known.add(row.path));
    }
  }
}

function toRow(field: AnnotatedSchema, path: string, required: boolean): OptionRow {
  const fallback = field.default === undefined ? "" : JSON.stringify(field.default);
  return {
    path,
    type: typeText(field),
    fallback: fallback === "{}" || fallback === "[]" ? "" : fallback,
    unit: field["x-unit"] ?? "",
    doc: field.description ?? "",
    required,
    secret: field["x-secret"] === true,
    reference: field["x-reference"] === true,
    ignored: "deprecated" in field,
  };
}

function typeText(schema: AnnotatedSchema): string {
  if (schema.enum !== undefined) {
    return schema.enum.map((option) => `\`${plainText(option)}\``).join(", ");
  }
  if (schema.const !== undefined) {
    return `\`${plainText(schema.const)}\``;
  }
  if (schema.anyOf !== undefined) {
    const texts = schema.anyOf
      .filter((option) => typeof option === "object")
      .filter(({ pattern }) => pattern !== REFERENCE_TEXT.pattern)
      .map((option) => typeText(option));
    return [...new Set(texts)].join(" or ");
  }
  if (schema.type === "array") {
    const { items } = schema;
    const item = typeof items === "object" && !Array.isArray(items) ? typeText(items) : "";
    return item === "" ? "list" : `list of ${item}`;
  }
  return scalarText(schema);
}

function plainText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function scalarText(schema: AnnotatedSchema): string {
  const names: Readonly<Record<string, string>> = {
    string: "text",
    number: "number",
    integer: "whole number",
    boolean: "true or false",
    object: "object",
    null: "null",
  };
  const name = typeof schema.type === "string" ? (names[schema.type] ?? schema.type) : "any";
  return `${name}${rangeText(schema)}`;
}

function rangeText(schema: AnnotatedSchema): string {
  const { minimum, maximum } = schema;
  const isOpen = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER;
  if (minimum === undefined) {
    return isOpen ? "" : ` up to ${maximum}`;
  }
  return isOpen ? ` from ${minimum}` : ` ${minimum} to ${maximum}`;
}

/** A question of the set-up wizard. */
export interface Question {
  readonly path: readonly string[];
  readonly text: string;
  readonly doc: string;
  /** Suggested answer; `undefined` when there is none. */
  readonly fallback: unknown;
  readonly required: boolean;
  readonly secret: boolean;
  /** Checks and types an answer. */
  readonly schema: v.GenericSchema;
}

/** The questions of a file in the order of the schema; lists are the wizard's own business. */
export function questions(schema: v.GenericSchema): readonly Question[] {
  const found: Question[] = [];
  const walk = (at: v.GenericSchema, path: readonly string[]): void => {
    const { wizard, doc, fallback, secret } = metadataOf(at);
    if (typeof wizard === "string") {
      found.push({
        path,
        text: wizard,
        doc: typeof doc === "string" ? doc : "",
        fallback,
        required: !isOptional(at),
        secret: secret === true,
        schema: at,
      });
    }
    for (const [key, field] of Object.entries(objectShape(unwrapSchema(at, undefined)) ?? {})) {
      walk(field, [...path, key]);
    }
  };
  walk(schema, []);
  return found;
}
