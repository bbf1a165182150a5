import type { Logger } from "#sdk/logger";
import type { Connection } from "./connection.ts";
import type { Rates } from "./rates.ts";

/** Longest wait for the answer to `getSessionLimits`, and for the one that comes after everything the platform kept for the gateway. */
const LIMITS_WAIT_MS = 10_000;
const KEPT_WAIT_MS = 5000;

/** What the start of a session needs. */
export interface SessionStartHost {
  readonly log: Logger;
  readonly rates: Rates;
  /** Instead of 10 s. */
  readonly limitsWaitMs?: number;
  /**
   * Resolves, in seconds at most, when what has been handed over so far is handled: names that the platform changed while the
   * gateway was away must be known before the first device is named to it.
   */
  readonly handled?: () => Promise<void>;
}

/** What comes first on each connection. Remembers what the server does not answer, so that it waits for that only once. */
export class SessionStart {
  readonly #host: SessionStartHost;
  #answersLimits = true;
  #answersRequests = true;
  #refusedFilters: readonly string[] = [];

  constructor(host: SessionStartHost) {
    this.#host = host;
  }

  /** Filters that the server refused on the last connection. */
  get refusedFilters(): readonly string[] {
    return this.#refusedFilters;
  }

  /** An answer to `getSessionLimits` has come, perhaps late. */
  limitsAnswered(): void {
    this.#answersLimits = true;
  }

  /**
   * Subscriptions, then limits: both before the first record, so that no packet is larger than the server can read. Calls that
   * the platform kept meanwhile come first too, because they tell of devices that have other names.
   */
  async prepare(connection: Connection, signal: AbortSignal): Promise<void> {
    const { log, limitsWaitMs = LIMITS_WAIT_MS, rates } = this.#host;
    rates.sessionOpened();
    const limits = connection.askLimits(this.#answersLimits ? limitsWaitMs : 0, signal);
    const subscribed = connection.subscribe(signal);
    const kept = subscribed.then(() => this.#takeKept(connection, signal));
    // One that fails must not leave the others unheard.
    await Promise.allSettled([subscribed, limits, kept]);
    this.#refusedFilters = await subscribed;
    const isAnswered = await limits;
    await kept;
    if (this.#refusedFilters.length > 0) {
      log.warn("The platform refuses subscriptions: their messages will not arrive", {
        filters: this.#refusedFilters.join(", "),
      });
    }
    if (!isAnswered && this.#answersLimits) {
      log.info("The platform does not tell its limits: using the defaults");
    }
    this.#answersLimits = isAnswered;
  }

  /** Waits for what the platform kept for the gateway, and until it is handled. */
  async #takeKept(connection: Connection, signal: AbortSignal): Promise<void> {
    const { handled, limitsWaitMs = LIMITS_WAIT_MS, rates } = this.#host;
    rates.own.regular.take(1);
    const waitMs = this.#answersRequests ? Math.min(KEPT_WAIT_MS, limitsWaitMs) : 0;
    this.#answersRequests = await connection.askKept(waitMs, signal);
    if (handled !== undefined) {
      await connection.until(handled(), signal);
    }
  }
}
