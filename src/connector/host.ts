import { mkdirSync } from "node:fs";
import type { Clock } from "#sdk/clock";
import type { AcceptResult, ConnectorHost, GatewayUplink, Metrics, Uplink } from "#sdk/connector";
import { InvariantError, RejectedError } from "#sdk/errors";
import { type Logger, rateLimited } from "#sdk/logger";
import type { DeviceData } from "#sdk/model";
import { recordProblem } from "#sdk/record-shape";
import type { ExtensionUses } from "../extension/uses.ts";
import { ConverterWatch } from "./converter-watch.ts";
import { createConverters } from "./converters.ts";
import { connectorDir } from "./create.ts";
import type { ConnectorSetup, RevocableHost } from "./supervisor.ts";

/** Longest name of a counter. */
const MAX_COUNTER_CHARS = 64;
const STATUSES: ReadonlySet<unknown> = new Set([
  "connecting",
  "connected",
  "degraded",
  "disconnected",
]);

/** State of a connector's links. */
export type LinkStatus = Parameters<ConnectorHost["setStatus"]>[0];

/** Who a connector is. */
export type ConnectorIdentity = Pick<ConnectorSetup, "id" | "name" | "type">;

/** What hosts are built from; one for the whole gateway. */
export interface HostServices {
  readonly clock: Clock;
  readonly dataDir: string;
  /** The way up for one connector. */
  readonly uplinkOf: (
    connector: ConnectorIdentity & Pick<ConnectorSetup, "reportStrategy">,
  ) => Uplink;
  /** Stores data of the gateway's own device. */
  acceptOwn(
    data: Pick<DeviceData, "attributes" | "telemetry">,
    signal: AbortSignal,
  ): Promise<AcceptResult>;
  readonly countRejected: (connectorId: string, reason: string, values: number) => void;
  /** Adds to a counter of one connector. */
  readonly count: (connectorId: string, name: string, by: number) => void;
  readonly devices: {
    /** A device is there; the type may be known already. */
    connect(
      deviceName: string,
      deviceType: string | undefined,
      connector: ConnectorIdentity,
    ): unknown;
    disconnect(deviceName: string, connectorId: string): void;
    of(connectorId: string): readonly {
      readonly deviceName: string;
      readonly deviceType: string;
      readonly connected: boolean;
    }[];
  };
  /** Notes what went wrong with a device, for its status. */
  readonly deviceFailed: (deviceName: string, error: string) => void;
  readonly attributes: Pick<ConnectorHost["attributes"], "request">;
  readonly claim: ConnectorHost["devices"]["claim"];
  readonly platform: ConnectorHost["platform"];
  /** A logger of a connector; its level may change while the connector runs. */
  readonly logger: (
    connector: Pick<ConnectorSetup, "name" | "type">,
    channel: "connector" | "converter",
  ) => Logger;
  /** Notes which connector is at work, and which of its converters, to be named if it never comes back. */
  readonly working: (connector: string, converter?: string) => void;
  /** The converters of extensions. Default: there are none. */
  readonly extensions?: ExtensionUses | undefined;
  readonly onStatus: (connectorId: string, status: LinkStatus, detail: string | undefined) => void;
}

/** Builds what the core gives to one connector instance; after `revoke` every use of it is an error of the connector. */
export function createHost(setup: ConnectorSetup, services: HostServices): RevocableHost {
  let revoked = false;
  const guard = (): void => {
    if (revoked) {
      throw new InvariantError(`Connector "${setup.name}" used its host after it was disposed`);
    }
    services.working(setup.name);
  };
  const { id, name, type } = setup;
  const stack = new DisposableStack();
  const log = services.logger(setup, "connector");
  const converterLog = services.logger(setup, "converter");
  const metrics = metricsOf(id, services);
  const host: ConnectorHost = {
    id,
    name,
    type,
    get dataDir(): string {
      guard();
      const path = connectorDir(services.dataDir, id);
      mkdirSync(path, { recursive: true, mode: 0o700 });
      return path;
    },
    log,
    converterLog,
    clock: notedClock(services.clock, () => services.working(name)),
    metrics,
    uplink: guarded(services.uplinkOf(setup), guard),
    devices: devicesOf(setup, services, guard),
    attributes: {
      request: async (deviceName, keys, signal) => {
        guard();
        return await services.attributes.request(deviceName, keys, signal);
      },
    },
    gateway: gatewayUplink(services, guard),
    platform: platformOf(services, log, { guard, stack }),
    converters: convertersOf(setup, services, { log: converterLog, metrics }),
    setStatus: (status, detail) => {
      guard();
      checkStatus(status);
      services.onStatus(id, status, typeof detail === "string" ? detail : undefined);
    },
  };
  return {
    host,
    revoke: () => {
      for (const device of services.devices.of(id)) {
        services.devices.disconnect(device.deviceName, id);
      }
      stack.dispose();
      revoked = true;
    },
  };
}

