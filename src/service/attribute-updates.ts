import type { Clock } from "#sdk/clock";
import { errorText, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { Json, Values } from "#sdk/model";
import type { ConnectorCalls } from "./connector-calls.ts";
import type { ConnectorDirectory, RunningConnector } from "./connector-directory.ts";
import type { GivenAttributes } from "./given-attributes.ts";

/** How long a connector may take for one update. */
const TIMEOUT_MS = 60_000;
/** Most attributes of one device, and of all devices, that wait. */
const MAX_KEYS = 10_000;
const MAX_WAITING = 100_000;
/** Most names in one line of the log. */
const MAX_LOGGED = 20;

/** What updates need to know about devices. */
export interface DeviceOwners {
  get(deviceName: string): { readonly connectorId: string } | undefined;
}

/** What updates need of their surroundings. */
export interface AttributeUpdateDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly devices: DeviceOwners;
  readonly directory: ConnectorDirectory;
  readonly connectorCalls: ConnectorCalls;
  readonly given: GivenAttributes;
  readonly count: (connectorId: string, name: string, by: number) => void;
}

/** What waits for a device: the newest value of each attribute, `undefined` for one that was removed. */
type Waiting = Map<string, Json | undefined>;

interface Update {
  readonly values: Values;
  readonly removed: readonly string[];
}

/**
 * Changes of shared attributes on their way to connectors: one call of a device at a time, and what comes meanwhile merges into the
 * next one, so that a slow device gets the newest values and costs nobody else anything.
 */
export class AttributeUpdates implements Disposable {
  readonly #deps: AttributeUpdateDeps;
  readonly #waiting = new Map<string, Waiting>();
  readonly #atWork = new Set<string>();
  readonly #life = new AbortController();
  readonly #subscription: Disposable;
  #size = 0;
  #dropped = 0;

  constructor(deps: AttributeUpdateDeps) {
    this.#deps = deps;
    this.#subscription = deps.directory.onRunning(({ id }) => this.#connectorRuns(id));
  }

