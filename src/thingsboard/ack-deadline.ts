/** Shortest wait for a PUBACK, and the longer ones after each expiry; the last is the cap. All in milliseconds. */
const STEPS_MS = [10_000, 20_000, 25_000] as const;

const CAP_MS = 25_000;

/** A round trip as long as this means a slow line: less is kept in flight, so that one publish need not wait for many. */
const SLOW_RTT_MS = 2000;
const VERY_SLOW_RTT_MS = 5000;

/** Part of the newest sample in the smoothed round trip, as in RFC 6298 §2. */
const SMOOTHING = 1 / 8;

/**
 * How long to wait for a PUBACK and how much to keep in flight meanwhile. Three round trips, at least 10 s; after an expiry 20 s,
 * then 25 s with a window of one, until the next PUBACK. It outlives a connection: a slow line stays slow.
 */
export class AckDeadline {
  #step = 0;
  #rttMs: number | undefined;

  /** Smoothed time from publish to PUBACK; `undefined` before the first. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** Milliseconds from a publish to the moment its PUBACK is overdue. */
  get waitMs(): number {
    const step = STEPS_MS[Math.min(this.#step, STEPS_MS.length - 1)] ?? CAP_MS;
    return Math.min(CAP_MS, Math.max(step, 3 * (this.#rttMs ?? 0)));
  }

  /** Publishes that may be in flight when the link allows `limit`. */
  window(limit: number): number {
    if (this.#step > 0 || (this.#rttMs ?? 0) > VERY_SLOW_RTT_MS) {
      return 1;
    }
    return (this.#rttMs ?? 0) > SLOW_RTT_MS ? Math.min(limit, 4) : limit;
  }

  /** A PUBACK came; `rttMs` when its round trip tells about the line. */
  acknowledged(rttMs: number | undefined): void {
    this.#step = 0;
    if (rttMs === undefined) {
      return;
    }
    this.#rttMs =
      this.#rttMs === undefined ? rttMs : this.#rttMs + SMOOTHING * (rttMs - this.#rttMs);
  }

  expired(): void {
    this.#step += 1;
  }
}
