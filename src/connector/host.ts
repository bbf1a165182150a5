import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#sdk/clock";
import type { AcceptResult, ConnectorHost, GatewayUplink, Metrics, Uplink } from "#sdk/connector";
import { InvariantError } from "#sdk/errors";
import { type Logger, rateLimited } from "#sdk/logger";
import type { DeviceData } from "#sdk/model";
import { createConverters } from "./converters.ts";
import type { ConnectorSetup, RevocableHost } from "./supervisor.ts";

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
  readonly onStatus: (connectorId: string, status: LinkStatus, detail: string | undefined) => void;
}

/** Builds what the core gives to one connector instance; after `revoke` every use of it is an error of the connector. */
export function createHost(setup: ConnectorSetup, services: HostServices): RevocableHost {
  let revoked = false;
  const guard = (): void => {
    if (revoked) {
      throw new InvariantError(`Connector "${setup.name}" used its host after it was disposed`);
    }
  };
  const { id, name, type } = setup;
  const converterLog = services.logger(setup, "converter");
  const metrics = metricsOf(id, services);
  const host: ConnectorHost = {
    id,
    name,
    type,
    get dataDir(): string {
      guard();
      const path = join(services.dataDir, "connectors", id);
      mkdirSync(path, { recursive: true, mode: 0o700 });
      return path;
    },
    log: services.logger(setup, "connector"),
    converterLog,
    clock: services.clock,
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
    platform: services.platform,
    converters: createConverters({
      connector: { id, name, type },
      log: converterLog,
      rareLog: rateLimited(converterLog, services.clock),
      metrics,
    }),
    setStatus: (status, detail) => {
      guard();
      services.onStatus(id, status, detail);
    },
  };
  return {
    host,
    revoke: () => {
      for (const device of services.devices.of(id)) {
        services.devices.disconnect(device.deviceName, id);
      }
      revoked = true;
    },
  };
}

function metricsOf(id: string, services: HostServices): Metrics {
  return {
    count: (counter, by = 1) => services.count(id, counter, by),
    rejected: (reason, count = 1) => services.countRejected(id, reason, count),
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
      services.devices.connect(deviceName, deviceType, connector);
      return await Promise.resolve();
    },
    disconnect: async (deviceName) => {
      guard();
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

function gatewayUplink(services: HostServices, guard: () => void): GatewayUplink {
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
