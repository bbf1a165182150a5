/** What the delivery thread looks like at one moment. */
export interface Progress {
  readonly nowMs: number;
  /** Values waiting in the store. */
  readonly queued: number;
  /** Values acknowledged since ever, as the store has them. */
  readonly acknowledged: number;
  /** Monotonic milliseconds of the last PUBACK that took data, which the store may have yet to confirm; `undefined`: none yet. */
  readonly lastAckMs: number | undefined;
  /** The link is up: whatever waits could be sent. */
  readonly connected: boolean;
  /** No acknowledgement is to be expected, because of a rate limit, a pause or a refusal of the platform, or a disk that is behind. */
  readonly paused: boolean;
}

/** What to do about a delivery that makes no progress, from mild to harsh. */
export type WatchdogStep = "reconnect" | "rebuild" | "restart";

/** Each step gets this long to help. */
export const STALL_MS = 60_000;

const STEPS: readonly WatchdogStep[] = ["reconnect", "rebuild", "restart"];

/**
 * Notices that values wait, the link is up and still nothing is acknowledged: whatever the reason, the links of the chain
 * are renewed one after another. A link that is down is the session's business, not a stall.
 */
export class ProgressWatchdog {
  #acknowledged = -1;
  #lastAckMs = Number.NEGATIVE_INFINITY;
  #sinceMs: number | undefined;
  #nextStep = 0;

  /** Call it now and then; gives the step that is due, at most one a minute. */
  check(progress: Progress): WatchdogStep | undefined {
    const { lastAckMs = this.#lastAckMs } = progress;
    const moved = progress.acknowledged !== this.#acknowledged || lastAckMs > this.#lastAckMs;
    this.#acknowledged = progress.acknowledged;
    this.#lastAckMs = lastAckMs;
    if (moved || progress.queued === 0) {
      this.#sinceMs = undefined;
      this.#nextStep = 0;
      return undefined;
    }
    if (!progress.connected || progress.paused) {
      this.#sinceMs = undefined;
      return undefined;
    }
    this.#sinceMs ??= progress.nowMs;
    if (progress.nowMs - this.#sinceMs < STALL_MS) {
      return undefined;
    }
    this.#sinceMs = undefined;
    const step = STEPS[this.#nextStep];
    this.#nextStep = (this.#nextStep + 1) % STEPS.length;
    return step;
  }
}
