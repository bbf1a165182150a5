import { defineCommand } from "citty";
import type { ConnectorTypes } from "../config/connectors.ts";
import { type AnnotatedSchema, describeFile } from "../config/describe.ts";
import { fileKinds } from "../config/files.ts";
import { connectorRoot } from "../config/gateway.ts";
import { connectorTypes } from "../connector/registry.ts";
import { nearest } from "../sdk/nearest.ts";
import { UsageError } from "./flags.ts";
import { print } from "./print.ts";

/**
 * The JSON Schema of one kind of file, or of all as an object by name. @throws UsageError when there is no such kind
 */
export async function schemaText(name: string | undefined, types: ConnectorTypes): Promise<string> {
  const kinds = await fileKinds(types);
  const names = kinds.map((kind) => kind.name);
  if (name !== undefined && !names.includes(name)) {
    const near = nearest(name, names);
    const hint = near === undefined ? "" : ` Did you mean "${near}"?`;
    throw new UsageError(`No file is called "${name}".${hint} There are ${names.join(", ")}.`);
  }
  const all: Record<string, AnnotatedSchema> = {};
  for (const kind of kinds) {
    const schema = describeFile(kind.schema, kind.title);
    all[kind.name] = Object.hasOwn(types, kind.name) ? withRootKeys(schema) : schema;
  }
  return `${JSON.stringify(name === undefined ? all : all[name], undefined, 2)}\n`;
}

/** The keys that the core reads at the root of every connector file; a connector's own description goes before. */
function withRootKeys(schema: AnnotatedSchema): AnnotatedSchema {
  const { properties } = describeFile(connectorRoot, "");
  return { ...schema, properties: { ...properties, ...schema.properties } };
}

/** `tbgw schema` */
export const schemaCommand = defineCommand({
  meta: { name: "schema", description: "Print the JSON Schema of a configuration file" },
  args: {
    file: {
      type: "positional",
      required: false,
      description:
        "gateway, statistics, filter, logs, connector, or a connector type; without it all",
    },
  },
  run: async ({ args }) => {
    if (args._.length > 1) {
      throw new UsageError("schema takes one name of a file");
    }
    await print(await schemaText(args.file, connectorTypes));
    return 0;
  },
});
