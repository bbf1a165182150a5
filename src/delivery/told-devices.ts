import type { KnownDevice } from "./port.ts";

/** Devices that the next delivery thread has to be told of: those that are connected or have another name on the platform. */
export class ToldDevices {
  readonly #devices = new Map<string, KnownDevice>();

  constructor(devices: readonly KnownDevice[] = []) {
    for (const device of devices) {
      this.#devices.set(device.deviceName, device);
    }
  }

  get all(): readonly KnownDevice[] {
    return [...this.#devices.values()];
  }

  /** A device has come, gone or got another name. */
  note(device: KnownDevice): void {
    if (device.connected || device.platformName !== device.deviceName) {
      this.#devices.set(device.deviceName, device);
    } else {
      this.#devices.delete(device.deviceName);
    }
  }

  /** What a thread that was told `earlier` has to hear to be up to date; those that are gone since then first. */
  since(earlier: readonly KnownDevice[]): readonly KnownDevice[] {
    const gone = earlier.filter(({ deviceName }) => !this.#devices.has(deviceName));
    const taken = gone.map(({ deviceName, deviceType }) => ({
      deviceName,
      deviceType,
      connected: false,
      platformName: deviceName,
    }));
    return [...taken, ...this.all];
  }
}
