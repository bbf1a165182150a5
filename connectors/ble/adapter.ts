import type { AdapterPlace } from "#platform/hci-socket";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { Json } from "#sdk/model";
import { supervise } from "#sdk/supervise";
import { normalAddress } from "./addresses.ts";
import { Central } from "./central.ts";
import { Changes } from "./changes.ts";
import { PeripheralLink } from "./link.ts";
import { ScanWindows } from "./scan-windows.ts";
import { Silence } from "./silence.ts";

/** How an adapter is used; of several connectors on one adapter the first decides. */
export interface AdapterSettings {
  readonly name: string;
  readonly place: AdapterPlace;
  readonly passive: boolean;
  readonly connects: boolean;
  readonly windowMs: number;
  readonly periodMs: number;
  readonly maxConnections: number;
}

/** A device that wants to hear of its peripheral. */
export interface Listener {
  /** As `normalAddress` makes it. */
  readonly address: string;
  /** Whether it needs advertisements now; scanning stops while nobody does. */
  wantsScan(): boolean;
  /** An advertisement of it. Must not throw. */
  seen(peripheral: NoblePeripheral): void;
}

/** What an adapter tells a connector. */
export interface AdapterUser {
  readonly clock: Clock;
  readonly log: Logger;
  /** `undefined`: the adapter is ready; else why it is not. */
  changed(problem: string | undefined): void;
}

/** Somebody who waits to connect. */
interface Candidate {
  readonly address: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** When it failed the last time; 0: never. */
  readonly failedMs: number;
  resolve(link: PeripheralLink): void;
  reject(error: unknown): void;
}

/**
 * One Bluetooth adapter: scans in windows while somebody needs it, connects one peripheral at a time and never while scanning, and
 * keeps the number of links below its limit. Opened again for ever; when it is lost all links are.
 */
export class Adapter {
  readonly settings: AdapterSettings;
  readonly #users = new Set<AdapterUser>();
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #observers = new Set<(peripheral: NoblePeripheral) => void>();
  readonly #links = new Map<string, PeripheralLink>();
  readonly #sightings = new Map<string, NoblePeripheral>();
  readonly #changes = new Changes();
  readonly #clock: Clock;
  #candidates: Candidate[] = [];
  #central: Central | undefined;
  #problem: string | undefined = "starting";
  #isScanning = false;
  #heardTs: number | undefined;

  constructor(settings: AdapterSettings, clock: Clock) {
    this.settings = settings;
    this.#clock = clock;
  }

  /** Whether it can be used now. */
  get isReady(): boolean {
    return this.#central !== undefined;
  }

  /** Links that are open or being opened. */
  get connectionsUsed(): number {
    return this.#links.size;
  }

  /** How it is, for a person. */
  get status(): Json {
    return {
      name: this.settings.name,
      state: this.#problem ?? "ready",
      scanning: this.#isScanning,
      connectionsUsed: this.connectionsUsed,
      maxConnections: this.settings.maxConnections,
      lastAdvTs: this.#heardTs ?? null,
    };
  }

