import { AsyncLocalStorage } from "node:async_hooks";
import type { Clock } from "#sdk/clock";
import type { Connector } from "#sdk/connector";
import { errorText } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { HANDLERS } from "./isolation/port.ts";

/** The same error is said so often. */
const SAY_EVERY_MS = 60_000;
/** Most different errors that are remembered. */
const MAX_SAID = 1000;

/** One instance of a connector, to whom errors are charged that nobody has handled. */
export interface Accountable {
  readonly name: string;
  /** The file it comes from, if it is an extension. */
  readonly file?: string | undefined;
  /** Notes that it is at work, to be named if it never comes back. */
  at?(): void;
  /** Ends the instance because of `error`. */
  fail(error: unknown): void;
}

/** To whom an error was charged; `isOver`: to an instance that has ended before. */
export interface Charge {
  readonly name: string;
  readonly isOver: boolean;
}

/**
 * Knows on whose behalf code runs, through timers, events and promises, so that an error that nobody has handled costs the connector it
 * belongs to and nobody else.
 */
export class Attribution {
  readonly #scope = new AsyncLocalStorage<Accountable>();
  readonly #running = new Set<Accountable>();

  /** Runs `work` and all that comes of it on behalf of `who`. */
  run<Result>(who: Accountable, work: () => Result): Result {
    return this.#scope.run(who, work);
  }

  /** Errors may be charged to `who` until the result is disposed. */
  enter(who: Accountable): Disposable {
    this.#running.add(who);
    return { [Symbol.dispose]: () => this.#running.delete(who) };
  }

  /** Charges an error that nobody has handled, and ends the instance. `undefined`: nobody can be found, it goes on being an error of all. */
  charge(error: unknown): Charge | undefined {
    // A rejected promise does not tell its scope; then the stack tells the file.
    const who = this.#scope.getStore() ?? this.#byFile(error);
    if (who === undefined) {
      return undefined;
    }
    const isOver = !this.#running.has(who);
    if (!isOver) {
      who.fail(error);
    }
    return { name: who.name, isOver };
  }

  /** The one instance whose file is in the stack; of several that share a file nobody can tell which it was. */
  #byFile(error: unknown): Accountable | undefined {
    const stack = error instanceof Error ? error.stack : undefined;
    if (stack === undefined) {
      return undefined;
    }
    const found = [...this.#running].filter(
      ({ file }) => file !== undefined && stack.includes(file),
    );
    return found.length === 1 ? found[0] : undefined;
  }
}

/** The process has one: errors that nobody has handled are told to it. */
export const attribution = new Attribution();

/** The connector with every call of it made on behalf of `who`. */
export function onBehalf(connector: Connector, who: Accountable, scopes = attribution): Connector {
  const run = <Result>(work: () => Result): Result => {
    who.at?.();
    return scopes.run(who, work);
  };
  const made: Connector = {
    run: async (signal) => await run(() => connector.run(signal)),
    [Symbol.asyncDispose]: async () => await run(() => connector[Symbol.asyncDispose]()),
  };
  const handlers: Required<Omit<Connector, "run" | typeof Symbol.asyncDispose>> = {
    handleRpc: async (request, signal) => await run(() => connector.handleRpc?.(request, signal)),
    handleConnectorRpc: async (request, signal) =>
      await run(() => connector.handleConnectorRpc?.(request, signal)),
    handleAttributes: async (update, signal) =>
      await run(() => connector.handleAttributes?.(update, signal)),
    sharedAttributeKeys: (deviceName) => run(() => connector.sharedAttributeKeys?.(deviceName)),
    rpcTimeoutMs: (request) => run(() => connector.rpcTimeoutMs?.(request)),
  };
  // One that the connector lacks is missing here too: that is an answer by itself.
  const has = HANDLERS.filter((handler) => connector[handler] !== undefined);
  return Object.assign(made, Object.fromEntries(has.map((name) => [name, handlers[name]])));
}

/**
 * Deals with errors that nobody has handled: each is charged to its connector. An interval that was left behind throws again and again, so
 * the same error is said once a minute.
 */
export class StrayErrorLog {
  readonly #log: Logger;
  readonly #clock: Pick<Clock, "monotonicMs">;
  /** Folders of extensions. */
  readonly #roots: readonly string[];
  /** When something was said last, monotonic. */
  readonly #said = new Map<string, number>();

  constructor(log: Logger, clock: Pick<Clock, "monotonicMs">, roots: readonly string[]) {
    this.#log = log;
    this.#clock = clock;
    this.#roots = roots;
  }

  /**
   * Charges an error and says so; of an extension that belongs to no connector, or to several, the folder is named. Returns whether one of
   * the two was possible.
   */
  take(error: unknown): boolean {
    const charge = attribution.charge(error);
    const stack = error instanceof Error ? error.stack : undefined;
    const text = errorText(error);
    const facts = { error: text, ...(stack === undefined ? {} : { stack }) };
    if (charge === undefined) {
      const folder = this.#roots.find((root) => stack?.includes(`${root}/`) === true);
      if (folder !== undefined && this.#isDue(`${folder} ${text}`)) {
        this.#log.error("An extension has not handled an error", { folder, ...facts });
      }
      return folder !== undefined;
    }
    const { name: connector, isOver } = charge;
    if (!isOver) {
      this.#log.error("A connector has not handled an error", { connector, ...facts });
    } else if (this.#isDue(`${connector} ${text}`)) {
      this.#log.warn("A connector that has ended has left something behind that fails", {
        connector,
        ...facts,
      });
    }
    return true;
  }

  #isDue(key: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    const lastMs = this.#said.get(key);
    if (lastMs !== undefined && nowMs - lastMs < SAY_EVERY_MS) {
      return false;
    }
    if (this.#said.size >= MAX_SAID) {
      this.#said.clear();
    }
    this.#said.set(key, nowMs);
    return true;
  }
}
