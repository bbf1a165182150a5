import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import { orAborted } from "#sdk/or-aborted";
import { supervise } from "#sdk/supervise";
import type { Cursor, EventStore } from "../storage/event-store.ts";

/** What a releaser needs. */
export interface ReleaserHost {
  readonly store: EventStore;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Tells the store what it may forget, in groups: while one call runs, the next group grows. A disk that refuses is asked again. */
export class Releaser {
  readonly #host: ReleaserHost;
  #released: Cursor[] = [];
  #quarantined: { readonly cursor: Cursor; readonly reason: string }[] = [];
  #working = 0;
  #wake: (() => void) | undefined;
  #idle: (() => void)[] = [];

  constructor(host: ReleaserHost) {
    this.#host = host;
  }

  /** Records the store has yet to confirm. */
  get pending(): number {
    return this.#released.length + this.#quarantined.length + this.#working;
  }

  release(cursor: Cursor): void {
    this.#released.push(cursor);
    this.#wake?.();
  }

  quarantine(cursor: Cursor, reason: string): void {
    this.#quarantined.push({ cursor, reason });
    this.#wake?.();
  }

  /** Calls back once the store has confirmed everything; at once when it has. */
  whenIdle(callback: () => void): void {
    if (this.pending === 0) {
      callback();
    } else {
      this.#idle.push(callback);
    }
  }

  /** Works until `signal` aborts; rejects with its reason. */
  run(signal: AbortSignal): Promise<never> {
    const { clock, log } = this.#host;
    return supervise(
      {
        name: "event store, acknowledging",
        host: { clock, log },
        isInternal: true,
        run: (inner, healthy) => this.#work(inner, healthy),
      },
      signal,
    );
  }

  /** `healthy` is called after the first group. */
  async #work(signal: AbortSignal, healthy: () => void): Promise<void> {
    for (let groups = 0; ; groups += 1) {
      await this.#something(signal);
      await this.#flush(signal);
      if (groups === 0) {
        healthy();
      }
      if (this.pending === 0) {
        const idle = this.#idle;
        this.#idle = [];
        for (const callback of idle) {
          callback();
        }
      }
    }
  }

  /** A disk that refuses may not answer for days. What it was told it knows, also when nobody waits any more. */
  async #flush(signal: AbortSignal): Promise<void> {
    const { store } = this.#host;
    const released = this.#released;
    let quarantined = this.#quarantined;
    this.#released = [];
    this.#quarantined = [];
    this.#working = released.length + quarantined.length;
    try {
      if (released.length > 0) {
        await orAborted(store.release(released), signal);
        released.length = 0;
      }
      const asked = quarantined;
      quarantined = [];
      // All in one commit: with one each, a device that is always refused would hold up every release.
      const ends = await orAborted(
        Promise.allSettled(asked.map(({ cursor, reason }) => store.quarantine(cursor, reason))),
        signal,
      );
      quarantined = asked.filter((_, index) => ends[index]?.status === "rejected");
      throwFirst(ends);
    } finally {
      // What the store refused comes first the next time.
      this.#working = 0;
      this.#released = released.length === 0 ? this.#released : [...released, ...this.#released];
      this.#quarantined =
        quarantined.length === 0 ? this.#quarantined : [...quarantined, ...this.#quarantined];
    }
  }

  async #something(signal: AbortSignal): Promise<void> {
    if (this.pending > 0) {
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#wake = resolve;
    try {
      signal.throwIfAborted();
      await promise;
    } finally {
      this.#wake = undefined;
      signal.removeEventListener("abort", onAbort);
    }
  }
}

function throwFirst(ends: readonly PromiseSettledResult<void>[]): void {
  for (const end of ends) {
    if (end.status === "rejected") {
      throw end.reason;
    }
  }
}
