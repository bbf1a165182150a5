/** A device behind the gateway. */
export interface Device {
  readonly deviceName: string;
  readonly deviceType: string;
  /** Id of the connector it belongs to. */
  readonly connectorId: string;
  readonly connected: boolean;
}

/** Told of each device that comes or goes. */
export type DeviceListener = (device: Device) => void;

/** Who is there: the truth about local device names, types and owners. */
export class Devices {
  readonly #devices = new Map<string, Device>();
  readonly #listener: DeviceListener;
  readonly #connected = new Set<DeviceListener>();

  constructor(listener: DeviceListener) {
    this.#listener = listener;
  }

  /** Remembers a device and has it announced; does nothing for one that is connected already. */
  connect(deviceName: string, deviceType: string, connectorId: string): void {
    const known = this.#devices.get(deviceName);
    if (known?.connected === true && known.connectorId === connectorId) {
      return;
    }
    const device = { deviceName, deviceType, connectorId, connected: true };
    this.#devices.set(deviceName, device);
    this.#listener(device);
    for (const listener of this.#connected) {
      listener(device);
    }
  }

  onConnected(listener: DeviceListener): Disposable {
    this.#connected.add(listener);
    return { [Symbol.dispose]: () => this.#connected.delete(listener) };
  }

  get(deviceName: string): Device | undefined {
    return this.#devices.get(deviceName);
  }

  localName(platformName: string): string {
    return platformName;
  }

  platformName(deviceName: string): string {
    return deviceName;
  }

  rename(_from: string, _to: string): void {
    // Names are the same on both sides.
  }

  remove(deviceName: string): void {
    this.#devices.delete(deviceName);
  }

  /** A device of `connectorId` is gone; any other name is left alone. */
  disconnect(deviceName: string, connectorId: string): void {
    const known = this.#devices.get(deviceName);
    if (known?.connected === true && known.connectorId === connectorId) {
      const device = { ...known, connected: false };
      this.#devices.set(deviceName, device);
      this.#listener(device);
    }
  }

  /** All devices of a connector that ends. */
  disconnectAll(connectorId: string): void {
    for (const device of this.of(connectorId)) {
      this.disconnect(device.deviceName, connectorId);
    }
  }

  /** The type a device was connected with. */
  typeOf(deviceName: string): string | undefined {
    return this.#devices.get(deviceName)?.deviceType;
  }

  /** The devices of one connector. */
  of(connectorId: string): readonly Device[] {
    return [...this.#devices.values()].filter((device) => device.connectorId === connectorId);
  }

  /** How many devices are connected. */
  get connectedCount(): number {
    let count = 0;
    for (const device of this.#devices.values()) {
      count += device.connected ? 1 : 0;
    }
    return count;
  }
}
