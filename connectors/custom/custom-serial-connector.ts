import {
  type AttributeUpdate,
  type Connector,
  type ConnectorHost,
  type DeviceMessage,
  defineConnector,
  type Json,
  RpcError,
  type RpcRequest,
} from "tbgw/sdk";
import { renameAliases } from "./serial-aliases.ts";
import {
  type SerialAttributeUpdate,
  type SerialConfig,
  type SerialDeviceConfig,
  type SerialRpc,
  serialConfig,
} from "./serial-config.ts";
import { SerialDevice } from "./serial-device.ts";
import { probeArgs, probeSerial } from "./serial-probe.ts";
import { SerialQueue } from "./serial-queue.ts";

/** Kept of the time of a call for the way to the device and back. */
const SENDING_MS = 1000;
/** How long a call may take that does not say. */
const DEFAULT_CALL_MS = 10_000;

/** Devices that send lines of text or bytes over a serial port, one device a port. */
export default defineConnector({
  type: "serial",
  schema: serialConfig,
  upgrade: renameAliases,
  create: async (config, host) => {
    const connector = new SerialConnector(config, host);
    for (const device of config.devices) {
      await connector.add(device);
    }
    return connector;
  },
  probeArgs,
  probe: probeSerial,
});

class SerialConnector implements Connector {
  readonly #host: ConnectorHost;
  readonly #queue: SerialQueue;
  readonly #devices = new Map<string, SerialDevice>();
  readonly #stop = new AbortController();
  #running: Promise<unknown> | undefined;

  constructor(config: SerialConfig, host: ConnectorHost) {
    this.#host = host;
    this.#queue = new SerialQueue(host, config.uplinkQueueSize);
  }

  /** A device whose converters cannot be used costs only itself. */
  async add(config: SerialDeviceConfig): Promise<void> {
    const host = this.#host;
    const { deviceName, port, converter, downlink_converter: downlink } = config;
    const problem = this.#problem(config);
    if (problem !== undefined) {
      host.log.error("Device is left out", { device: deviceName, port, error: problem });
      return;
    }
    try {
      const convert = await host.converters.uplink<DeviceMessage>(converter, config);
      const encode = await host.converters.downlink<SerialRpc | SerialAttributeUpdate>(
        downlink,
        config,
      );
      const put = this.#queue.put.bind(this.#queue);
      const onChange = (): void => this.#report();
      const device = new SerialDevice({ config, host, convert, encode, put, onChange });
      this.#devices.set(deviceName, device);
    } catch (error) {
      host.log.error("Device is left out", { device: deviceName, port, error });
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    const own = AbortSignal.any([signal, this.#stop.signal]);
    this.#report();
    const tasks = [
      this.#queue.run(own),
      ...[...this.#devices.values()].map((device) => device.run(own)),
    ];
    this.#running = Promise.allSettled(tasks);
    await Promise.all(tasks);
  }

  async handleRpc(request: RpcRequest, signal: AbortSignal): Promise<Json | void> {
    const { deviceName = "", method, params } = request;
    const device = this.#devices.get(deviceName);
    const entry = this.#rpcOf(request);
    if (device === undefined || entry === undefined) {
      throw new RpcError(`RPC method "${method}" of "${deviceName}" is not configured`, 404);
    }
    return await device.call(entry, params, signal);
  }

  rpcTimeoutMs(request: Pick<RpcRequest, "deviceName" | "method" | "params">): number | undefined {
    const entry = this.#rpcOf(request);
    const neededMs =
      entry?.withResponse === true ? entry.responseTimeoutSec * 1000 + SENDING_MS : 0;
    return neededMs > DEFAULT_CALL_MS ? neededMs : undefined;
  }

  async handleAttributes(update: AttributeUpdate, signal: AbortSignal): Promise<void> {
    const device = this.#devices.get(update.deviceName);
    for (const entry of device?.config.attributeUpdates ?? []) {
      const value = update.values[entry.attributeOnPlatform];
      if (value === undefined) {
        continue;
      }
      try {
        await device?.update(entry, value, signal);
      } catch (error) {
        signal.throwIfAborted();
        this.#host.metrics.count("failedAttributeUpdates");
        this.#host.log.warn("Attribute update is not sent", {
          device: update.deviceName,
          attribute: entry.attributeOnPlatform,
          error,
        });
      }
    }
  }

  sharedAttributeKeys(deviceName: string): readonly string[] | undefined {
    const updates = this.#devices.get(deviceName)?.config.attributeUpdates ?? [];
    return updates.length === 0
      ? undefined
      : [...new Set(updates.map(({ attributeOnPlatform }) => attributeOnPlatform))];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  #rpcOf(request: Pick<RpcRequest, "deviceName" | "method">): SerialRpc | undefined {
    const device = this.#devices.get(request.deviceName ?? "");
    return device?.config.serverSideRpc.find(({ method }) => method === request.method);
  }

  #problem({ deviceName, port }: SerialDeviceConfig): string | undefined {
    if (this.#devices.has(deviceName)) {
      return "another device has the same name";
    }
    for (const { config } of this.#devices.values()) {
      if (config.port === port) {
        return `the port is used by "${config.deviceName}"; one port has one device`;
      }
    }
    return undefined;
  }

  /** One port that is not there is no reason to call the others lost. */
  #report(): void {
    const devices = [...this.#devices.values()];
    const lost = devices.filter(({ isOpen }) => !isOpen).map(({ config }) => config.port);
    if (lost.length === 0) {
      this.#host.setStatus("connected");
    } else if (lost.length < devices.length) {
      this.#host.setStatus("degraded", `not open: ${lost.join(", ")}`);
    } else {
      this.#host.setStatus("disconnected", `not open: ${lost.join(", ")}`);
    }
  }
}
