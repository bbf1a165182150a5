import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import { type CreateOptions, createInstance } from "../connector/create.ts";
import { createHost, type HostServices } from "../connector/host.ts";
import { ConnectorSet } from "../connector/reload.ts";
import { ConnectorSupervisor } from "../connector/supervisor.ts";
import type { DeliveryClient } from "../delivery/client.ts";
import type { LogSettings } from "../logging/settings.ts";
import type { Pipeline } from "../pipeline/uplink.ts";
import type { ConnectorDirectory } from "./connector-directory.ts";
import type { ConnectorErrors } from "./connector-errors.ts";
import type { ExtensionServices } from "./extension-services.ts";

/** The parts of a gateway that its connectors run in. */
export interface ConnectorSetParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly logs: LogSettings;
  readonly delivery: DeliveryClient;
  readonly directory: ConnectorDirectory;
  readonly pipeline: Pipeline;
  readonly errors: ConnectorErrors;
  readonly extensions: ExtensionServices | undefined;
  readonly services: HostServices;
  readonly creating: CreateOptions;
  readonly onFailure: (error: Error) => void;
}

/** The connectors of a gateway, each with its supervisor; none is started here. */
export function connectorSet(parts: ConnectorSetParts): ConnectorSet {
  const { clock, log, logs, delivery, directory, pipeline, errors, onFailure } = parts;
  return new ConnectorSet({
    clock,
    log,
    logging: ({ name, logLevel, enableRemoteLogging = false }) =>
      logs.levels.setConnector(name, { logLevel, enableRemoteLogging }),
    supervise: (connector) =>
      new ConnectorSupervisor(connector, {
        clock,
        log,
        createHost: (made) => createHost(made, parts.services),
        working: (name) => delivery.working(name),
        onTrouble: (made, trouble) => errors.note(made, trouble),
        create: (made, host, signal) => createInstance(made, host, signal, parts.creating),
        onRunning: ({ id, name, type }, running) =>
          directory.add({ id, name, type, connector: running }),
      }),
    stale: async () => (await parts.extensions?.refresh()) ?? new Set(),
    onEnded: async ({ id }) => {
      errors.ended(id);
      await pipeline.forget(id);
    },
    onFailure,
  });
}
