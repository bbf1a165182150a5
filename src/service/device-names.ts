/**
 * The names the platform has for devices, where they are not the local ones. Each name on the platform belongs to one device. What the
 * platform says arrives at least once: an event that has been applied before changes nothing.
 */
export class DeviceNames {
  /** Names that are not followed are kept but not used. */
  isFollowed: boolean;
  /** Platform name by local name, and the other way round. */
  readonly #platform = new Map<string, string>();
  readonly #local = new Map<string, string>();

  constructor(
    isFollowed: boolean,
    stored: readonly { readonly deviceName: string; readonly renaming: string | undefined }[] = [],
  ) {
    this.isFollowed = isFollowed;
    for (const { deviceName, renaming } of stored) {
      if (renaming !== undefined && !this.#local.has(renaming)) {
        this.#set(deviceName, renaming);
      }
    }
  }

  /** The platform's name of a device; the same when it has no other. */
  platformName(deviceName: string): string {
    return this.isFollowed ? (this.#platform.get(deviceName) ?? deviceName) : deviceName;
  }

  /** The local name of a device; the same when no device has this name on the platform. */
  localName(platformName: string): string {
    return this.isFollowed ? (this.#local.get(platformName) ?? platformName) : platformName;
  }

  /** What is kept of a device: its name on the platform, when that is another one. */
  renaming(deviceName: string): string | undefined {
    return this.#platform.get(deviceName);
  }

  /** The local name of the device that has this name on the platform; `undefined` when that cannot be one of ours. */
  holder(platformName: string): string | undefined {
    const renamed = this.isFollowed ? this.#local.get(platformName) : undefined;
    if (renamed !== undefined) {
      return renamed;
    }
    // A device with another name on the platform is not the one that has its local name there.
    return this.isFollowed && this.#platform.has(platformName) ? undefined : platformName;
  }

  /**
   * Takes a new name. Gives the local name of the device it is for, `undefined` when nothing changes: names are not followed,
   * the event was applied before, or the name belongs to another device already. `isKnown` tells whether there is a device of a local name.
   */
  rename(from: string, to: string, isKnown: (deviceName: string) => boolean): string | undefined {
    if (!this.isFollowed || from === to || from === "" || to === "") {
      return undefined;
    }
    const deviceName = this.holder(from);
    if (deviceName === undefined || this.#isTaken(to, deviceName, isKnown)) {
      return undefined;
    }
    this.forget(deviceName);
    if (to !== deviceName) {
      this.#set(deviceName, to);
    }
    return deviceName;
  }

  /** The device has its local name on the platform again. */
  forget(deviceName: string): void {
    const name = this.#platform.get(deviceName);
    if (name !== undefined) {
      this.#platform.delete(deviceName);
      this.#local.delete(name);
    }
  }

  /** Whether a device other than `deviceName` has this name on the platform. */
  #isTaken(name: string, deviceName: string, isKnown: (deviceName: string) => boolean): boolean {
    const holder = this.holder(name);
    if (holder === undefined || holder === deviceName) {
      return false;
    }
    return holder !== name || isKnown(name);
  }

  #set(deviceName: string, platformName: string): void {
    this.#platform.set(deviceName, platformName);
    this.#local.set(platformName, deviceName);
  }
}
