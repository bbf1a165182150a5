import { ConfigError, errorText, InvariantError } from "#sdk/errors";
import { ExtensionCatalogue } from "../../extension/catalogue.ts";
import type { ConverterLookups, End, Lookup } from "../../extension/uses.ts";
import type { Logger } from "../../sdk/logger.ts";
import { type ConnectorDefinition, connectorTypes } from "../registry.ts";
import type { StartRequest } from "./port.ts";

/** The extensions as this thread sees them: its own copies of their files. The collection thread has said already what is in them. */
export function threadCatalogue({ extensions }: StartRequest, log: Logger): ExtensionCatalogue {
  const quiet: Logger = { ...log, info: (message, fields) => log.debug(message, fields) };
  return new ExtensionCatalogue({ ...extensions, log: quiet });
}

/** The converters of extensions; the collection thread is told of each search, because a changed file makes a fresh instance. */
export function threadLookups(
  catalogue: ExtensionCatalogue,
  type: string,
  note: (lookup: Lookup, end: End) => void,
): ConverterLookups {
  return {
    find: async (kind, name, isBuiltin) => {
      const lookup = { kind, type, name, isBuiltin };
      try {
        const found = await catalogue.find(kind, type, name, { isBuiltin });
        note(lookup, { version: found?.version });
        return found;
      } catch (error) {
        note(lookup, { error: errorText(error) });
        throw error;
      }
    },
    known: (kind) => catalogue.known(kind, type),
  };
}

/** Finds the definition that the collection thread has found. @throws ConfigError when it is not there any more, or cannot be loaded */
export async function findDefinition(
  { origin, name: connector }: StartRequest,
  catalogue: ExtensionCatalogue,
): Promise<ConnectorDefinition> {
  const { kind, type, name } = origin;
  const load = Object.hasOwn(connectorTypes, type) ? connectorTypes[type] : undefined;
  if (kind === "extension") {
    const isBuiltin = load !== undefined;
    const found = await catalogue.find("connector", type, name, { isBuiltin });
    if (found === undefined) {
      const message = `no extension of type "${type}" defines it any more`;
      throw new ConfigError(connector, [{ path: "class", message }]);
    }
    return found.definition;
  }
  if (load === undefined) {
    throw new InvariantError(`There is no connector of type "${type}" to isolate`);
  }
  return (await load()).default;
}
