import type { Clock } from "#sdk/clock";
import type { FromDelivery, PassedRequest } from "./port.ts";

/** How long the collection thread may take. */
const WAIT_MS = 2000;
/** The same with its disk. */
const KEPT_WAIT_MS = 5000;

/** Waits until the other thread has handled everything that was posted before. */
export class Fence {
  readonly #clock: Clock;
  readonly #ask: (id: number, kept: boolean) => void;
  readonly #waiting = new Map<number, () => void>();
  #nextId = 1;

  constructor(clock: Clock, ask: (id: number, kept: boolean) => void) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** Resolves when the other thread has answered, after 2 s at the latest. */
  async pass(): Promise<void> {
    await this.#pass(false, WAIT_MS);
  }

  /** True: what it changed of the list of devices is on the disk too. False: that was not said within 5 s. */
  async kept(): Promise<boolean> {
    return await this.#pass(true, KEPT_WAIT_MS);
  }

  /** The other thread has answered. */
  passed(id: number): void {
    this.#waiting.get(id)?.();
  }

  async #pass(kept: boolean, waitMs: number): Promise<boolean> {
    const id = this.#nextId;
    this.#nextId += 1;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiting.set(id, () => resolve(true));
    using _timer = this.#clock.timer(waitMs, () => resolve(false));
    this.#ask(id, kept);
    const passed = await promise;
    this.#waiting.delete(id);
    return passed;
  }
}

/**
 * The other side: answers a turn of the event loop later, when handlers of messages have done what needs no waiting; where it is asked
 * for, also after `keep`, which must not reject.
 */
export function passFence(
  { id, kept }: Extract<FromDelivery, { readonly type: "fence" }>,
  post: (answer: PassedRequest) => void,
  keep: (() => Promise<void>) | undefined,
): void {
  const answer = (): void => post({ type: "passed", id });
  setImmediate(() => {
    if (kept && keep !== undefined) {
      keep().then(answer, () => undefined);
    } else {
      answer();
    }
  });
}
