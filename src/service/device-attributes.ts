import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import type { DeviceData } from "#sdk/model";
import type { DeviceListener } from "./devices.ts";

/** Pause after the store refused. */
const AGAIN_MS = 1000;

/** What the attributes need of their surroundings. */
export interface DeviceAttributesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Stores data about devices; resolves when it is durable. @throws TransientError */
  readonly accept: (data: readonly DeviceData[], signal: AbortSignal) => Promise<void>;
}

/** Tells the platform of each device which connector it belongs to: once, and again when that changes. */
export class DeviceAttributes implements AsyncDisposable {
  readonly #deps: DeviceAttributesDeps;
  /** By local name: what was told last. */
  readonly #told = new Map<string, string>();
  readonly #waiting = new Map<string, DeviceData>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(deps: DeviceAttributesDeps) {
    this.#deps = deps;
  }

  /** It was told before the restart: under a rate limit saying it again would hold up the values of all devices. */
  presume(deviceName: string, connectorId: string, connectorName: string): void {
    this.#told.set(deviceName, toText(connectorId, connectorName));
  }

  /** A device is there. */
  readonly connected: DeviceListener = (device, { id, type, name }) => {
    const { deviceName, deviceType } = device;
    const text = toText(id, name);
    if (this.#told.get(deviceName) === text) {
      return;
    }
    this.#told.set(deviceName, text);
    const attributes = { connectorType: type, connectorName: name };
    this.#waiting.set(deviceName, { deviceName, deviceType, attributes });
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  };

  /** The device is forgotten: should it come again, it is another one. */
  forget(deviceName: string): void {
    this.#told.delete(deviceName);
    this.#waiting.delete(deviceName);
  }

  /** Waits for nothing: what was not stored is told again after the restart. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("The gateway stops"));
    await this.#running;
  }

  /** Stores what waits, all of it at once; what comes meanwhile is the next turn's. */
  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (this.#waiting.size > 0 && !signal.aborted) {
      const data = [...this.#waiting.values()];
      this.#waiting.clear();
      try {
        await this.#deps.accept(data, signal);
      } catch (error) {
        await this.#later(data, error);
      }
    }
  }

  async #later(data: readonly DeviceData[], error: unknown): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#stop;
    log.debug("Cannot store which connector devices belong to: trying again", { error });
    for (const one of data) {
      if (!this.#waiting.has(one.deviceName)) {
        this.#waiting.set(one.deviceName, one);
      }
    }
    await clock.sleep(AGAIN_MS, signal).catch(() => undefined);
  }
}

/** The id stands for the type too. */
function toText(connectorId: string, connectorName: string): string {
  return `${connectorId}\n${connectorName}`;
}
