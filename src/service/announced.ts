import type { PlatformLink } from "./platform-link.ts";

/**
 * The devices that the platform knows on this connection, by their local names. A question about any other device would create it there
 * under the default profile.
 */
export class Announced {
  readonly #names = new Set<string>();
  readonly #listeners = new Set<(deviceName: string) => void>();

  constructor(platform: PlatformLink) {
    platform.onChange((connected) => {
      if (!connected) {
        this.#names.clear();
      }
    });
  }

  /** The platform has acknowledged a device, for the first time on this connection or again. */
  add(deviceName: string): void {
    this.#names.add(deviceName);
    for (const listener of this.#listeners) {
      listener(deviceName);
    }
  }

  /** The device is no longer known here: should it come again, it is announced again. */
  forget(deviceName: string): void {
    this.#names.delete(deviceName);
  }

  has(deviceName: string): boolean {
    return this.#names.has(deviceName);
  }

  /** Calls `listener` for each acknowledgement until the result is disposed. */
  onAnnounced(listener: (deviceName: string) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** Resolves when the platform knows the device. @throws the reason of `signal` */
  async until(deviceName: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.has(deviceName)) {
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    using _listener = this.onAnnounced((name) => (name === deviceName ? resolve() : undefined));
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }
}
