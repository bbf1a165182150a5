import type { Clock } from "#sdk/clock";

/** So many records are worth a commit of their own. */
const ENOUGH_RECORDS = 500;

/** Longest time a release waits for its commit. */
const RELEASE_DELAY_MS = 250;

/** Releases alone wait this many times the duration of the last commit, so that they take a fifth of the disk's time. */
const RELEASE_REST = 4;

/** A commit this short needs no rest: a timer takes longer. */
const SHORT_COMMIT_MS = 2;

/**
 * Decides when to commit: what comes together goes together. Calls `commit` never inside `appended` or `released`, but at the end of
 * a turn of the event loop, so that everything that arrived in it shares one commit. Without anything pending there is no timer.
 */
export class GroupCommit implements Disposable {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #commit: () => void;
  #records = 0;
  #released = 0;
  #lastBatchMs = Number.NEGATIVE_INFINITY;
  #lastEndMs = Number.NEGATIVE_INFINITY;
  #lastDurationMs = 0;
  #turnEnd: NodeJS.Immediate | undefined;
  #timer: { readonly dueMs: number; readonly handle: Disposable } | undefined;
  #isDisposed = false;

  /** `intervalMs`: longest time a batch waits that is not urgent. `commit` must call `done` at its end. */
  constructor(clock: Clock, intervalMs: number, commit: () => void) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#commit = commit;
  }

  /** A batch waits for its commit. */
  appended(records: number, isUrgent: boolean): void {
    this.#records += records;
    const nowMs = this.#clock.monotonicMs();
    const isDue = isUrgent || this.#records >= ENOUGH_RECORDS;
    this.#at(isDue ? nowMs : this.#lastBatchMs + this.#intervalMs, nowMs);
  }

  /** Releases wait for their commit. */
  released(records: number): void {
    this.#released += records;
    const nowMs = this.#clock.monotonicMs();
    const restMs =
      this.#lastDurationMs <= SHORT_COMMIT_MS ? 0 : RELEASE_REST * this.#lastDurationMs;
    const restedMs = this.#lastEndMs + restMs;
    const delayedMs = nowMs + RELEASE_DELAY_MS;
    this.#at(this.#released >= ENOUGH_RECORDS ? Math.min(restedMs, delayedMs) : delayedMs, nowMs);
  }

  /** Asks for a commit in `delayMs`, or earlier when something else needs one. */
  within(delayMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    this.#at(nowMs + delayMs, nowMs);
  }

  /** A commit is over, begun at `startMs` of the monotonic clock; nothing is pending any more. */
  done(startMs: number): void {
    this.#cancel();
    const nowMs = this.#clock.monotonicMs();
    this.#lastEndMs = nowMs;
    this.#lastDurationMs = nowMs - startMs;
    if (this.#records > 0) {
      this.#lastBatchMs = nowMs;
    }
    this.#records = 0;
    this.#released = 0;
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#cancel();
  }

  #at(dueMs: number, nowMs: number): void {
    if (this.#isDisposed || this.#turnEnd !== undefined) {
      return;
    }
    if (dueMs <= nowMs) {
      this.#cancel();
      this.#turnEnd = setImmediate(() => {
        this.#turnEnd = undefined;
        this.#commit();
      });
      return;
    }
    if (this.#timer !== undefined && this.#timer.dueMs <= dueMs) {
      return;
    }
    this.#cancel();
    const handle = this.#clock.timer(dueMs - nowMs, () => {
      this.#timer = undefined;
      this.#commit();
    });
    this.#timer = { dueMs, handle };
  }

  #cancel(): void {
    this.#timer?.handle[Symbol.dispose]();
    this.#timer = undefined;
    if (this.#turnEnd !== undefined) {
      clearImmediate(this.#turnEnd);
      this.#turnEnd = undefined;
    }
  }
}
