import { TransientError } from "./errors.ts";
import { type EpochMs, epochMs } from "./model.ts";

/** The only source of time. Everything takes one, so that a test can drive it. */
export interface Clock {
  /** Wall clock: for timestamps only, it may jump. */
  now(): EpochMs;
  /** For durations and due times; never goes back. */
  monotonicMs(): number;
  /** Resolves after `durationMs`. Rejects with `signal.reason`. */
  sleep(durationMs: number, signal: AbortSignal): Promise<void>;
  /** Aborts with `signal`, or with a TransientError after `durationMs`. Use it instead of `AbortSignal.timeout`. */
  deadline(durationMs: number, signal: AbortSignal): AbortSignal;
  /** Calls `callback` once after `durationMs`. Disposing the timer before that cancels it. */
  timer(durationMs: number, callback: () => void): Disposable;
}

/** Longest delay the run time keeps in one timer; a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The clock of the operating system. */
export const systemClock: Clock = {
  now: () => epochMs(Date.now()),
  monotonicMs: () => performance.now(),
  sleep: (durationMs, signal) => {
    if (signal.aborted) {
      return Promise.reject(signal.reason);
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = (): void => {
      clearTimeout(handle);
      reject(signal.reason);
    };
    const handle = setTimeout(
      () => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      },
      Math.min(durationMs, MAX_TIMER_MS),
    );
    signal.addEventListener("abort", onAbort, { once: true });
    return promise;
  },
  deadline: (durationMs, signal) => {
    if (signal.aborted) {
      return signal;
    }
    const controller = new AbortController();
    const onAbort = (): void => {
      clearTimeout(handle);
      controller.abort(signal.reason);
    };
    const handle = setTimeout(
      () => {
        signal.removeEventListener("abort", onAbort);
        controller.abort(new TransientError(`No result within ${durationMs} ms`));
      },
      Math.min(durationMs, MAX_TIMER_MS),
    );
    // A deadline nobody waits for any more must not keep the process alive.
    handle.unref();
    signal.addEventListener("abort", onAbort, { once: true });
    return controller.signal;
  },
  timer: (durationMs, callback) => {
    const handle = setTimeout(callback, Math.min(durationMs, MAX_TIMER_MS));
    return { [Symbol.dispose]: () => clearTimeout(handle) };
  },
};