  /** Keeps the adapter open until `signal` aborts, then rejects with its reason. */
  async run(signal: AbortSignal): Promise<never> {
    const { name } = this.settings;
    // The log of whichever connector is there: the one that came first may go first.
    const log = forward(() => [...this.#users][0]?.log);
    return await supervise(
      {
        name: `Bluetooth adapter ${name}`,
        host: { clock: this.#clock, log },
        run: (stop, healthy) => this.#session(log, stop, healthy),
      },
      signal,
    );
  }

  /** Tells `user` how the adapter is, now and when it changes. Disposing ends it. */
  join(user: AdapterUser): Disposable {
    this.#users.add(user);
    user.changed(this.#problem);
    return { [Symbol.dispose]: () => this.#users.delete(user) };
  }

  /** Disposing ends it. */
  listen(listener: Listener): Disposable {
    const { address } = listener;
    const all = this.#listeners.get(address) ?? new Set();
    this.#listeners.set(address, all.add(listener));
    this.#changes.notify();
    return {
      [Symbol.dispose]: () => {
        all.delete(listener);
        if (all.size === 0) {
          this.#listeners.delete(address);
        }
        this.#changes.notify();
      },
    };
  }

  /** Tells of every peripheral around, for as long as it is not disposed. `observer` must not throw. */
  observe(observer: (peripheral: NoblePeripheral) => void): Disposable {
    this.#observers.add(observer);
    this.#changes.notify();
    return {
      [Symbol.dispose]: () => {
        this.#observers.delete(observer);
        this.#changes.notify();
      },
    };
  }

  /** Somebody's need of advertisements has changed. */
  look(): void {
    this.#changes.notify();
  }

  /** Waits for its turn and connects; whoever failed longest ago goes first. @throws TransientError; rejects with `signal.reason` */
  async connect(
    request: { readonly address: string; readonly timeoutMs: number; readonly failedMs: number },
    signal: AbortSignal,
  ): Promise<PeripheralLink> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<PeripheralLink>();
    const candidate: Candidate = { ...request, signal, resolve, reject };
    const onAbort = (): void => {
      this.#candidates = this.#candidates.filter((one) => one !== candidate);
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#candidates.push(candidate);
    this.#changes.notify();
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** To the loss of the adapter; opened again in between when nobody is heard. */
  async #session(log: Logger, signal: AbortSignal, healthy: () => void): Promise<never> {
    const silence = new Silence(this.#clock);
    try {
      for (;;) {
        await this.#open(log, silence, { signal, healthy });
        log[silence.isFirst ? "warn" : "debug"](
          "Nobody at all is heard: the Bluetooth adapter is started again",
          { adapter: this.settings.name },
        );
        silence.again();
      }
    } catch (error) {
      signal.throwIfAborted();
      this.#say(error instanceof Error ? error.message : String(error));
      throw error;
    } finally {
      this.#close();
    }
  }

  /** One opening of the adapter. Resolves when nobody is heard for too long. @throws TransientError when it is lost */
  async #open(
    log: Logger,
    silence: Silence,
    { signal, healthy }: { readonly signal: AbortSignal; readonly healthy: () => void },
  ): Promise<void> {
    const { place, passive, connects } = this.settings;
    await using central = await Central.open(
      { place, passive, connects, clock: this.#clock, log },
      signal,
    );
    central.isWanted = (address) => this.#observers.size > 0 || this.#listeners.has(address);
    central.onDiscover = (peripheral) => this.#seen(peripheral);
    central.onHeard = () => {
      if (silence.heard()) {
        this.#changes.notify();
      }
    };
    central.onRefusal = (id, error) => this.#links.get(id)?.refused(error);
    this.#central = central;
    healthy();
    this.#say(undefined);
    await this.#work(central, silence, signal);
    this.#central = undefined;
    this.#isScanning = false;
  }

  #close(): void {
    this.#central = undefined;
    this.#isScanning = false;
    this.#sightings.clear();
    this.#links.clear();
    const waiting = this.#candidates;
    this.#candidates = [];
    for (const candidate of waiting) {
      candidate.reject(new TransientError("The Bluetooth adapter is gone"));
    }
  }

  async #work(central: Central, silence: Silence, signal: AbortSignal): Promise<void> {
    const windows = new ScanWindows(this.settings, this.#clock);
    using _lost = central.loss.listen(() => this.#changes.notify());
    for (;;) {
      if (central.loss.cause !== undefined) {
        throw central.loss.cause;
      }
      const candidate = this.#nextCandidate();
      const wanted = candidate === undefined && this.#wantsScan();
      const action = windows.next(wanted);
      if (action === "start") {
        await central.startScan(signal);
        this.#isScanning = true;
      } else if (action === "stop") {
        await central.stopScan(signal);
        this.#isScanning = false;
      }
      if (candidate !== undefined) {
        await this.#connect(central, candidate);
        continue;
      }
      const leftMs = silence.leftMs(wanted && this.#links.size === 0);
      if (leftMs === 0) {
        return;
      }
      const pausesMs = [windows.pauseMs(wanted), leftMs].filter((ms) => ms !== undefined);
      await this.#pause(pausesMs.length === 0 ? undefined : Math.min(...pausesMs), signal);
    }
  }

  /** Until something changes, or the time is over. */
  async #pause(durationMs: number | undefined, signal: AbortSignal): Promise<void> {
    using _timer =
      durationMs === undefined
        ? undefined
        : this.#clock.timer(durationMs, () => this.#changes.notify());
    await this.#changes.next(signal);
  }

  #wantsScan(): boolean {
    if (this.#observers.size > 0) {
      return true;
    }
    for (const listeners of this.#listeners.values()) {
      for (const listener of listeners) {
        if (listener.wantsScan()) {
          return true;
        }
      }
    }
    return false;
  }

  #nextCandidate(): Candidate | undefined {
    if (this.#links.size >= this.settings.maxConnections) {
      return undefined;
    }
    const free = this.#candidates.filter(({ address }) => !this.#links.has(address));
    const next = free.toSorted((a, b) => a.failedMs - b.failedMs)[0];
    this.#candidates = this.#candidates.filter((one) => one !== next);
    return next;
  }

  async #connect(central: Central, candidate: Candidate): Promise<void> {
    const { address, timeoutMs, signal } = candidate;
    const peripheral = this.#sightings.get(address);
    if (peripheral === undefined) {
      candidate.reject(new TransientError("The peripheral has not been seen"));
      return;
    }
    const link = new PeripheralLink(peripheral, {
      clock: this.#clock,
      adapter: central.loss,
      gatt: (peripheralId) => central.gatt(peripheralId),
      ended: () => {
        if (this.#links.get(address) === link) {
          this.#links.delete(address);
        }
        this.#changes.notify();
      },
    });
    this.#links.set(address, link);
    try {
      await link.connect(timeoutMs, signal);
    } catch (error) {
      this.#links.delete(address);
      candidate.reject(error);
      return;
    }
    if (signal.aborted) {
      await link[Symbol.asyncDispose]();
    } else {
      candidate.resolve(link);
    }
  }

  #seen(peripheral: NoblePeripheral): void {
    const address = normalAddress(peripheral.address);
    this.#heardTs = this.#clock.now();
    for (const observer of this.#observers) {
      observer(peripheral);
    }
    const listeners = this.#listeners.get(address);
    if (listeners === undefined) {
      return;
    }
    this.#sightings.set(address, peripheral);
    for (const listener of listeners) {
      listener.seen(peripheral);
    }
  }

  #say(problem: string | undefined): void {
    this.#problem = problem;
    for (const user of this.#users) {
      user.changed(problem);
    }
  }
}

/** A logger that asks for another one at each line; without one the line is left out. */
function forward(find: () => Logger | undefined): Logger {
  return {
    trace: (message, fields) => find()?.trace(message, fields),
    debug: (message, fields) => find()?.debug(message, fields),
    info: (message, fields) => find()?.info(message, fields),
    warn: (message, fields) => find()?.warn(message, fields),
    error: (message, fields) => find()?.error(message, fields),
  };
}
