/** A number of places; who finds none free waits in line. */
export class Slots {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(count: number) {
    this.#free = count;
  }

  /** Resolves with a place, to be disposed. @throws the reason of `signal` when it aborts before there is one */
  async take(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
      return this.#place();
    }
    const { promise, resolve, reject } = Promise.withResolvers<Disposable>();
    const onAbort = (): void => {
      this.#waiting.delete(hand);
      reject(signal.reason);
    };
    const hand = (): void => {
      signal.removeEventListener("abort", onAbort);
      resolve(this.#place());
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiting.add(hand);
    return await promise;
  }

  #place(): Disposable {
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (isHeld) {
          isHeld = false;
          this.#pass();
        }
      },
    };
  }

  /** A place is free: it goes to the one who has waited longest. */
  #pass(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free += 1;
    } else {
      this.#waiting.delete(next);
      next();
    }
  }
}
