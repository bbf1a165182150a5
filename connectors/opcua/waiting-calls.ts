import type { Clock } from "#sdk/clock";

/** How long a call is waited for. */
export interface CallLimit {
  readonly timeoutMs: number;
  readonly late: () => Error;
  readonly signal?: AbortSignal | undefined;
}

/** The calls of one session: each ends by its answer, its deadline, its signal, or the loss of the session. */
export class WaitingCalls {
  readonly #clock: Clock;
  readonly #waiting = new Set<(error: unknown) => void>();
  readonly #lost = Promise.withResolvers<never>();
  #error: Error | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    // Nobody may be listening at that moment.
    this.#lost.promise.catch(() => undefined);
  }

  /** Rejects when the session is lost. */
  get lost(): Promise<never> {
    return this.#lost.promise;
  }

  get isLost(): boolean {
    return this.#error !== undefined;
  }

  /** Ends all calls; the first reason counts. */
  lose(error: Error): void {
    if (this.#error !== undefined) {
      return;
    }
    this.#error = error;
    this.#lost.reject(error);
    for (const reject of this.#waiting) {
      reject(error);
    }
    this.#waiting.clear();
  }

  /** @throws what the call threw, `late()`, or the loss; rejects with `signal.reason` */
  async race<T>(call: Promise<T>, { timeoutMs, late, signal }: CallLimit): Promise<T> {
    // It may end after its deadline, with nobody there.
    call.catch(() => undefined);
    signal?.throwIfAborted();
    if (this.#error !== undefined) {
      throw this.#error;
    }
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const onAbort = (): void => reject(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#waiting.add(reject);
    using _timer = this.#clock.timer(timeoutMs, () => reject(late()));
    call.then(resolve, reject);
    try {
      return await promise;
    } finally {
      this.#waiting.delete(reject);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Waits for something that is no longer a call of the session, but not for long. */
  async within(work: Promise<unknown>, timeoutMs: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    using _timer = this.#clock.timer(timeoutMs, late.resolve);
    await Promise.race([work, late.promise]);
  }
}
