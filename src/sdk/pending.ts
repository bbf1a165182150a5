import type { Clock } from "./clock.ts";

/** Somebody who waits for a reply. Disposing it gives the place up; a reply that comes later finds the next one. */
export interface Waiting<Reply> extends Disposable {
  /**
   * Resolves with the reply, also one that came before this call. Rejects with `signal.reason`, or after `timeoutMs` with what
   * `late` makes; also once it is disposed. To be called once.
   */
  within(timeoutMs: number, signal: AbortSignal, late: () => Error): Promise<Reply>;
}

/**
 * Matches replies to requests. Several may wait under one key, for protocols whose replies do not say which request they
 * answer: a reply goes to the one who waits longest. Enter before the request is sent, or a quick reply finds nobody.
 */
export class Pending<Key, Reply> {
  readonly #clock: Clock;
  readonly #waiting = new Map<Key, PromiseWithResolvers<Reply>[]>();
  #size = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many wait, under all keys together. */
  get size(): number {
    return this.#size;
  }

  has(key: Key): boolean {
    return this.#waiting.has(key);
  }

  /** Enters somebody who waits. The caller disposes it, whatever came of the request. */
  open(key: Key): Waiting<Reply> {
    const answer = Promise.withResolvers<Reply>();
    // It may be rejected before anybody listens.
    answer.promise.catch(() => undefined);
    const list = this.#waiting.get(key) ?? [];
    this.#waiting.set(key, list);
    list.push(answer);
    this.#size += 1;
    return {
      within: async (timeoutMs, signal, late) => {
        const onAbort = (): void => answer.reject(signal.reason);
        signal.addEventListener("abort", onAbort, { once: true });
        using _timer = this.#clock.timer(timeoutMs, () => answer.reject(late()));
        try {
          if (signal.aborted) {
            onAbort();
          }
          return await answer.promise;
        } finally {
          signal.removeEventListener("abort", onAbort);
        }
      },
      [Symbol.dispose]: () => {
        this.#leave(key, answer);
        answer.reject(new Error("nobody waits for this reply any more"));
      },
    };
  }

  /** Hands a reply to whoever waits longest under `key`. `false`: nobody does. */
  resolve(key: Key, reply: Reply): boolean {
    const first = this.#waiting.get(key)?.[0];
    if (first === undefined) {
      return false;
    }
    this.#leave(key, first);
    first.resolve(reply);
    return true;
  }

  #leave(key: Key, answer: PromiseWithResolvers<Reply>): void {
    const list = this.#waiting.get(key);
    const index = list?.indexOf(answer) ?? -1;
    if (list === undefined || index < 0) {
      return;
    }
    list.splice(index, 1);
    this.#size -= 1;
    if (list.length === 0) {
      this.#waiting.delete(key);
    }
  }
}
