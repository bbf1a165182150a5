import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import { redact } from "../config/redact.ts";
import type { LinkStatus } from "../connector/host.ts";
import { connectorTypes } from "../connector/registry.ts";
import type { ConnectorSetup, ConnectorState } from "../connector/supervisor.ts";
import type { DeliveryReport } from "../delivery/port.ts";
import type { ReportCounters } from "../pipeline/reports.ts";
import type { StorageSettings, StoreStats } from "../storage/event-store.ts";
import { VERSION } from "../version.ts";
import type { DeviceCondition } from "./device-health.ts";
import type { Device } from "./devices.ts";
import {
  type ExtensionSources,
  type ExtensionsReport,
  extensionsReport,
} from "./extension-status.ts";
import type { LogStatus } from "./log-services.ts";
import type { Counters } from "./metrics.ts";
import type { Observation } from "./observation.ts";
import { type Outlook, outlook } from "./outlook.ts";
import type { RpcCounts } from "./rpc.ts";
import type { UplinkSummary } from "./uplink-history.ts";

/** One connector as `tbgw status` shows it. */
export interface ConnectorStatus {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  /** "skipped": nothing here runs its type. */
  readonly state: ConnectorState | "skipped";
  readonly link: LinkStatus | undefined;
  readonly detail: string | undefined;
  readonly restarts: number;
  /** Its devices that are connected. */
  readonly devices: number;
  readonly counters: Counters;
  /** What it could not use, by reason. */
  readonly rejected: Counters;
}

/** One device as `tbgw status` shows it. */
export interface DeviceStatus extends DeviceCondition {
  readonly name: string;
  readonly type: string;
  /** Name of its connector; `undefined` when that is not configured any more. */
  readonly connector: string | undefined;
  readonly connected: boolean;
}

/** The whole gateway at one moment. Plain data without secrets; durations in milliseconds. */
export interface GatewayStatus extends Omit<DeliveryReport, "store"> {
  readonly store: Omit<StoreStats, "marks">;
  readonly version: string;
  readonly pid: number;
  readonly uptimeMs: number;
  readonly dataDir: string;
  readonly storage: StorageSettings["kind"];
  /** "not-answering": what is said about store and uplink is what it reported last. */
  readonly delivery: "answering" | "not-answering";
  readonly uplink: UplinkSummary;
  readonly outlook: Outlook;
  /** How often the delivery thread failed and was replaced. */
  readonly threadRestarts: number;
  /** "not-set": the machine does not know the time; data is stored and sent once it does. */
  readonly clock: "set" | "not-set";
  /** Devices that are connected. */
  readonly devices: number;
  readonly connectors: readonly ConnectorStatus[];
  /** What the report strategies do. */
  readonly reports: ReportCounters;
  /** RPC requests and attribute messages received since the start. */
  readonly messagesFromPlatform: number;
  /** Calls of the platform, and what became of their replies. */
  readonly calls: RpcCounts;
  readonly logs: LogStatus;
}

/** What a connector said about its links last. */
export interface ConnectorLink {
  readonly status: LinkStatus;
  readonly detail: string | undefined;
}

/** A connector that cannot run, with the reason. */
export interface UnusableConnectorStatus
  extends Pick<ConnectorStatus, "id" | "name" | "type" | "detail"> {
  readonly state: "invalid" | "skipped";
}

/** Where the status comes from. */
export interface StatusSources {
  readonly clock: Clock;
  readonly dataDir: string;
  /** As it is at this moment: remote configuration may change it. */
  readonly storage: () => StorageSettings;
  /** Values that must not be shown, whatever a library has put into an error. */
  readonly secrets: { hide<T>(value: T): T };
  readonly observation: Observation;
  readonly delivery: { readonly restarts: number; report(): Promise<DeliveryReport> };
  readonly stamps: { readonly isSet: boolean };
  readonly logs: () => LogStatus;
  readonly calls: () => RpcCounts;
  readonly reports: () => ReportCounters;
  readonly devices: {
    readonly connectedCount: number;
    of(connectorId: string): readonly Device[];
  };
  /** In the order of the configuration. */
  readonly connectors: () => readonly RunningConnectorStatus[];
  /** `undefined`: there are none. */
  readonly extensions: { readonly sources: ExtensionSources } | undefined;
  /** Entries of the configuration that nothing could be started for. */
  readonly unusable: () => readonly UnusableConnectorStatus[];
}

/** What a supervisor knows of its connector. */
export interface RunningConnectorStatus {
  readonly setup: ConnectorSetup;
  readonly state: ConnectorState;
  readonly restarts: number;
}

/** Puts together what the gateway shows of itself: to `tbgw status`, the web and the statistics. */
export class StatusReader {
  readonly #sources: StatusSources;
  #pending: Promise<DeliveryReport> | undefined;

  constructor(sources: StatusSources) {
    this.#sources = sources;
  }

