import { type Connector, type ConnectorHost, defineConnector } from "#sdk/connector";
import type { BleRead, UplinkConverter } from "#sdk/converter";
import { ConfigError, errorText, InvariantError, RpcError } from "#sdk/errors";
import type { AttributeUpdate, Json, RpcRequest } from "#sdk/model";
import { Outbox } from "#sdk/outbox";
import { toReportStrategy } from "#sdk/report-strategy";
import { runAll } from "#sdk/tasks";
import type { Adapter, AdapterSettings } from "./adapter.ts";
import { adapterPlace } from "./adapter-place.ts";
import { leaseAdapter } from "./adapters.ts";
import { showAround } from "./around.ts";
import { oddBrackets } from "./codec.ts";
import { type BleConfig, bleConfig } from "./config.ts";
import { DeviceCounters, hostOfDevice } from "./counters.ts";
import { Device } from "./device.ts";
import type { DeviceConfig } from "./device-config.ts";
import { explainBle } from "./explain.ts";
import { OLDER_KEYS, upgradeConfig } from "./legacy.ts";
import { probeArgs, probeBle } from "./probe.ts";
import { type Summary, summarize } from "./summary.ts";
import { DeviceUplink } from "./uplink.ts";

/** At the end: time for what was read already to become durable. */
const DRAIN_MS = 500;
/** With more devices than links, one that is read at least this rarely gives its link back after each cycle. */
const TURN_PERIOD_MS = 10_000;

export default defineConnector({
  type: "ble",
  schema: bleConfig,
  upgrade: upgradeConfig,
  create: async (config, host) => {
    const uplinks = new Map<DeviceConfig, DeviceUplink>();
    const strategy = toReportStrategy(config.reportStrategy);
    adviseOnOlderKeys(config, host);
    for (const device of withoutRepeats(config.devices, host)) {
      adviseOnBrackets(device, host);
      const extension = await loadExtension(device, host);
      uplinks.set(device, new DeviceUplink(device, { strategy, extension }));
    }
    return new BleConnector(config, host, uplinks);
  },
  explain: explainBle,
  probeArgs,
  probe: probeBle,
});

/** Devices whose name and address no other has: one peripheral cannot be connected twice. */
function withoutRepeats(
  devices: readonly DeviceConfig[],
  { log }: ConnectorHost,
): readonly DeviceConfig[] {
  const taken = new Set<string>();
  return devices.filter(({ name, MACAddress }) => {
    if (taken.has(name) || taken.has(MACAddress)) {
      log.error("Two devices have the same name or address: the second one is left out", {
        device: name,
        address: MACAddress,
      });
      return false;
    }
    taken.add(name).add(MACAddress);
    return true;
  });
}

function adviseOnOlderKeys(config: BleConfig, { log }: ConnectorHost): void {
  for (const [older, key] of Object.entries(OLDER_KEYS)) {
    if (config[older] !== undefined) {
      log.warn("An older key in seconds is used; its new name is in milliseconds", { older, key });
    }
  }
}

function adviseOnBrackets(device: DeviceConfig, { log }: ConnectorHost): void {
  for (const { key, valueExpression, format } of [...device.telemetry, ...device.attributes]) {
    if (valueExpression === undefined || format !== undefined) {
      continue;
    }
    for (const brackets of oddBrackets(valueExpression)) {
      log.warn("Brackets in a valueExpression stand for no bytes: need [index] or [from:to]", {
        device: device.name,
        key,
        brackets,
      });
    }
  }
}

async function loadExtension(
  device: DeviceConfig,
  host: ConnectorHost,
): Promise<UplinkConverter<BleRead> | undefined> {
  if (device.extension === undefined) {
    return undefined;
  }
  try {
    return await host.converters.uplink<BleRead>(device.extension, device);
  } catch (error) {
    if (!(error instanceof ConfigError)) {
      throw error;
    }
    host.log.warn("The extension of a device cannot be used: its values are read by `type`", {
      device: device.name,
      extension: device.extension,
      error: errorText(error),
    });
    return undefined;
  }
}

class BleConnector implements Connector {
  readonly #config: BleConfig;
  readonly #host: ConnectorHost;
  readonly #uplinks: ReadonlyMap<DeviceConfig, DeviceUplink>;
  readonly #devices = new Map<string, Device>();
  readonly #stop = new AbortController();
  #adapter: Adapter | undefined;
  /** Why the adapter is not ready. */
  #problem: string | undefined = "starting";
  #said = "";
  #running: Promise<void> | undefined;

  constructor(
    config: BleConfig,
    host: ConnectorHost,
    uplinks: ReadonlyMap<DeviceConfig, DeviceUplink>,
  ) {
    this.#config = config;
    this.#host = host;
    this.#uplinks = uplinks;
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#running = this.#run(AbortSignal.any([signal, this.#stop.signal]));
    await this.#running;
  }