  /** Attributes that were dropped because too many waited. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes changes of a device; those of a device that nobody here has are left alone. */
  receive(deviceName: string, values: Values, removed: readonly string[]): void {
    if (Object.keys(values).length === 0 && removed.length === 0) {
      return;
    }
    if (this.#deps.devices.get(deviceName) === undefined) {
      this.#deps.log.debug("Attributes of an unknown device are left alone", {
        device: deviceName,
      });
      return;
    }
    const waiting = this.#waiting.get(deviceName) ?? new Map();
    this.#waiting.set(deviceName, waiting);
    for (const key of removed) {
      this.#put(deviceName, waiting, { key, value: undefined });
    }
    for (const [key, value] of Object.entries(values)) {
      this.#put(deviceName, waiting, { key, value });
    }
    this.#start(deviceName);
  }

  /** The device is no longer known: what waits for it was meant for nobody else of its name. */
  forget(deviceName: string): void {
    this.#size -= this.#waiting.get(deviceName)?.size ?? 0;
    this.#waiting.delete(deviceName);
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#life.abort(new TransientError("The gateway is stopping"));
    this.#waiting.clear();
  }

  #put(
    deviceName: string,
    waiting: Waiting,
    { key, value }: { readonly key: string; readonly value: Json | undefined },
  ): void {
    if (waiting.has(key)) {
      waiting.set(key, value);
      return;
    }
    if (waiting.size >= MAX_KEYS || this.#size >= MAX_WAITING) {
      this.#dropped += 1;
      // The connector does not have it, so that the next comparison with the platform brings it.
      this.#deps.given.unsure(deviceName, [key]);
      if (Number.isInteger(Math.log10(this.#dropped))) {
        this.#deps.log.error("A shared attribute was dropped: too many wait for their devices", {
          device: deviceName,
          key,
          soFar: this.#dropped,
        });
      }
      return;
    }
    waiting.set(key, value);
    this.#size += 1;
  }

  #connectorRuns(connectorId: string): void {
    for (const deviceName of this.#waiting.keys()) {
      if (this.#deps.devices.get(deviceName)?.connectorId === connectorId) {
        this.#start(deviceName);
      }
    }
  }

  #start(deviceName: string): void {
    if (this.#atWork.has(deviceName)) {
      return;
    }
    this.#atWork.add(deviceName);
    this.#work(deviceName).catch((error: unknown) =>
      this.#deps.log.error("Cannot hand on attributes", { device: deviceName, error }),
    );
  }

  async #work(deviceName: string): Promise<void> {
    try {
      while (!this.#life.signal.aborted && this.#waiting.has(deviceName)) {
        const owner = this.#ownerOf(deviceName);
        if (owner === undefined) {
          return; // Without its connector it waits: `#connectorRuns` begins again.
        }
        await this.#hand(deviceName, owner);
      }
    } finally {
      // In the same turn as the last look at `#waiting`, or a change in between would be missed.
      this.#atWork.delete(deviceName);
    }
  }

  #ownerOf(deviceName: string): RunningConnector | undefined {
    const { devices, directory } = this.#deps;
    return directory.byId(devices.get(deviceName)?.connectorId ?? "");
  }

  /** Hands on what waits at the moment when there is a place for the call. */
  async #hand(deviceName: string, owner: RunningConnector): Promise<void> {
    const { connectorCalls, count, given, log } = this.#deps;
    const { signal } = this.#life;
    const place = await connectorCalls.place(owner, signal).catch(() => undefined);
    const update = this.#take(deviceName);
    if (
      place === undefined ||
      update === undefined ||
      owner.connector.handleAttributes === undefined
    ) {
      place?.[Symbol.dispose]();
      return; // The gateway stops, or the connector takes no attributes.
    }
    try {
      using _place = place;
      await this.#call(deviceName, owner, update);
      count(owner.id, "attributeUpdates", 1);
      given.took({ deviceName, connectorId: owner.id }, update.values, update.removed);
    } catch (error) {
      const keys = [...Object.keys(update.values), ...update.removed];
      given.unsure(deviceName, keys);
      count(owner.id, "attributeErrors", 1);
      log.warn("A connector could not take shared attributes", {
        connector: owner.name,
        device: deviceName,
        keys: keys.slice(0, MAX_LOGGED).join(", "),
        error: errorText(error),
      });
    }
  }

  async #call(deviceName: string, owner: RunningConnector, update: Update): Promise<void> {
    const late = new AbortController();
    const onAbort = (): void => late.abort(this.#life.signal.reason);
    this.#life.signal.addEventListener("abort", onAbort, { once: true });
    using _timer = this.#deps.clock.timer(TIMEOUT_MS, () =>
      late.abort(new TransientError(`Not done within ${TIMEOUT_MS} ms`)),
    );
    try {
      // A handler may throw before its first await.
      const work = Promise.resolve().then(
        async () =>
          await owner.connector.handleAttributes?.({ deviceName, ...update }, late.signal),
      );
      await this.#deps.connectorCalls.within(work, late.signal);
    } finally {
      this.#life.signal.removeEventListener("abort", onAbort);
    }
  }

  #take(deviceName: string): Update | undefined {
    const waiting = this.#waiting.get(deviceName);
    if (waiting === undefined) {
      return undefined;
    }
    this.#waiting.delete(deviceName);
    this.#size -= waiting.size;
    const values: Record<string, Json> = {};
    const removed: string[] = [];
    for (const [key, value] of waiting) {
      if (value === undefined) {
        removed.push(key);
      } else {
        // An assignment would set the prototype instead of an attribute of this name.
        Object.defineProperty(values, key, {
          value,
          configurable: true,
          enumerable: true,
          writable: true,
        });
      }
    }
    return { values, removed };
  }
}
