import { InvariantError } from "#sdk/errors";
import { type ConnectorDefinition, connectorTypes } from "../registry.ts";
import type { DefinitionOrigin } from "./port.ts";

/** Finds in a thread of its own the definition that the collection thread has found. @throws Error when it cannot be loaded */
export async function findDefinition(origin: DefinitionOrigin): Promise<ConnectorDefinition> {
  const load = Object.hasOwn(connectorTypes, origin.type) ? connectorTypes[origin.type] : undefined;
  if (load === undefined) {
    throw new InvariantError(`There is no connector of type "${origin.type}" to isolate`);
  }
  return (await load()).default;
}
