import { ConfigError, InvariantError } from "#sdk/errors";
import { ExtensionCatalogue } from "../../extension/catalogue.ts";
import type { Logger } from "../../sdk/logger.ts";
import { type ConnectorDefinition, connectorTypes } from "../registry.ts";
import type { StartRequest } from "./port.ts";

/** The extensions as this thread sees them: its own copies of their files. The collection thread has said already what is in them. */
export function threadCatalogue({ extensions }: StartRequest, log: Logger): ExtensionCatalogue {
  const quiet: Logger = { ...log, info: (message, fields) => log.debug(message, fields) };
  return new ExtensionCatalogue({ ...extensions, log: quiet });
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
