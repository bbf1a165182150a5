import { join } from "node:path";
import type { Clock } from "#sdk/clock";
import type { Connector, ConnectorHost } from "#sdk/connector";
import type { LogLevel } from "#sdk/logger";
import type { End, Lookup } from "../extension/uses.ts";
import { checkedConnector } from "./checked-connector.ts";
import type { ExtensionFolders } from "./isolation/port.ts";
import type { PulseLimits } from "./isolation/pulse.ts";
import type { ConnectorSetup } from "./supervisor.ts";

/** What instances are created with. */
export interface CreateOptions {
  readonly clock: Clock;
  readonly dataDir: string;
  /** From which level on lines of a connector exist, by its name. */
  readonly level: (connector: string) => LogLevel;
  /** When the thread of an isolated connector is ended. Default: silent for 60 s, 256 MiB. */
  readonly limits?: PulseLimits | undefined;
  /** For threads of their own, which look for extensions themselves. Default: there are none. */
  readonly extensions?: ExtensionFolders | undefined;
  /** Told of each search of such a thread for a converter among them. */
  readonly onLookup?: ((connectorId: string, lookup: Lookup, end: End) => void) | undefined;
}

/**
 * Creates one instance, here or in a thread of its own, as its setup says. `signal` aborts when the instance is over.
 * @throws what its `create` throws
 */
export async function createInstance(
  setup: ConnectorSetup,
  host: ConnectorHost,
  signal: AbortSignal,
  options: CreateOptions,
): Promise<Connector> {
  const { isolated, definition, config, id, name } = setup;
  if (isolated === undefined) {
    return checkedConnector(await definition.create(config, host), name);
  }
  const { clock, dataDir, level, limits, extensions, onLookup } = options;
  const { createIsolated } = await import("./isolation/isolated-connector.ts");
  return await createIsolated(host, {
    source: isolated,
    dataDir: connectorDir(dataDir, id),
    level: () => level(name),
    clock,
    signal,
    limits,
    extensions,
    onLookup: (lookup, end) => onLookup?.(id, lookup, end),
  });
}

/** The directory of a connector inside the data directory. */
export function connectorDir(dataDir: string, id: string): string {
  return join(dataDir, "connectors", id);
}
