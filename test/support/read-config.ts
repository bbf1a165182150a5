import type { GenericSchema, InferOutput } from "valibot";
import { formatPath, parseConfig } from "../../src/sdk/config.ts";
import type { Json } from "../../src/sdk/model.ts";

/** A connector file with what was said about it. */
export interface ReadConfig<Config> {
  readonly config: Config;
  readonly issues: readonly string[];
}

/** Reads a connector file as the core does. @throws Error with all errors when nothing is left of it */
export function readConfig<Schema extends GenericSchema>(
  schema: Schema,
  file: Json,
  definition: { upgrade?(file: Json): Json },
): ReadConfig<InferOutput<Schema>> {
  const { value, issues } = parseConfig(schema, definition.upgrade?.(file) ?? file);
  const texts = issues.map(
    ({ severity, path, message }) => `${severity} ${formatPath(path)}: ${message}`,
  );
  if (value === undefined) {
    throw new Error(texts.join("\n"));
  }
  return { config: value, issues: texts };
}
