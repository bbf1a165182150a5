import { type ParseIssue, parseConfig } from "#sdk/config";
import { ConfigError, errorText } from "#sdk/errors";
import type { StandardSchema } from "#sdk/standard-schema";
import { isSchema } from "./references.ts";

/** As `checkSchema`, for a configuration that has been checked before. @throws ConfigError when it cannot be used all the same */
export function checkConfig(schema: StandardSchema, input: unknown, file: string): unknown {
  const { value, usable, issues } = checkSchema(schema, input);
  if (!usable) {
    throw new ConfigError(
      file,
      issues.map(({ path, message }) => ({ path: path.join("."), message })),
    );
  }
  return value;
}

/** What a schema has made of a configuration. */
export interface Checked {
  readonly value: unknown;
  readonly usable: boolean;
  readonly issues: readonly ParseIssue[];
}

/** Through the forgiving reader for a valibot schema, through its own `validate` for any other. Never throws. */
export function checkSchema(schema: StandardSchema, input: unknown): Checked {
  if (isSchema(schema)) {
    const { value, issues } = parseConfig(schema, input);
    return { value, usable: value !== undefined, issues };
  }
  try {
    const result = schema["~standard"].validate(input);
    if (result instanceof Promise) {
      // The answer is not wanted, and a rejection must not become an unhandled one.
      result.catch(() => undefined);
      return failed([], "the connector checks its configuration asynchronously: that is refused");
    }
    if (result.issues === undefined) {
      return { value: result.value, usable: true, issues: [] };
    }
    const issues = result.issues.map(({ message, path }): ParseIssue => {
      const parts = (path ?? []).map((part) => (typeof part === "object" ? part.key : part));
      return { severity: "error", path: parts.map(toPathPart), message };
    });
    return { value: undefined, usable: false, issues };
  } catch (error) {
    return failed([], `the connector's check failed: ${errorText(error)}`);
  }
}

function toPathPart(part: PropertyKey): string | number {
  return typeof part === "symbol" ? String(part) : part;
}

function failed(path: readonly (string | number)[], message: string): Checked {
  return { value: undefined, usable: false, issues: [{ severity: "error", path, message }] };
}
