import { ConfigError, errorText } from "#sdk/errors";
import type { Json } from "#sdk/model";
import type { LoadedConfiguration } from "../config/load.ts";
import { VERSION } from "../version.ts";
import { isConnectorObject, publishedConnector } from "./remote-connectors.ts";
import type { RemoteLogs } from "./remote-logs.ts";
import { publishedGeneral, publishedGrpc, publishedStorage } from "./remote-sections.ts";

/** The version whose configuration forms the platform is to show; not ours. */
export const COMPATIBLE_VERSION = "3.8.3";

/** The section `thingsboard` of the main file. */
export const GENERAL = "general_configuration";
/** The section `storage`. */
export const STORAGE = "storage_configuration";
/** The section `grpc`, which is only kept. */
export const GRPC = "grpc_configuration";
/** The file `logs.json`. */
export const LOGS = "logs_configuration";
/** The names of the connectors that shall run. */
export const ACTIVE = "active_connectors";
/** Why pushes were refused, by attribute; empty when all is well. */
export const ERRORS = "configuration_errors";
/** In this order within what arrives together: connectors come after these, and the list of those that shall stay is last. */
export const ORDER: readonly string[] = [GENERAL, STORAGE, GRPC, LOGS];

/** Attributes of the platform and of other parts, which are never a connector. */
const OTHERS = new Set(["RemoteLoggingLevel", "Version", "mode", "inactive_connectors", ERRORS]);

/** Whether an attribute is part of the configuration; a user may keep something of his own beside it. */
export function isOurs(name: string, value: Json): boolean {
  return ORDER.includes(name) || name === ACTIVE || (!OTHERS.has(name) && isConnectorObject(value));
}

/** Which configuration forms fit, and which program this is. */
export function versions(): ReadonlyMap<string, Json> {
  return new Map([
    ["Version", COMPATIBLE_VERSION],
    ["tbgw_version", VERSION],
  ]);
}

/** The configuration as the platform shows it: the content of each attribute, without `ts`. */
export function contentsOf(
  loaded: LoadedConfiguration,
  logs: RemoteLogs,
): ReadonlyMap<string, Json> {
  const contents = new Map<string, Json>();
  for (const connector of loaded.connectors) {
    const published = publishedConnector(connector);
    if (published !== undefined) {
      contents.set(connector.name, published);
    }
  }
  contents.set(GENERAL, publishedGeneral(loaded));
  contents.set(STORAGE, publishedStorage(loaded));
  contents.set(GRPC, publishedGrpc(loaded));
  contents.set(LOGS, logs.published(loaded));
  contents.set(
    ACTIVE,
    loaded.connectors.map(({ name }) => name),
  );
  return contents;
}

/** The names in `active_connectors`; `undefined` when it is no list of names. */
export function namesOf(value: Json | undefined): readonly string[] | undefined {
  if (!Array.isArray(value)) {
    return undefined;
  }
  const names = value.filter((name: Json) => typeof name === "string");
  return names.length === value.length ? names : undefined;
}

/** Why a push was refused, for a person at the platform. */
export function reasonOf(error: unknown): string {
  if (error instanceof ConfigError) {
    const issues = error.issues.slice(0, 5).map(({ path, message }) => `${path}: ${message}`);
    return issues.join("; ");
  }
  return errorText(error);
}