/** The clock of one connector: whatever it does after a wait is noted as its work, to be named if it never comes back. */
function notedClock(clock: Clock, working: () => void): Clock {
  return {
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs(),
    deadline: (durationMs, signal) => clock.deadline(durationMs, signal),
    sleep: async (durationMs, signal) => {
      await clock.sleep(durationMs, signal);
      working();
    },
    timer: (durationMs, callback) =>
      clock.timer(durationMs, () => {
        working();
        callback();
      }),
  };
}

function convertersOf(
  { id, name, type }: ConnectorIdentity,
  { clock, working, extensions }: HostServices,
  { log, metrics }: Pick<ConnectorHost, "log" | "metrics">,
): ConnectorHost["converters"] {
  const rareLog = rateLimited(log, clock);
  const at = (converter: string | undefined): void => working(name, converter);
  return createConverters({
    connector: { id, name, type },
    log,
    rareLog,
    metrics,
    watch: new ConverterWatch({ clock, rareLog, metrics, at }),
    extensions: extensions?.of({ id, type }),
  });
}

function checkStatus(status: LinkStatus): void {
  if (!STATUSES.has(status)) {
    throw new RejectedError(`Cannot show "${status}" as the state of a connector`);
  }
}

/** What cannot be added is left out: it would spoil the account of all. */
function metricsOf(id: string, services: HostServices): Metrics {
  return {
    count: (counter, by = 1) => {
      if (Number.isFinite(by)) {
        services.count(id, nameOf(counter), by);
      }
    },
    rejected: (reason, count = 1) => {
      if (Number.isSafeInteger(count) && count > 0) {
        services.countRejected(id, nameOf(reason), count);
      }
    },
  };
}

function nameOf(name: unknown): string {
  return String(name).slice(0, MAX_COUNTER_CHARS);
}

/** The link to the platform as one connector sees it: what its listeners throw is its own business, and they end with it. */
function platformOf(
  { platform }: HostServices,
  log: Logger,
  { guard, stack }: { readonly guard: () => void; readonly stack: DisposableStack },
): ConnectorHost["platform"] {
  return {
    get connected(): boolean {
      return platform.connected;
    },
    onChange: (listener) => {
      guard();
      const listening = platform.onChange((connected) => {
        try {
          listener(connected);
        } catch (error) {
          log.error("A listener of the connector failed", { error });
        }
      });
      return stack.use(listening);
    },
  };
}

function guarded(uplink: Uplink, guard: () => void): Uplink {
  return {
    accept: (data, signal, options) => {
      guard();
      return uplink.accept(data, signal, options);
    },
    tryAccept: (data) => {
      guard();
      return uplink.tryAccept(data);
    },
  };
}

function devicesOf(
  connector: ConnectorIdentity,
  services: HostServices,
  guard: () => void,
): ConnectorHost["devices"] {
  const { id } = connector;
  return {
    connect: async (deviceName, deviceType) => {
      guard();
      checkName(deviceName);
      services.devices.connect(deviceName, deviceType, connector);
      return await Promise.resolve();
    },
    disconnect: async (deviceName) => {
      guard();
      checkName(deviceName);
      services.devices.disconnect(deviceName, id);
      return await Promise.resolve();
    },
    failed: (deviceName, error) => {
      guard();
      services.deviceFailed(deviceName, error);
    },
    list: () => {
      const list = new Map<string, { readonly deviceType: string; readonly connected: boolean }>();
      for (const { deviceName, deviceType, connected } of services.devices.of(id)) {
        list.set(deviceName, { deviceType, connected });
      }
      return list;
    },
    claim: async (deviceName, claim) => {
      guard();
      await services.claim(deviceName, claim);
    },
  };
}

/** @throws RejectedError when no device can have this name */
function checkName(deviceName: unknown): void {
  const problem = recordProblem({ deviceName });
  if (problem !== undefined) {
    throw new RejectedError(`Cannot use a device: ${problem}`, { reason: "no-device-name" });
  }
}

/** The way up for the gateway's own device; `guard` throws when it may not be used any more. */
export function gatewayUplink(
  services: Pick<HostServices, "acceptOwn">,
  guard: () => void,
): GatewayUplink {
  return {
    attributes: (values, signal) => {
      guard();
      return services.acceptOwn({ attributes: values }, signal);
    },
    telemetry: (values, signal, options) => {
      guard();
      const entry = options?.ts === undefined ? { values } : { ts: options.ts, values };
      return services.acceptOwn({ telemetry: [entry] }, signal);
    },
  };
}
