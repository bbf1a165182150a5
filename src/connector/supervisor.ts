import type { Clock } from "#sdk/clock";
import type { Connector, ConnectorHost } from "#sdk/connector";
import { ConfigError, errorText, TransientError } from "#sdk/errors";
import type { Logger, LogLevel } from "#sdk/logger";
import type { ReportStrategy } from "#sdk/model";
import { type Accountable, attribution, onBehalf } from "./attribution.ts";
import { checkedConnector } from "./checked-connector.ts";
import type { IsolatedSource } from "./isolation/port.ts";
import type { ConnectorDefinition } from "./registry.ts";

/** How long `create` may take when nobody says. */
const START_TIMEOUT_MS = 30_000;
/** How long a connector has to stop and release what it holds. */
const STOP_TIMEOUT_MS = 5000;
/** The part of it that the dispose has in any case. */
const DISPOSE_LEAST_MS = 500;
/** Pauses before an instance is replaced: 1 s, doubled to 5 min, from the start again after 5 min of running. */
const FIRST_PAUSE_MS = 1000;
const LAST_PAUSE_MS = 300_000;
/** Largest part of a pause that is taken away by chance, so that connectors that fail together do not start together. */
const JITTER = 0.1;

/** Life of one connector, as `tbgw status` shows it. */
export type ConnectorState = "starting" | "running" | "failed" | "invalid" | "stopping" | "stopped";

/** What one connector is made from. */
export interface ConnectorSetup {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly definition: ConnectorDefinition;
  /** Parsed by the definition's schema. */
  readonly config: unknown;
  readonly logLevel: LogLevel;
  /** When its values go up; what is absent is the gateway's. */
  readonly reportStrategy?: ReportStrategy | undefined;
  /** Whether its log lines go to the platform too. */
  readonly enableRemoteLogging?: boolean;
  /** How long `create` may take. Default: 30 s. */
  readonly startTimeoutMs?: number;
  /** The extension it is from; `undefined`: it is inside the program. */
  readonly extension?: { readonly file: string; readonly sha256: string } | undefined;
  /** What it is made from in a thread of its own; `undefined`: it runs in the collection thread. */
  readonly isolated?: IsolatedSource | undefined;
}

/** A host with a switch: after `revoke` every member throws. */
export interface RevocableHost {
  readonly host: ConnectorHost;
  revoke(): void;
}

/** What the supervisor needs of its surroundings. */
export interface SupervisorOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly createHost: (setup: ConnectorSetup) => RevocableHost;
  /** Creates an instance; `signal` aborts when the instance is over. Default: the definition does, in this thread. */
  readonly create?: (
    setup: ConnectorSetup,
    host: ConnectorHost,
    signal: AbortSignal,
  ) => Promise<Connector>;
  /** Notes which connector is at work, to be named if it never comes back. */
  readonly working?: (connector: string) => void;
  /** Told when it cannot be started or has ended by itself, and with `undefined` when an instance runs. */
  readonly onTrouble?: (
    setup: ConnectorSetup,
    trouble: { readonly state: "invalid" | "failed"; readonly reason: string } | undefined,
  ) => void;
  /** Told of each instance when it begins to run; the result is disposed as soon as it ends or is asked to. */
  readonly onRunning?: (setup: ConnectorSetup, connector: Connector) => Disposable;
}

/**
 * Runs one connector for as long as the gateway does: an instance that ends without being asked to is thrown away and
 * replaced after a pause. A connector's links reconnect inside the instance; they are no reason to replace it.
 */
export class ConnectorSupervisor {
  readonly #setup: ConnectorSetup;
  readonly #options: SupervisorOptions;
  readonly #created = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<unknown>();
  #state: ConnectorState = "starting";
  #restarts = 0;
  #instance: Connector | undefined;
  /** When the last instance was asked to stop, or ended by itself; monotonic. */
  #abortedMs = 0;

  constructor(setup: ConnectorSetup, options: SupervisorOptions) {
    this.#setup = setup;
    this.#options = options;
  }

