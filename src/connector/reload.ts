import { isDeepStrictEqual } from "node:util";
import type { Clock } from "#sdk/clock";
import { errorText, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { ConnectorSetup, ConnectorSupervisor } from "./supervisor.ts";

/** A connector that is created and has run for this long is taken for started. */
export const HEALTH_MS = 2000;

/** What the set needs of its surroundings. */
export interface ConnectorSetOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly supervise: (setup: ConnectorSetup) => ConnectorSupervisor;
  /** Told of each connector that is gone for good or gets another configuration; the next version starts when it resolves. */
  readonly onEnded?: (setup: ConnectorSetup) => Promise<void>;
  /** The ids of connectors that need a fresh instance though their configuration is the same. Default: none. */
  readonly stale?: () => Promise<ReadonlySet<string>>;
  /** Told how a connector logs: before it starts, and when only that has changed. */
  readonly logging?: (setup: ConnectorSetup) => void;
  /** A supervisor itself has failed: our bug. */
  readonly onFailure: (error: Error) => void;
}

/** A connector that did not start, or whose previous version was kept because of that. */
export interface StartFailure {
  readonly id: string;
  readonly name: string;
  readonly error: unknown;
}

interface Running {
  readonly supervisor: ConnectorSupervisor;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/** All running connectors, by id. A change touches only those whose own part of the configuration has changed. */
export class ConnectorSet implements AsyncDisposable {
  readonly #options: ConnectorSetOptions;
  /** In the order of the configuration. */
  #running = new Map<string, Running>();
  #isOver = false;

  constructor(options: ConnectorSetOptions) {
    this.#options = options;
  }

  /** In the order of the configuration; the list of this moment. */
  get supervisors(): readonly ConnectorSupervisor[] {
    return [...this.#running.values()].map(({ supervisor }) => supervisor);
  }

  /** What runs at this moment. */
  get setups(): readonly ConnectorSetup[] {
    return this.supervisors.map(({ setup }) => setup);
  }

  /** Starts all of `setups`, without waiting for any. */
  start(setups: readonly ConnectorSetup[]): void {
    for (const setup of setups) {
      this.#start(setup);
    }
  }

  /**
   * Makes the set what `setups` say: ends what is not among them, starts what is new, replaces what has changed and leaves the
   * rest alone. A connector that is new or changed and throws in `create` or within `HEALTH_MS` of `run` is taken back: its previous
   * version runs again, or none. Resolves with those; one call at a time.
   */
  async replace(
    setups: readonly ConnectorSetup[],
    signal: AbortSignal,
  ): Promise<readonly StartFailure[]> {
    const stale = await this.#options.stale?.();
    const wanted = new Map(setups.map((setup) => [setup.id, setup]));
    const gone = [...this.#running.keys()].filter((id) => !wanted.has(id));
    await Promise.all(gone.map((id) => this.#end(id)));
    const changed = setups.filter((setup) => !this.#runs(setup) || stale?.has(setup.id) === true);
    for (const setup of setups) {
      this.#options.logging?.(setup);
    }
    const failures = await Promise.all(changed.map((setup) => this.#change(setup, signal)));
    this.#order(setups);
    return failures.filter((failure) => failure !== undefined);
  }

  /** Stops every connector; resolves when the last one is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    const all = [...this.#running.values()];
    for (const { stop } of all) {
      stop.abort(new TransientError("The gateway is stopping"));
    }
    await Promise.all(all.map(({ done }) => done));
  }

  #runs(setup: ConnectorSetup): boolean {
    const running = this.#running.get(setup.id)?.supervisor;
    return running !== undefined && running.state !== "invalid" && isSame(running.setup, setup);
  }

  /** Old out, new in: both at a time would fight for a serial line or a client id. */
  async #change(setup: ConnectorSetup, signal: AbortSignal): Promise<StartFailure | undefined> {
    const { log } = this.#options;
    const before = this.#running.get(setup.id)?.supervisor.setup;
    await this.#end(setup.id);
    const started = this.#start(setup);
    if (started === undefined) {
      return undefined;
    }
    try {
      await started.supervisor.healthy(HEALTH_MS, signal);
      log.info(before === undefined ? "Connector is added" : "Connector is replaced", {
        connector: setup.name,
      });
      return undefined;
    } catch (error) {
      if (this.#isOver || signal.aborted) {
        return undefined;
      }
      await this.#end(setup.id);
      if (before !== undefined) {
        this.#start(before);
      }
      log.error("Connector does not start with its changed configuration", {
        connector: setup.name,
        error: errorText(error),
        instead: before === undefined ? "nothing runs" : "the previous version runs again",
      });
      return { id: setup.id, name: setup.name, error };
    }
  }

  #start(setup: ConnectorSetup): Running | undefined {
    if (this.#isOver) {
      return undefined;
    }
    this.#options.logging?.(setup);
    const supervisor = this.#options.supervise(setup);
    const stop = new AbortController();
    const done = supervisor.run(stop.signal).catch((error: unknown) => {
      this.#options.onFailure(error instanceof Error ? error : new Error(errorText(error)));
    });
    const running = { supervisor, stop, done };
    this.#running.set(setup.id, running);
    return running;
  }

  async #end(id: string): Promise<void> {
    const running = this.#running.get(id);
    if (running !== undefined) {
      running.stop.abort(new TransientError("The connector's configuration has changed"));
      await running.done;
      await this.#options.onEnded?.(running.supervisor.setup);
      if (this.#running.get(id) === running) {
        this.#running.delete(id);
      }
    }
  }

  #order(setups: readonly ConnectorSetup[]): void {
    const order = new Map(setups.map(({ id }, index) => [id, index]));
    const place = (id: string): number => order.get(id) ?? order.size;
    this.#running = new Map(
      [...this.#running].toSorted(([left], [right]) => place(left) - place(right)),
    );
  }
}

/** Whether a connector would be made the same way. How it logs can change while it runs. */
export function isSame(left: ConnectorSetup, right: ConnectorSetup): boolean {
  const { definition, logLevel: _l, enableRemoteLogging: _r, ...others } = left;
  const { definition: otherDefinition, logLevel: _m, enableRemoteLogging: _s, ...rest } = right;
  return definition === otherDefinition && isDeepStrictEqual(others, rest);
}