  async handleRpc(request: RpcRequest, signal: AbortSignal): Promise<Json | void> {
    const device = this.#devices.get(request.deviceName ?? "");
    if (device === undefined) {
      throw new RpcError("Device not found");
    }
    return await device.rpc(request, signal);
  }

  /** `ble_devices`: how the adapter and each device are. */
  async handleConnectorRpc({ method }: RpcRequest): Promise<Json> {
    if (method !== "devices") {
      throw new RpcError(`There is no method ble_${method}: need ble_devices`, 404);
    }
    const devices = [...this.#devices].map(([name, device]) => [name, device.status] as const);
    const adapter = this.#adapter?.status ?? { name: this.#config.adapter, state: "starting" };
    return await Promise.resolve({ adapter, devices: Object.fromEntries(devices) });
  }

  async handleAttributes(update: AttributeUpdate, signal: AbortSignal): Promise<void> {
    await this.#devices.get(update.deviceName)?.update(update, signal);
  }

  sharedAttributeKeys(deviceName: string): readonly string[] | undefined {
    const keys = this.#devices.get(deviceName)?.sharedKeys ?? [];
    return keys.length === 0 ? undefined : keys;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the connector is disposed"));
    await this.#running?.catch(() => undefined);
  }

  async #run(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const host = this.#host;
    if (this.#uplinks.size === 0) {
      host.log.warn("There is no device: nothing is read");
    }
    await using lease = await leaseAdapter(adapterSettings(this.#config), host.clock);
    this.#adapter = lease.adapter;
    const outbox = new Outbox(host);
    this.#makeDevices(lease.adapter, outbox);
    using _user = lease.adapter.join({
      clock: host.clock,
      log: host.log,
      changed: (problem) => {
        this.#problem = problem;
        this.#report();
      },
    });
    const { showMap, scanner } = this.#config;
    try {
      await runAll(
        [
          ...[...this.#devices.values()].map((device) => (stop: AbortSignal) => device.run(stop)),
          (stop: AbortSignal) => lease.failed(stop),
          ...(showMap
            ? [(stop: AbortSignal) => showAround(lease.adapter, { host, scanner }, stop)]
            : []),
        ],
        signal,
      );
    } finally {
      await outbox.flush(DRAIN_MS);
      await outbox[Symbol.asyncDispose]();
    }
  }

  #makeDevices(adapter: Adapter, outbox: Outbox): void {
    const connecting = [...this.#uplinks.values()].filter((one) => one.needsConnection).length;
    const isCrowded = connecting > this.#config.maxConnections;
    for (const [config, uplink] of this.#uplinks) {
      const device = new Device(config, {
        adapter,
        host: hostOfDevice(this.#host, new DeviceCounters(this.#host.metrics)),
        uplink,
        put: (records, signal) => outbox.put(records, signal),
        changed: () => this.#report(),
        takesTurns:
          isCrowded && uplink.notifies.length === 0 && config.pollPeriod >= TURN_PERIOD_MS,
      });
      this.#devices.set(config.name, device);
    }
  }

  /** Says how the adapter and the devices are, when that has changed. */
  #report(): void {
    const { status, detail } = this.#summary();
    const text = `${status} ${detail ?? ""}`;
    if (text !== this.#said) {
      this.#said = text;
      this.#host.setStatus(status, detail);
    }
  }

  #summary(): Pick<Summary, "status"> & { readonly detail?: string } {
    if (this.#problem === "starting") {
      return { status: "connecting" };
    }
    if (this.#problem !== undefined) {
      return { status: "disconnected", detail: `waiting for adapter: ${this.#problem}` };
    }
    const devices = [...this.#devices].map(([name, { problem }]) => ({ name, problem }));
    return summarize(devices);
  }
}

function adapterSettings(config: BleConfig): AdapterSettings {
  const place = adapterPlace(config.adapter);
  if (place === undefined) {
    throw new InvariantError(`"${config.adapter}" has passed the schema`);
  }
  const isOnlyListening = config.devices.every(
    (device) =>
      !device.showMap &&
      device.attributeUpdates.length + device.serverSideRpc.length === 0 &&
      [...device.telemetry, ...device.attributes].every(
        ({ dataSourceType }) => dataSourceType === "advertisement",
      ),
  );
  return {
    name: config.adapter,
    place,
    passive: config.scanMode === "passive",
    connects: !isOnlyListening,
    windowMs: config.scannerTimeout,
    periodMs: config.scannerPollPeriod,
    maxConnections: config.maxConnections,
  };
}
