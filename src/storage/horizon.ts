/** The rate of growth is taken over this long. */
const WINDOW_MS = 5 * 60_000;

/** A point of the curve is kept this often. */
const STEP_MS = 10_000;

/** A shorter time says nothing about the rate. */
const MIN_SPAN_MS = 10_000;

/** Estimates how long the free part of the quota lasts at the present rate of growth. */
export class Horizon {
  readonly #points: { readonly atMs: number; readonly used: number }[] = [];

  /** `used`: share of the quota in use, from 0; `nowMs` of the monotonic clock. */
  add(nowMs: number, used: number): void {
    const last = this.#points.at(-1);
    if (last !== undefined && nowMs - last.atMs < STEP_MS) {
      return;
    }
    this.#points.push({ atMs: nowMs, used });
    while ((this.#points[0]?.atMs ?? nowMs) < nowMs - WINDOW_MS) {
      this.#points.shift();
    }
  }

  /** Milliseconds until the quota is reached; `undefined` while the store does not grow or too little is known. */
  estimate(nowMs: number, used: number): number | undefined {
    const first = this.#points.find(({ atMs }) => atMs >= nowMs - WINDOW_MS);
    if (first === undefined || nowMs - first.atMs < MIN_SPAN_MS || used <= first.used) {
      return undefined;
    }
    const perMs = (used - first.used) / (nowMs - first.atMs);
    return Math.round(Math.max(0, 1 - used) / perMs);
  }
}
