import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import type { KnownDevice } from "../delivery/port.ts";
import type { DeviceFilter, FilterRules } from "../pipeline/device-filter.ts";
import { DeviceNames } from "./device-names.ts";

/** A device behind the gateway, as it is at this moment. */
export interface Device {
  /** Local name: the one connectors use. */
  readonly deviceName: string;
  readonly deviceType: string;
  /** The connector it belongs to; "" for one that only a rename on the platform has told of. */
  readonly connectorId: string;
  readonly connectorName: string;
  readonly connected: boolean;
  /** Its name on the platform. */
  readonly platformName: string;
  /** Monotonic milliseconds of its last data or proof of life; `undefined` before the first one of this process. */
  readonly lastSeenMs: number | undefined;
}

/** A connector as its devices know it. */
export interface DeviceConnector {
  readonly id: string;
  readonly name: string;
  /** As in `tb_gateway.json`. */
  readonly type: string;
}

/** Told of a device, and of the connector that has shown it to be there. May not throw. */
export type DeviceListener = (device: Device, connector: DeviceConnector) => void;

/** A device as it is kept over a restart. */
export interface StoredDevice {
  readonly deviceName: string;
  readonly deviceType: string;
  readonly connectorId: string;
  readonly connectorName: string;
  /** It was down: it is not announced before its next data. */
  readonly disconnected: boolean;
  /** Its name on the platform, when that is another one. */
  readonly renaming: string | undefined;
}

/** What the registry needs of its surroundings. */
export interface DevicesOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly filter: DeviceFilter;
  /** Whether names given on the platform are followed. */
  readonly followRenames: boolean;
  /** Devices from before the restart; the delivery thread knows of them already. */
  readonly restored?: readonly StoredDevice[];
  /** Gets each device that comes, goes or changes its name, for the delivery thread. */
  readonly announce: (device: KnownDevice) => void;
  /** A device is no longer known. */
  readonly forgotten?: (deviceName: string) => void;
  /** There is something to be kept. */
  readonly changed: () => void;
}

/** Devices known at one time; one more, and the one known longest gives its place. */
const MAX_DEVICES = 20_000;
/** How long a connector may be silent about a device before another one that has data of it takes it over. */
const OWNER_SILENT_MS = 60_000;
/** Profile of a device nobody gave one. */
const DEFAULT_TYPE = "default";

class Entry implements Device {
  readonly deviceName: string;
  deviceType: string;
  connectorId: string;
  connectorName: string;
  connected: boolean;
  platformName: string;
  lastSeenMs: number | undefined;
  /** Monotonic milliseconds of the last sign that came through its own connector. */
  ownerSeenMs = Number.NEGATIVE_INFINITY;
  /** From where its silence counts. */
  sinceMs: number;

  constructor(stored: StoredDevice, platformName: string, nowMs: number) {
    this.deviceName = stored.deviceName;
    this.deviceType = stored.deviceType;
    this.connectorId = stored.connectorId;
    this.connectorName = stored.connectorName;
    this.connected = !stored.disconnected;
    this.platformName = platformName;
    this.sinceMs = nowMs;
  }

  /** Whether its connector has shown in this process that it is there. */
  get isProven(): boolean {
    return this.ownerSeenMs !== Number.NEGATIVE_INFINITY;
  }
}

/** Who is there: the truth about device names, types and owners. */
export class Devices {
  readonly #options: DevicesOptions;
  readonly #devices = new Map<string, Entry>();
  readonly #names: DeviceNames;
  readonly #listeners = new Set<DeviceListener>();
  #closed = false;
  #evicted = 0;

  constructor(options: DevicesOptions) {
    this.#options = options;
    const restored = (options.restored ?? []).slice(0, MAX_DEVICES);
    this.#names = new DeviceNames(options.followRenames, restored);
    const nowMs = options.clock.monotonicMs();
    for (const stored of restored) {
      const { deviceName } = stored;
      this.#devices.set(deviceName, new Entry(stored, this.#names.platformName(deviceName), nowMs));
    }
  }

