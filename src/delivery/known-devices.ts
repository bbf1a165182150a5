import { TransientError } from "#sdk/errors";
import type { Sender } from "../thingsboard/sender.ts";
import type { KnownDevice } from "./port.ts";

/** What the collection thread has said about devices: the names to send under, and what each new sender has to be told. */
export class KnownDevices {
  /** Those that are connected or have another name on the platform, and at first all from before the restart. */
  readonly #devices = new Map<string, KnownDevice>();

  constructor(devices: readonly KnownDevice[] = []) {
    for (const device of devices) {
      this.#devices.set(device.deviceName, device);
    }
  }

  /** The platform's name of a device, by its local name; asked for each publish. */
  platformName(deviceName: string): string {
    return this.#devices.get(deviceName)?.platformName ?? deviceName;
  }

  /** Tells a sender that is about to start of all devices. */
  introduce(sender: Sender): void {
    for (const { deviceName, deviceType, connected } of this.#devices.values()) {
      if (connected) {
        sender.connectDevice(deviceName, deviceType);
      } else {
        sender.deviceGone(deviceName);
      }
    }
  }

  /** A device that comes is announced at once and after each reconnect, under the name it has; one that goes is taken back. */
  async change(
    device: KnownDevice,
    sender: Sender | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { deviceName, deviceType, connected, platformName } = device;
    const isRenamed = this.platformName(deviceName) !== platformName;
    if (connected || platformName !== deviceName) {
      this.#devices.set(deviceName, device);
    } else {
      this.#devices.delete(deviceName);
    }
    try {
      if (!connected) {
        await sender?.disconnectDevice(deviceName, signal);
        return;
      }
      const closed = isRenamed ? sender?.deviceRenamed(deviceName, signal) : undefined;
      sender?.connectDevice(deviceName, deviceType);
      await closed;
    } catch (error) {
      // The link is gone, and with it every device session on the platform.
      if (!(error instanceof TransientError)) {
        throw error;
      }
    }
  }
}
