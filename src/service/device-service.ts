import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import type { DeviceData } from "#sdk/model";
import type { KnownDevice } from "../delivery/port.ts";
import { DeviceFilter, type FilterRules } from "../pipeline/device-filter.ts";
import { DeviceAttributes } from "./device-attributes.ts";
import { DeviceFile, readDevices } from "./device-file.ts";
import { assignDevices, type DeviceOwner } from "./device-list.ts";
import { Devices, type StoredDevice } from "./devices.ts";

/** When a silent device is disconnected. */
export interface InactivitySettings {
  readonly timeoutMs: number;
  readonly periodMs: number;
}

/** What the configuration says about devices. */
export interface DeviceSettings {
  /** Where a Python gateway kept its devices. */
  readonly configDir: string | undefined;
  /** All connectors of the configuration, also those that cannot be started. */
  readonly owners: readonly DeviceOwner[];
  readonly followRenames: boolean;
  /** `undefined`: devices may be silent. */
  readonly inactivity: InactivitySettings | undefined;
  /** `undefined`: every device is let in. */
  readonly filter: FilterRules | undefined;
}

/** The settings of a configuration that says nothing about devices. */
export function plainDevices(
  connectors: readonly { readonly id: string; readonly name: string }[],
): DeviceSettings {
  return {
    configDir: undefined,
    owners: connectors.map(({ id, name }) => ({ id, name, isReady: true })),
    followRenames: true,
    inactivity: undefined,
    filter: undefined,
  };
}

/** What is there once the delivery thread is. */
export interface DeviceSinks {
  /** Tells the delivery thread about a device. */
  readonly announce: (device: KnownDevice) => void;
  /** Stores data about devices; resolves when it is durable. @throws TransientError */
  readonly accept: (data: readonly DeviceData[], signal: AbortSignal) => Promise<void>;
  /** A device is no longer known; should it come again, it is another one. */
  readonly forgotten: (deviceName: string) => void;
}

/** What the service is opened with. */
export interface DeviceServiceOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly dataDir: string;
  readonly settings: DeviceSettings;
}

/** The registry of devices with all that belongs to it: its file, what is told about devices, and the watch for silent ones. */
export class DeviceService implements AsyncDisposable {
  readonly devices: Devices;
  readonly #options: DeviceServiceOptions;
  readonly #file: DeviceFile;
  /** As the file had them. */
  #read: readonly StoredDevice[];
  #sinks: DeviceSinks | undefined;
  #attributes: DeviceAttributes | undefined;
  #watch: Disposable | undefined;

  /** Reads the devices of the run before. Nothing is announced and nothing watched before `start`. */
  constructor(options: DeviceServiceOptions) {
    this.#options = options;
    const { clock, dataDir, log, settings } = options;
    const filter = new DeviceFilter(settings.filter);
    this.#read = readDevices({ dataDir, configDir: settings.configDir }, log);
    const restored = assignDevices(this.#read, settings.owners).map((device) => {
      const isAdmitted = filter.admits(device.connectorName, device.deviceName);
      return isAdmitted ? device : { ...device, disconnected: true };
    });
    this.#file = new DeviceFile(dataDir, { clock, log }, () => this.devices.stored());
    this.devices = new Devices({
      clock,
      log,
      filter,
      followRenames: settings.followRenames,
      restored,
      announce: (device) => this.#sinks?.announce(device),
      forgotten: (deviceName) => {
        this.#attributes?.forget(deviceName);
        this.#sinks?.forgotten(deviceName);
      },
      changed: () => this.#file.changed(),
    });
  }

  /** What the delivery thread has to know before it sends anything. */
  get known(): readonly KnownDevice[] {
    return this.devices.all().map(({ deviceName, deviceType, connected, platformName }) => ({
      deviceName,
      deviceType,
      connected,
      platformName,
    }));
  }

  /** Resolves when the list of devices is on the disk as it is at this moment. */
  async kept(): Promise<void> {
    await this.#file.kept();
  }

  /** From here on devices are announced, and silent ones disconnected. */
  start(sinks: DeviceSinks): void {
    const { clock, log, settings } = this.#options;
    this.#sinks = sinks;
    this.#attributes = new DeviceAttributes({ clock, log, accept: sinks.accept });
    for (const { deviceName, connectorId, connectorName } of this.#read) {
      if (this.devices.get(deviceName) !== undefined) {
        this.#attributes.presume(deviceName, connectorId, connectorName);
      }
    }
    this.#read = [];
    this.devices.onConnected(this.#attributes.connected);
    if (settings.inactivity !== undefined) {
      this.#watchLater(settings.inactivity);
    }
  }

  /** Takes other settings for names, the filter and silent devices; the rest of them is for a start. */
  change({ filter, followRenames, inactivity }: DeviceSettings): void {
    this.devices.followRenames(followRenames);
    this.devices.setFilter(filter);
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
    if (inactivity !== undefined) {
      this.#watchLater(inactivity);
    }
  }

  /** The gateway stops: that connectors end says nothing about their devices from here on. */
  stopping(): void {
    this.devices.close();
    this.#watch?.[Symbol.dispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stopping();
    await this.#attributes?.[Symbol.asyncDispose]();
    await this.#file[Symbol.asyncDispose]();
  }

  #watchLater(inactivity: InactivitySettings): void {
    this.#watch = this.#options.clock.timer(inactivity.periodMs, () => {
      this.devices.disconnectSilent(inactivity.timeoutMs);
      this.#watchLater(inactivity);
    });
  }
}
