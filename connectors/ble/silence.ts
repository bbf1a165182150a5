import type { Clock } from "#sdk/clock";

const FIRST_LIMIT_MS = 60_000;
const LAST_LIMIT_MS = 600_000;

/**
 * Notices that nobody at all is heard for a minute though somebody listens: a controller that has lost its power for a moment neither
 * listens any more nor says so. Where there is nobody to be heard the limit doubles each time, up to ten minutes.
 */
export class Silence {
  readonly #clock: Clock;
  #limitMs = FIRST_LIMIT_MS;
  #sinceMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.monotonicMs();
  }

  /** Whether it is the first one since somebody was heard. */
  get isFirst(): boolean {
    return this.#limitMs === FIRST_LIMIT_MS;
  }

  /** Somebody was heard, of interest or not. Whether the limit has become shorter by it. */
  heard(): boolean {
    const isShorter = !this.isFirst;
    this.#sinceMs = this.#clock.monotonicMs();
    this.#limitMs = FIRST_LIMIT_MS;
    return isShorter;
  }

  /** How long it may last still. `undefined`: nobody listens, or a link is open, which tells more. */
  leftMs(isListening: boolean): number | undefined {
    const nowMs = this.#clock.monotonicMs();
    if (!isListening) {
      this.#sinceMs = nowMs;
      return undefined;
    }
    return Math.max(0, this.#sinceMs + this.#limitMs - nowMs);
  }

  /** What could be done about it was done. */
  again(): void {
    this.#sinceMs = this.#clock.monotonicMs();
    this.#limitMs = Math.min(2 * this.#limitMs, LAST_LIMIT_MS);
  }
}
