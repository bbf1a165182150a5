/** Publishes in flight at first, the least after trouble, and the most: 32 full payloads are all that is read ahead. */
const START = 16;
const LEAST = 2;

/** The largest size; more would not be in memory anyway. */
export const MAX_WINDOW = 32;

/** A round trip this many times the shortest one means that publishes wait in a queue on the way. */
const QUEUEING_FACTOR = 4;

/** Below this a round trip says nothing about queues: it is the noise of both machines. In milliseconds. */
const NOISE_MS = 20;

/**
 * How many data publishes to keep in flight: one more for each window that was used in full and acknowledged at a flat round
 * trip, one less for each while round trips grow, half after a refusal for the rate or an overdue PUBACK.
 */
export class AdaptiveWindow {
  #size = START;
  #shortestMs = Number.POSITIVE_INFINITY;
  #fullAcks = 0;
  #slowAcks = 0;

  get size(): number {
    return this.#size;
  }

  /** A PUBACK came after `rttMs`; `wasFull`: nothing more could be sent when it came. */
  acknowledged(rttMs: number, wasFull: boolean): void {
    this.#shortestMs = Math.min(this.#shortestMs, rttMs);
    const isSlow = rttMs > Math.max(NOISE_MS, this.#shortestMs * QUEUEING_FACTOR);
    this.#slowAcks += isSlow ? 1 : 0;
    this.#fullAcks += wasFull && !isSlow ? 1 : 0;
    if (this.#slowAcks >= this.#size) {
      this.#resize(Math.max(Math.min(START, this.#size), this.#size - 1));
    } else if (this.#fullAcks >= this.#size) {
      this.#resize(Math.min(MAX_WINDOW, this.#size + 1));
    }
  }

  /** The platform refused for the rate, or did not acknowledge in time. */
  shrink(): void {
    this.#resize(Math.max(LEAST, Math.floor(this.#size / 2)));
  }

  /** A connection has begun: another way may have another round trip. */
  reset(): void {
    this.#shortestMs = Number.POSITIVE_INFINITY;
  }

  #resize(size: number): void {
    this.#size = size;
    this.#fullAcks = 0;
    this.#slowAcks = 0;
  }
}
