import type * as v from "valibot";
import { entriesItem, metadataOf } from "#sdk/config";
import { arrayItem, fieldsOf, isReference } from "./references.ts";

/** What stands for a secret in everything that is shown. */
export const REDACTED = "******";

/** Names that mean a secret where no schema says so: keys of extensions, misspelt keys. */
const SECRET_NAME = /passw|passphrase|secret|token|private_?key(?!s?_?path)|credential/i;

/** Whether a key means a secret by its name. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/**
 * A copy of a configuration to be shown: the values of secret fields, and of unknown fields named like one, are replaced.
 * A reference such as `${env:TOKEN}` is no secret and stays, so that a person can see where the value comes from. Without
 * a schema the names decide alone.
 */
export function redact(value: unknown, schema: v.GenericSchema | undefined): unknown {
  return redactAt(value, schema, undefined);
}

function redactAt(
  value: unknown,
  schema: v.GenericSchema | undefined,
  key: string | undefined,
): unknown {
  if (isSecret(schema, key, value)) {
    return typeof value === "string" && (value === "" || isReference(value)) ? value : REDACTED;
  }
  if (Array.isArray(value)) {
    const item = schema === undefined ? undefined : (entriesItem(schema) ?? arrayItem(schema));
    return value.map((element) => redactAt(element, item, key));
  }
  return isObject(value) ? redactObject(value, schema) : value;
}

function redactObject(
  value: Readonly<Record<string, unknown>>,
  schema: v.GenericSchema | undefined,
): unknown {
  const fieldOf = schema === undefined ? undefined : fieldsOf(schema, value);
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, redactAt(inner, fieldOf?.(name), name)]),
  );
}

/** A secret by its schema, whatever its type; by its name, a text or number. */
function isSecret(
  schema: v.GenericSchema | undefined,
  key: string | undefined,
  value: unknown,
): boolean {
  if (value === undefined || value === null) {
    return false;
  }
  if (schema !== undefined) {
    return metadataOf(schema)["secret"] === true;
  }
  const isScalar = typeof value === "string" || typeof value === "number";
  return isScalar && key !== undefined && isSecretName(key);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
