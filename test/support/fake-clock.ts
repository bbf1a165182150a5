import type { Clock } from "../../src/sdk/clock.ts";
import { TransientError } from "../../src/sdk/errors.ts";
import { type EpochMs, epochMs } from "../../src/sdk/model.ts";

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** A clock that stands still until `advance`; timers fire in the order they are due. */
export class FakeClock implements Clock {
  #nowMs: number;
  #monotonicMs = 0;
  readonly #timers = new Set<Timer>();

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs;
  }

  now(): EpochMs {
    return epochMs(this.#nowMs);
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  /** How many timers wait: sleeping, deadlines and timers together. */
  get waiting(): number {
    return this.#timers.size;
  }

  sleep(durationMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) {
      return Promise.reject(signal.reason);
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = this.#add(durationMs, resolve);
    signal.addEventListener(
      "abort",
      () => {
        this.#timers.delete(timer);
        reject(signal.reason);
      },
      { once: true },
    );
    return promise;
  }

  deadline(durationMs: number, signal: AbortSignal): AbortSignal {
    const controller = new AbortController();
    const timer = this.#add(durationMs, () =>
      controller.abort(new TransientError(`No result within ${durationMs} ms`)),
    );
    const onAbort = (): void => {
      this.#timers.delete(timer);
      controller.abort(signal.reason);
    };
    if (signal.aborted) {
      onAbort();
    } else {
      signal.addEventListener("abort", onAbort, { once: true });
    }
    return controller.signal;
  }

  timer(durationMs: number, callback: () => void): Disposable {
    const timer = this.#add(durationMs, callback);
    return { [Symbol.dispose]: () => this.#timers.delete(timer) };
  }

  /** Lets `durationMs` pass: fires what is due, and lets the promises it settled run in between. */
  async advance(durationMs: number): Promise<void> {
    const endMs = this.#monotonicMs + durationMs;
    await settled();
    for (let next = this.#earliest(endMs); next !== undefined; next = this.#earliest(endMs)) {
      this.#moveTo(next.dueMs);
      this.#timers.delete(next);
      next.callback();
      await settled();
    }
    this.#moveTo(endMs);
    await settled();
  }

  #add(durationMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.#monotonicMs + Math.max(0, durationMs), callback };
    this.#timers.add(timer);
    return timer;
  }

  #earliest(endMs: number): Timer | undefined {
    let earliest: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs <= endMs && (earliest === undefined || timer.dueMs < earliest.dueMs)) {
        earliest = timer;
      }
    }
    return earliest;
  }

  #moveTo(monotonicMs: number): void {
    this.#nowMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }
}

/** Resolves when the promises that are ready have run. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) {
    const { promise, resolve } = Promise.withResolvers<void>();
    setImmediate(resolve);
    await promise;
  }
}