  /**
   * The state of everything at this moment. A delivery thread that does not answer within `waitMs` is said to be so, with what it
   * reported last. @throws TransientError when it has never reported
   */
  async read(waitMs: number): Promise<GatewayStatus> {
    const { report, answers } = await this.#report(waitMs);
    const sources = this.#sources;
    const { observation, clock, dataDir, delivery, stamps, devices } = sources;
    const storage = sources.storage();
    const connectors = this.connectors();
    const { marks: _marks, ...store } = report.store;
    return this.#shown({
      version: VERSION,
      pid: process.pid,
      uptimeMs: Math.round(clock.monotonicMs() - observation.startedMs),
      dataDir,
      storage: storage.kind,
      ...report,
      store,
      delivery: answers ? "answering" : "not-answering",
      uplink: observation.uplink.summary,
      outlook: outlook(report.store, report.rates, storage),
      threadRestarts: delivery.restarts,
      clock: stamps.isSet ? "set" : "not-set",
      devices: devices.connectedCount,
      connectors,
      reports: sources.reports(),
      messagesFromPlatform: observation.messagesFromPlatform,
      calls: sources.calls(),
      logs: sources.logs(),
    });
  }

  /** Every connector of the configuration. */
  connectors(): readonly ConnectorStatus[] {
    const { connectors, unusable } = this.#sources;
    const running = connectors();
    const ids = new Set(running.map(({ setup }) => setup.id));
    const rest = unusable().filter(({ id }) => !ids.has(id));
    return this.#shown([
      ...running.map((connector) => this.#connector(connector)),
      ...rest.map((entry): ConnectorStatus => ({ ...NOTHING, ...entry })),
    ]);
  }

  /** What runs of extensions; `undefined` when this gateway has none. */
  extensions(): ExtensionsReport | undefined {
    const { connectors, extensions } = this.#sources;
    const running = new Map(connectors().map(({ setup }) => [setup.id, setup]));
    const known = this.connectors().map((status) => ({
      ...status,
      extension: running.get(status.id)?.extension,
      isBuiltin: Object.hasOwn(connectorTypes, status.type),
    }));
    return extensions && this.#shown(extensionsReport(extensions.sources, known));
  }

  /** The configuration of a running connector, its secrets hidden; `undefined` when it does not run. */
  configuration(connectorId: string): unknown {
    const running = this.#sources.connectors().find(({ setup }) => setup.id === connectorId);
    return running === undefined ? undefined : this.#shown(redact(running.setup.config, undefined));
  }

  /** The devices of all connectors: those with the newest errors first, then those that wait longest, `limit` at most. */
  devices(limit: number): { readonly devices: readonly DeviceStatus[]; readonly omitted: number } {
    const all = this.#sources
      .connectors()
      .flatMap(({ setup }) =>
        this.#sources.devices.of(setup.id).map((device) => this.#device(device, setup.name)),
      );
    const devices = all.toSorted(byUrgency).slice(0, limit);
    return this.#shown({ devices, omitted: all.length - devices.length });
  }

  #connector({ setup, state, restarts }: RunningConnectorStatus): ConnectorStatus {
    const { observation, devices } = this.#sources;
    const { id, name, type } = setup;
    const link = observation.links.get(id);
    return {
      id,
      name,
      type,
      state,
      link: link?.status,
      detail: link?.detail,
      restarts,
      devices: devices.of(id).filter(({ connected }) => connected).length,
      counters: { ...observation.counters.of(id) },
      rejected: { ...observation.counters.rejectedOf(id) },
    };
  }

  #device(device: Device, connector: string): DeviceStatus {
    return {
      name: device.deviceName,
      type: device.deviceType,
      connector,
      connected: device.connected,
      ...this.#sources.observation.health.of(device.deviceName),
    };
  }

  /** One question to the delivery thread at a time: whoever asks meanwhile gets the same answer. */
  async #report(
    waitMs: number,
  ): Promise<{ readonly report: DeliveryReport; readonly answers: boolean }> {
    const { clock, delivery, observation } = this.#sources;
    this.#pending ??= delivery.report().finally(() => {
      this.#pending = undefined;
    });
    const late = Promise.withResolvers<undefined>();
    using _timer = clock.timer(waitMs, () => late.resolve(undefined));
    // Why it fails is logged where it fails; here it only counts that there is no answer.
    const answer = await Promise.race([this.#pending, late.promise]).catch(() => undefined);
    // `last` has seen the answer: its counters go on over a restart of the thread.
    const report = observation.uplink.last ?? answer;
    if (report === undefined) {
      throw new TransientError("The delivery thread has not answered yet");
    }
    return { report, answers: answer !== undefined };
  }

  /** The last line of defence against secrets: whatever a library has put into a text. */
  #shown<T>(value: T): T {
    return this.#sources.secrets.hide(value);
  }
}

const NOTHING: Omit<ConnectorStatus, keyof UnusableConnectorStatus> = {
  link: undefined,
  restarts: 0,
  devices: 0,
  counters: {},
  rejected: {},
};

/** Devices in trouble come first: by the age of the last error, then by the age of the last read, the oldest first. */
function byUrgency(left: DeviceStatus, right: DeviceStatus): number {
  const isBad = (device: DeviceStatus): boolean =>
    device.lastErrorAgoMs !== undefined &&
    (device.lastReadAgoMs === undefined || device.lastErrorAgoMs <= device.lastReadAgoMs);
  const never = Number.MAX_SAFE_INTEGER;
  return (
    Number(isBad(right)) - Number(isBad(left)) ||
    (right.lastReadAgoMs ?? never) - (left.lastReadAgoMs ?? never) ||
    (left.name < right.name ? -1 : 1)
  );
}
