import type { LoadedConnector, ReadyConnector } from "../config/connectors.ts";
import type { LoadedConfiguration } from "../config/load.ts";
import type { IsolatedSource } from "../connector/isolation/port.ts";
import type { ReportSettings } from "../pipeline/reports.ts";
import type { LogLevel } from "../sdk/logger.ts";
import type { DeviceSettings } from "./device-service.ts";
import type { GatewaySetup } from "./gateway-setup.ts";
import { statisticsSettings } from "./statistics.ts";
import type { UnusableConnectorStatus } from "./status.ts";

/**
 * What a gateway is made from, out of its configuration files: only the connectors whose file could be used.
 * `logLevel` other than `info` goes before the levels of the connector files.
 */
export function gatewaySetup(configuration: LoadedConfiguration, logLevel: LogLevel): GatewaySetup {
  const { dataDir, storage, leftBehind } = configuration;
  const { tbgw, thingsboard } = configuration.gateway;
  const { web } = tbgw;
  const connectors = configuration.connectors.flatMap((connector) =>
    connector.state === "ready"
      ? [
          {
            id: connector.id,
            name: connector.name,
            type: connector.type,
            definition: connector.definition,
            config: connector.config,
            logLevel: logLevel === "info" ? connector.logLevel : logLevel,
            reportStrategy: connector.reportStrategy,
            enableRemoteLogging: connector.enableRemoteLogging,
            startTimeoutMs: connector.entry.startTimeoutMs,
            extension: connector.extension,
            isolated: isolatedSource(connector),
          },
        ]
      : [],
  );
  const session = sessionSettings(configuration);
  return {
    dataDir,
    session,
    storage,
    leftBehind,
    connectors,
    devices: deviceSettings(configuration),
    unusable: configuration.connectors.flatMap(unusableStatus),
    statistics: statisticsSettings(configuration),
    web: web.enabled ? { host: web.host, port: web.port } : undefined,
    logLevel,
    allowReboot: tbgw.allowReboot,
    shell: { allowed: tbgw.allowRemoteShell, enabled: thingsboard.remoteShell },
    syncsAttributes: thingsboard.syncDevicesSharedAttributesOnConnect,
    reports: reportSettings(configuration),
    latencyDebug: configuration.gateway.thingsboard.latencyDebugMode,
  };
}

/** `undefined`: it runs in the collection thread. */
function isolatedSource(connector: ReadyConnector): IsolatedSource | undefined {
  const { entry, type, extension, input } = connector;
  if (entry.isolation !== "worker") {
    return undefined;
  }
  const kind = extension === undefined ? "builtin" : "extension";
  return { origin: { kind, type, name: entry.class }, input };
}

/** What the registry of devices has to know. */
function deviceSettings({
  configDir,
  connectors,
  deviceFilter,
  gateway,
}: LoadedConfiguration): DeviceSettings {
  const { checkingDeviceActivity, handleDeviceRenaming } = gateway.thingsboard;
  const { checkDeviceInactivity, inactivityCheckPeriodSeconds, inactivityTimeoutSeconds } =
    checkingDeviceActivity;
  return {
    configDir,
    owners: connectors.map(({ id, name, state }) => ({ id, name, isReady: state === "ready" })),
    followRenames: handleDeviceRenaming,
    inactivity: checkDeviceInactivity
      ? {
          timeoutMs: inactivityTimeoutSeconds * 1000,
          periodMs: inactivityCheckPeriodSeconds * 1000,
        }
      : undefined,
    filter: deviceFilter,
  };
}

/** An entry that nothing is started for, with the first thing that is wrong with it. */
function unusableStatus(connector: LoadedConnector): readonly UnusableConnectorStatus[] {
  if (connector.state === "ready") {
    return [];
  }
  const { id, name, type, state, issues } = connector;
  const issue = issues.find(({ severity }) => severity === "error") ?? issues[0];
  const line = issue?.line === undefined ? "" : `, line ${issue.line}`;
  const detail =
    issue === undefined ? undefined : `${issue.file}${line}: ${issue.path}: ${issue.message}`;
  return [{ id, name, type, state, detail }];
}

/** What the pipeline has to know about report strategies. */
export function reportSettings({ gateway, reportStrategy }: LoadedConfiguration): ReportSettings {
  const { thingsboard, tbgw } = gateway;
  return {
    gateway: reportStrategy,
    repeatTimestamp: tbgw.repeatTimestamp,
    cleanupMs: thingsboard.reportStrategyDataCacheCleanupInterval * 1000,
  };
}

/** The session; one without credentials asks the platform for them at its first connection. */
function sessionSettings({
  dataDir,
  session,
  provisioning,
}: LoadedConfiguration): GatewaySetup["session"] {
  if (session !== undefined || provisioning === undefined) {
    return session;
  }
  const { request, connection } = provisioning;
  return { ...connection, credentials: { kind: "provisioning", request, dataDir } };
}