  /**
   * Data of a device, or another proof that it is there, came through a connector: it is remembered, and announced when it was
   * not connected. Gives its type: the one known, else `deviceType`, else "default". `undefined`: the device filter keeps it out.
   */
  connect(
    deviceName: string,
    deviceType: string | undefined,
    connector: DeviceConnector,
  ): string | undefined {
    const known = this.#devices.get(deviceName);
    const nowMs = this.#options.clock.monotonicMs();
    if (known?.connected === true && known.connectorId === connector.id && known.isProven) {
      known.lastSeenMs = nowMs;
      known.ownerSeenMs = nowMs;
      return known.deviceType;
    }
    if (!this.#options.filter.admits(connector.name, deviceName)) {
      return undefined;
    }
    const entry = known ?? this.#add(deviceName, deviceType);
    entry.lastSeenMs = nowMs;
    const isAnothers = entry.connected && entry.connectorId !== connector.id;
    if (isAnothers && nowMs - entry.ownerSeenMs < OWNER_SILENT_MS) {
      return entry.deviceType;
    }
    entry.ownerSeenMs = nowMs;
    entry.deviceType = deviceType ?? entry.deviceType;
    entry.connectorId = connector.id;
    entry.connectorName = connector.name;
    entry.connected = true;
    this.#tell(entry);
    for (const listener of this.#listeners) {
      listener(entry, connector);
    }
    return entry.deviceType;
  }

  /** A device of `connectorId` is gone; any other name is left alone. It stays known. */
  disconnect(deviceName: string, connectorId: string): void {
    const known = this.#devices.get(deviceName);
    if (known?.connectorId === connectorId) {
      this.#disconnect(known);
    }
  }

  /** All devices of a connector that ends. */
  disconnectAll(connectorId: string): void {
    for (const device of this.#devices.values()) {
      if (device.connectorId === connectorId) {
        this.#disconnect(device);
      }
    }
  }

  /** Disconnects the devices that have been silent for longer; they come back with their next data. */
  disconnectSilent(timeoutMs: number): void {
    const { clock, log } = this.#options;
    const nowMs = clock.monotonicMs();
    for (const device of this.#devices.values()) {
      if (device.connected && nowMs - (device.lastSeenMs ?? device.sinceMs) >= timeoutMs) {
        log.debug("A device is silent and is disconnected", { device: device.deviceName });
        this.#disconnect(device);
      }
    }
  }

  /** The gateway stops: connectors that end now say nothing about their devices. */
  close(): void {
    this.#closed = true;
  }

  /** Replaces the device filter; devices it keeps out are disconnected. @throws DataError for a pattern that cannot be used */
  setFilter(rules: FilterRules | undefined): void {
    const { filter } = this.#options;
    filter.set(rules);
    for (const device of this.#devices.values()) {
      if (!filter.admits(device.connectorName, device.deviceName)) {
        this.#disconnect(device);
      }
    }
  }

  /** Uses the names of the platform from here on, or the local ones. */
  followRenames(isFollowed: boolean): void {
    if (this.#names.isFollowed === isFollowed) {
      return;
    }
    this.#names.isFollowed = isFollowed;
    for (const device of this.#devices.values()) {
      const platformName = this.#names.platformName(device.deviceName);
      if (device.platformName !== platformName) {
        device.platformName = platformName;
        this.#tell(device);
      }
    }
  }

  /**
   * The platform has given a device another name. Only the platform's names are looked at: an event about a name that no device
   * has there is either a repeated one or about a device that is not known yet. False: nothing had to be changed.
   */
  rename(from: string, to: string): boolean {
    const deviceName = this.#names.rename(from, to, (name) => this.#devices.has(name));
    if (deviceName === undefined) {
      return false;
    }
    const { log } = this.#options;
    // Kept without a connector until its data comes, so that the name is there then.
    const device = this.#devices.get(deviceName) ?? this.#add(deviceName, undefined);
    device.platformName = this.#names.platformName(deviceName);
    this.#tell(device);
    log.info("A device has another name on the platform", { device: deviceName, name: to });
    return true;
  }

