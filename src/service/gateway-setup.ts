import type { LeftBehind } from "../config/storage.ts";
import type { PulseLimits } from "../connector/isolation/pulse.ts";
import type { ConnectorSetup } from "../connector/supervisor.ts";
import type { ExtensionCatalogue } from "../extension/catalogue.ts";
import type { LogSettings } from "../logging/settings.ts";
import type { ReportSettings } from "../pipeline/reports.ts";
import type { Clock } from "../sdk/clock.ts";
import type { LogLevel, LogSink } from "../sdk/logger.ts";
import type { StorageSettings } from "../storage/event-store.ts";
import type { SessionSettings } from "../thingsboard/settings.ts";
import type { WebSettings } from "../web/server.ts";
import type { DeviceSettings } from "./device-service.ts";
import type { ConfigurationFiles } from "./live-configuration.ts";
import type { ShellSwitches } from "./remote-shell.ts";
import type { StatisticsSettings } from "./statistics.ts";
import type { UnusableConnectorStatus } from "./status.ts";

/** All a gateway is made from. */
export interface GatewaySetup {
  readonly dataDir: string;
  readonly session: SessionSettings | undefined;
  readonly storage: StorageSettings;
  /** Where a Python gateway may have left records. */
  readonly leftBehind?: LeftBehind | undefined;
  readonly connectors: readonly ConnectorSetup[];
  /** Default: as without a word about devices in the configuration. */
  readonly devices?: DeviceSettings | undefined;
  /** Entries of the configuration that nothing can be started for: shown in the status. */
  readonly unusable?: readonly UnusableConnectorStatus[];
  /** `undefined`: no web server. */
  readonly web?: WebSettings | undefined;
  /** `undefined`: no statistics. */
  readonly statistics?: StatisticsSettings | undefined;
  readonly logLevel: LogLevel;
  /** `tbgw.allowReboot`. Default: false. */
  readonly allowReboot?: boolean;
  /** `thingsboard.syncDevicesSharedAttributesOnConnect`. Default: true. */
  readonly syncsAttributes?: boolean;
  /** `thingsboard.remoteShell` and `tbgw.allowRemoteShell`. Default: both false. */
  readonly shell?: ShellSwitches;
  /** Default: every value goes up. */
  readonly reports?: ReportSettings | undefined;
  /** `thingsboard.latencyDebugMode`. Default: false. */
  readonly latencyDebug?: boolean;
  /** The files this was made from: watched, and changed by the platform. Without them nothing changes. */
  readonly files?: ConfigurationFiles | undefined;
}

/** What the gateway needs of its surroundings. */
export interface GatewayOptions {
  readonly clock: Clock;
  /** Epoch milliseconds before which the clock cannot be right. Default: the build of the program. */
  readonly buildMs?: number;
  readonly sink: LogSink;
  /** Converters and methods of extensions. Default: there are none. */
  readonly extensions?: ExtensionCatalogue | undefined;
  /** Where lines go, and from which level on. Default: all to `sink`. */
  readonly logs?: LogSettings;
  /** The gateway cannot go on; the process should end with exit code 1, for its supervisor to start it again. */
  readonly onFailure: (error: Error) => void;
  /** The platform asks for a restart: stop the gateway and start the same program again. Left out: it is told that this is not possible. */
  readonly onRestart?: () => void;
  /** When the thread of an isolated connector is ended. Default: silent for 60 s, 256 MiB. */
  readonly isolationLimits?: PulseLimits | undefined;
}