  get setup(): ConnectorSetup {
    return this.#setup;
  }

  get state(): ConnectorState {
    return this.#state;
  }

  /** The instance that runs; `undefined` while there is none. */
  get instance(): Connector | undefined {
    return this.#instance;
  }

  /** How often an instance was replaced. */
  get restarts(): number {
    return this.#restarts;
  }

  /**
   * Resolves when the first instance has been created and has run for `healthMs`.
   * @throws what ended it before that; the signal's reason
   */
  async healthy(healthMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const waiting = new AbortController();
    const either = AbortSignal.any([signal, waiting.signal]);
    const lasted = this.#created.promise.then(() => clock.sleep(healthMs, either));
    const failed = this.#ended.promise.then((end) =>
      Promise.reject(end ?? new TransientError("it returned before it was stopped")),
    );
    try {
      await Promise.race([lasted, failed]);
    } finally {
      waiting.abort();
      // The one that lost the race ends with the wait.
      lasted.catch(() => undefined);
      failed.catch(() => undefined);
    }
  }

  /** Resolves when `signal` has aborted and the last instance is gone, or at once when the configuration is invalid. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, onTrouble } = this.#options;
    const { name } = this.#setup;
    let pauseMs = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      const startedMs = clock.monotonicMs();
      const end = await this.#runOnce(signal);
      this.#ended.resolve(end);
      if (signal.aborted) {
        break;
      }
      if (end instanceof ConfigError) {
        this.#state = "invalid";
        onTrouble?.(this.#setup, { state: "invalid", reason: errorText(end) });
        log.error("Connector has an invalid configuration", { connector: name, error: end });
        return;
      }
      this.#state = "failed";
      this.#restarts += 1;
      if (clock.monotonicMs() - startedMs >= LAST_PAUSE_MS) {
        pauseMs = FIRST_PAUSE_MS;
      }
      const error = end === undefined ? "it returned before it was stopped" : errorText(end);
      log.error("Connector ended and is started again", { connector: name, error, pauseMs });
      onTrouble?.(this.#setup, { state: "failed", reason: error });
      await clock.sleep(pauseMs * (1 - JITTER * Math.random()), signal).catch(() => undefined);
      pauseMs = Math.min(LAST_PAUSE_MS, pauseMs * 2);
    }
    this.#state = "stopped";
  }

  /** One instance from `create` to dispose. Returns what ended it, `undefined` when `run` returned. */
  async #runOnce(signal: AbortSignal): Promise<unknown> {
    this.#state = "starting";
    const { createHost } = this.#options;
    const revocable = createHost(this.#setup);
    const life = new AbortController();
    const stray = new StrayErrors(this.#setup, this.#options);
    using _charged = attribution.enter(stray);
    let connector: Connector | undefined;
    let end: unknown;
    try {
      connector = await this.#createInstance(revocable.host, stray, { life: life.signal, signal });
      this.#state = "running";
      this.#options.onTrouble?.(this.#setup, undefined);
      this.#created.resolve();
      await this.#runInstance(connector, stray, signal);
    } catch (error) {
      end = error;
    }
    if (signal.aborted) {
      this.#state = "stopping";
    }
    await this.#disposeInstance(connector, this.#stopLeftMs());
    life.abort(new TransientError("The instance is over", { cause: end }));
    revocable.revoke();
    return end;
  }

  async #createInstance(
    host: ConnectorHost,
    stray: StrayErrors,
    { life, signal }: { readonly life: AbortSignal; readonly signal: AbortSignal },
  ): Promise<Connector> {
    const { create = createHere } = this.#options;
    stray.at();
    const creating = attribution.run(stray, async () => await create(this.#setup, host, life));
    let isLate = true;
    // One that comes after all is not wanted any more.
    creating
      .then((late) =>
        isLate && life.aborted ? this.#disposeInstance(late, STOP_TIMEOUT_MS) : undefined,
      )
      .catch(() => undefined);
    const { startTimeoutMs = START_TIMEOUT_MS } = this.#setup;
    const stopped = Promise.withResolvers<never>();
    const onAbort = (): void => stopped.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      const created = this.#within(creating, startTimeoutMs, "create");
      const connector = await Promise.race([created, stray.thrown, stopped.promise]);
      isLate = false;
      return onBehalf(connector, stray);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  async #disposeInstance(connector: Connector | undefined, timeoutMs: number): Promise<void> {
    if (connector === undefined) {
      return;
    }
    const { log } = this.#options;
    const { name } = this.#setup;
    const dispose = async (): Promise<void> => {
      try {
        await connector[Symbol.asyncDispose]();
      } catch (error) {
        log.error("Connector failed as it was disposed", { connector: name, error });
      }
    };
    await this.#within(dispose(), timeoutMs, "dispose").catch((error: unknown) =>
      log.error("Connector did not stop in time and is abandoned", { connector: name, error }),
    );
  }

  /** Shows the instance to the others for as long as it runs. */
  async #runInstance(connector: Connector, stray: StrayErrors, signal: AbortSignal): Promise<void> {
    const shown = this.#options.onRunning?.(this.#setup, connector);
    this.#instance = connector;
    const stop = new AbortController();
    const end = (reason: unknown): void => {
      if (!stop.signal.aborted) {
        this.#abortedMs = this.#options.clock.monotonicMs();
      }
      this.#instance = undefined;
      shown?.[Symbol.dispose]();
      stop.abort(reason);
    };
    const onAbort = (): void => end(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) {
      onAbort();
    }
    const running = this.#untilStopped(connector.run(stop.signal), stop.signal);
    try {
      await Promise.race([running, stray.thrown]);
    } catch (error) {
      end(error);
      await running.catch(() => undefined); // What it ends with is a consequence.
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
      end(new TransientError("The instance has ended"));
    }
  }

  /** Waits for `run`; after the abort only for the time a connector has to stop. */
  async #untilStopped(run: Promise<void>, signal: AbortSignal): Promise<void> {
    const late = Promise.withResolvers<void>();
    let timer: Disposable | undefined;
    const onAbort = (): void => {
      timer = this.#options.clock.timer(STOP_TIMEOUT_MS, late.resolve);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) {
      onAbort();
    }
    try {
      await Promise.race([run, late.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      timer?.[Symbol.dispose]();
    }
  }

  /** What `run` has left of the time to stop. */
  #stopLeftMs(): number {
    const spentMs = this.#options.clock.monotonicMs() - this.#abortedMs;
    return Math.max(DISPOSE_LEAST_MS, STOP_TIMEOUT_MS - spentMs);
  }

  async #within<T>(promise: Promise<T>, timeoutMs: number, step: string): Promise<T> {
    const late = Promise.withResolvers<never>();
    using _timer = this.#options.clock.timer(timeoutMs, () =>
      late.reject(new Error(`${step} took longer than ${timeoutMs} ms`)),
    );
    return await Promise.race([promise, late.promise]);
  }
}

/** Errors of one instance that nobody has handled. */
class StrayErrors implements Accountable {
  readonly name: string;
  readonly file: string | undefined;
  readonly #thrown = Promise.withResolvers<never>();
  readonly #working: SupervisorOptions["working"];

  constructor(
    { name, extension }: ConnectorSetup,
    { working }: Pick<SupervisorOptions, "working">,
  ) {
    this.name = name;
    this.file = extension?.file;
    this.#working = working;
    this.#thrown.promise.catch(() => undefined); // Heard only while the instance runs.
  }

  /** Rejects with the first one. */
  get thrown(): Promise<never> {
    return this.#thrown.promise;
  }

  at(): void {
    this.#working?.(this.name);
  }

  fail(error: unknown): void {
    this.#thrown.reject(error);
  }
}

async function createHere(setup: ConnectorSetup, host: ConnectorHost): Promise<Connector> {
  return checkedConnector(await setup.definition.create(setup.config, host), setup.name);
}
