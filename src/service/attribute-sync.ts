import type { Clock } from "#sdk/clock";
import type { AttributeKeys } from "#sdk/connector";
import { errorText, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { Json } from "#sdk/model";
import type { Announced } from "./announced.ts";
import type { AttributeRequests } from "./attribute-requests.ts";
import type { AttributeUpdates } from "./attribute-updates.ts";
import type { ConnectorDirectory, RunningConnector } from "./connector-directory.ts";
import type { GivenAttributes } from "./given-attributes.ts";
import type { PlatformLink } from "./platform-link.ts";

/** Most devices that are asked about at one time. */
const MAX_AT_WORK = 4;
/** Pause before a device is asked about again that the platform did not answer for. */
const AGAIN_MS = 30_000;

/** What the sync needs to know about devices. */
export interface SyncedDevices {
  get(
    deviceName: string,
  ): { readonly connectorId: string; readonly connected: boolean } | undefined;
  of(connectorId: string): readonly { readonly deviceName: string }[];
  onConnected(listener: (device: { readonly deviceName: string }) => void): Disposable;
}

/** What the sync needs of its surroundings. */
export interface AttributeSyncDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly platform: PlatformLink;
  readonly announced: Announced;
  readonly devices: SyncedDevices;
  readonly directory: ConnectorDirectory;
  readonly requests: AttributeRequests;
  readonly updates: AttributeUpdates;
  readonly given: GivenAttributes;
}

/**
 * Brings the shared attributes of a device to its connector when the device is announced, so after each connect of the device or the
 * platform, and when the connector begins to run: asks the platform, a few devices at a time, and hands on what the connector does not have.
 */
export class AttributeSync implements Disposable {
  readonly #deps: AttributeSyncDeps;
  readonly #waiting = new Set<string>();
  /** Devices that are being asked about, with the attributes that have changed meanwhile: what the platform pushes is newer. */
  readonly #atWork = new Map<string, Set<string>>();
  /** The connector of each device that was asked about. */
  readonly #owners = new Map<string, string>();
  /** Devices to ask about again, with the time from which on. */
  readonly #again = new Map<string, Disposable>();
  readonly #life = new AbortController();
  readonly #stack = new DisposableStack();

  constructor(deps: AttributeSyncDeps) {
    this.#deps = deps;
    const { announced, directory, devices, platform } = deps;
    this.#stack.use(announced.onAnnounced((deviceName) => this.#want(deviceName)));
    this.#stack.use(devices.onConnected(({ deviceName }) => this.#ownerChanged(deviceName)));
    this.#stack.use(
      directory.onRunning(({ id }) => {
        deps.given.forgetConnector(id);
        for (const { deviceName } of devices.of(id)) {
          this.#want(deviceName);
        }
      }),
    );
    this.#stack.use(platform.onChange((connected) => (connected ? undefined : this.#reset())));
  }

  /** The platform has pushed a change of an attribute. */
  pushed(deviceName: string, keys: readonly string[]): void {
    const changed = this.#atWork.get(deviceName);
    for (const key of changed === undefined ? [] : keys) {
      changed?.add(key);
    }
  }

  /** The device is no longer known. */
  forget(deviceName: string): void {
    this.#waiting.delete(deviceName);
    this.#owners.delete(deviceName);
    this.#notAgain(deviceName);
  }

  [Symbol.dispose](): void {
    this.#stack[Symbol.dispose]();
    this.#life.abort(new TransientError("The gateway is stopping"));
    this.#reset();
  }

  /** Every device is announced again after the next connect. */
  #reset(): void {
    this.#waiting.clear();
    this.#owners.clear();
    for (const timer of this.#again.values()) {
      timer[Symbol.dispose]();
    }
    this.#again.clear();
  }

  /** Another connector has taken over a device that the platform knows already; for all others the announcement counts. */
  #ownerChanged(deviceName: string): void {
    const owner = this.#deps.devices.get(deviceName)?.connectorId;
    if (this.#owners.has(deviceName) && this.#owners.get(deviceName) !== owner) {
      this.#want(deviceName);
    }
  }

  #want(deviceName: string): void {
    const { announced, devices } = this.#deps;
    if (announced.has(deviceName) && devices.get(deviceName)?.connected === true) {
      this.#notAgain(deviceName);
      this.#waiting.add(deviceName);
      this.#pump();
    }
  }

  #notAgain(deviceName: string): void {
    this.#again.get(deviceName)?.[Symbol.dispose]();
    this.#again.delete(deviceName);
  }

  #pump(): void {
    for (const deviceName of this.#waiting) {
      if (this.#atWork.size >= MAX_AT_WORK || this.#life.signal.aborted) {
        return;
      }
      if (!this.#atWork.has(deviceName)) {
        this.#waiting.delete(deviceName);
        this.#begin(deviceName);
      }
    }
  }

  #begin(deviceName: string): void {
    const pushed = new Set<string>();
    this.#atWork.set(deviceName, pushed);
    this.#sync(deviceName, pushed)
      .catch((error: unknown) => this.#failed(deviceName, error))
      .finally(() => {
        this.#atWork.delete(deviceName);
        this.#pump();
      });
  }

  async #sync(deviceName: string, pushed: ReadonlySet<string>): Promise<void> {
    const { devices, directory, given, requests, updates } = this.#deps;
    const connectorId = devices.get(deviceName)?.connectorId ?? "";
    this.#owners.set(deviceName, connectorId);
    const owner = directory.byId(connectorId);
    const keys = await this.#keysOf(deviceName, owner);
    if (keys === undefined || keys.length === 0) {
      return;
    }
    const known = given.keys(deviceName);
    const { signal } = this.#life;
    const { asked, values } = await requests.shared(deviceName, keys, { known, signal });
    const changed: Record<string, Json> = {};
    for (const [key, value] of Object.entries(values)) {
      if (!pushed.has(key) && !given.has(deviceName, key, value)) {
        changed[key] = value;
      }
    }
    const has = new Set(given.keys(deviceName));
    const removed = asked.filter(
      (key) => has.has(key) && !pushed.has(key) && !Object.hasOwn(values, key),
    );
    updates.receive(deviceName, changed, removed);
  }

  async #keysOf(deviceName: string, owner: RunningConnector | undefined): Promise<AttributeKeys> {
    try {
      return await owner?.connector.sharedAttributeKeys?.(deviceName);
    } catch (error) {
      this.#deps.log.warn("A connector cannot tell which shared attributes a device has", {
        connector: owner?.name,
        device: deviceName,
        error,
      });
      return undefined;
    }
  }

  #failed(deviceName: string, error: unknown): void {
    const { clock, log, platform } = this.#deps;
    if (this.#life.signal.aborted || !platform.connected) {
      return; // It is announced again.
    }
    log.debug("The shared attributes of a device are asked for again later", {
      device: deviceName,
      error: errorText(error),
    });
    this.#notAgain(deviceName);
    const timer = clock.timer(AGAIN_MS, () => {
      this.#again.delete(deviceName);
      this.#want(deviceName);
    });
    this.#again.set(deviceName, timer);
  }
}