  /**
   * The platform has deleted a device, given by its name there: it is forgotten with its name there, and its next data creates it under its local
   * name. False: there is none.
   */
  remove(name: string): boolean {
    const deviceName = this.#names.holder(name);
    const device = deviceName === undefined ? undefined : this.#devices.get(deviceName);
    if (device === undefined) {
      return false;
    }
    this.#forget(device);
    this.#options.log.info("A device was deleted on the platform", {
      device: device.deviceName,
      name,
    });
    return true;
  }

  /** The local name of a device, by its name on the platform; the same when none is known. */
  localName(platformName: string): string {
    return this.#names.localName(platformName);
  }

  /** The platform's name of a device, by its local name. */
  platformName(deviceName: string): string {
    return this.#names.platformName(deviceName);
  }

  get(deviceName: string): Device | undefined {
    return this.#devices.get(deviceName);
  }

  /** The type a device was connected with. */
  typeOf(deviceName: string): string | undefined {
    return this.#devices.get(deviceName)?.deviceType;
  }

  /** The devices of one connector. */
  of(connectorId: string): readonly Device[] {
    return [...this.#devices.values()].filter((device) => device.connectorId === connectorId);
  }

  /** All devices that are known. */
  all(): readonly Device[] {
    return [...this.#devices.values()];
  }

  /** How many devices are connected. */
  get connectedCount(): number {
    let count = 0;
    for (const device of this.#devices.values()) {
      count += device.connected ? 1 : 0;
    }
    return count;
  }

  /**
   * Calls `listener` with each device that its connector has shown to be there: the first time in this process, after it was
   * disconnected, and when another connector takes it over. A reconnect to the platform is no such moment.
   */
  onConnected(listener: DeviceListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** What is to be kept over a restart. */
  stored(): readonly StoredDevice[] {
    return [...this.#devices.values()].map((device) => ({
      deviceName: device.deviceName,
      deviceType: device.deviceType,
      connectorId: device.connectorId,
      connectorName: device.connectorName,
      disconnected: !device.connected,
      renaming: this.#names.renaming(device.deviceName),
    }));
  }

  #add(deviceName: string, deviceType: string | undefined): Entry {
    this.#makeRoom();
    const stored = {
      deviceName,
      deviceType: deviceType ?? DEFAULT_TYPE,
      connectorId: "",
      connectorName: "",
      disconnected: true,
      renaming: undefined,
    };
    const platformName = this.#names.platformName(deviceName);
    const entry = new Entry(stored, platformName, this.#options.clock.monotonicMs());
    this.#devices.set(deviceName, entry);
    return entry;
  }

  /** Names made from data must not fill the memory; a name that was given on the platform is kept for as long as possible. */
  #makeRoom(): void {
    if (this.#devices.size < MAX_DEVICES) {
      return;
    }
    let oldest: Entry | undefined;
    for (const device of this.#devices.values()) {
      oldest ??= device;
      if (this.#names.renaming(device.deviceName) === undefined) {
        oldest = device;
        break;
      }
    }
    if (oldest !== undefined) {
      this.#forget(oldest);
    }
    this.#evicted += 1;
    if (this.#evicted === 1) {
      this.#options.log.error("There are too many devices: the oldest ones are forgotten", {
        limit: MAX_DEVICES,
      });
    }
  }

  #forget(device: Entry): void {
    const { deviceName } = device;
    this.#devices.delete(deviceName);
    this.#names.forget(deviceName);
    device.connected = false;
    device.platformName = deviceName;
    this.#tell(device);
    this.#options.forgotten?.(deviceName);
  }

  #disconnect(device: Entry): void {
    if (device.connected && !this.#closed) {
      device.connected = false;
      this.#tell(device);
    }
  }

  #tell({ deviceName, deviceType, connected, platformName }: Entry): void {
    this.#options.announce({ deviceName, deviceType, connected, platformName });
    this.#options.changed();
  }
}
