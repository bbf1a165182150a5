import type * as v from "valibot";
import { entriesItem, metadataOf } from "#sdk/config";
import type { StandardSchema } from "#sdk/standard-schema";
import type { Path } from "./issue.ts";
import { arrayItem, fieldsOf, isSchema } from "./references.ts";

/** A text of a configuration that names a converter. */
export interface NamedConverter {
  readonly kind: "uplink" | "downlink";
  readonly name: string;
  /** Where it stands in what the schema was given. */
  readonly path: Path;
}

/**
 * The converters that a connector's configuration names, in the fields whose schema says so. `input` is what the schema was given,
 * not what it has made of it: there the elements of lists still have their places. None for a schema that is not valibot's.
 */
export function namedConverters(schema: StandardSchema, input: unknown): readonly NamedConverter[] {
  return isSchema(schema) ? found(schema, input, []) : [];
}

function found(schema: v.GenericSchema, value: unknown, path: Path): readonly NamedConverter[] {
  if (typeof value === "string") {
    const kind = kindOf(schema, value);
    return kind === undefined ? [] : [{ kind, name: value, path }];
  }
  if (Array.isArray(value)) {
    const item = entriesItem(schema) ?? arrayItem(schema);
    return item === undefined
      ? []
      : value.flatMap((element, index) => found(item, element, [...path, index]));
  }
  if (typeof value !== "object" || value === null) {
    return [];
  }
  const fieldOf = fieldsOf(schema, value);
  return Object.entries(value).flatMap(([key, inner]) => {
    const field = fieldOf(key);
    return field === undefined ? [] : found(field, inner, [...path, key]);
  });
}

/** What a field's text names; `undefined`: nothing that has to be looked for. */
function kindOf(schema: v.GenericSchema, text: string): NamedConverter["kind"] | undefined {
  const mark = metadataOf(schema)["converter"];
  if (typeof mark !== "object" || mark === null || !("kind" in mark)) {
    return undefined;
  }
  const own = "own" in mark && mark.own instanceof RegExp ? mark.own : undefined;
  const { kind } = mark;
  return (kind === "uplink" || kind === "downlink") && own?.test(text) !== true ? kind : undefined;
}
