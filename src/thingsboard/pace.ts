import { collectGarbage } from "#platform/memory";
import type { Alarm } from "#sdk/alarm";
import { backoffMs } from "#sdk/backoff";
import type { Clock } from "#sdk/clock";
import { AdaptiveWindow } from "./adaptive-window.ts";
import { costOf, isOwnPiece, type Piece } from "./piece.ts";
import type { Meter } from "./rate-limit.ts";
import type { Session } from "./session.ts";

/** A connection that ends within this time after the platform said that the rate is too high ends for that reason. */
const BLAME_MS = 5000;

/**
 * Payload after which the garbage of a running backlog is collected. Measured while 3.6 million values drained: without it the
 * process grew by 118 MB, with 4 MiB by 73 MB, with this by 37 MB at two thirds of the speed, which is ten times what is needed.
 */
const COLLECT_EVERY_BYTES = 512 * 1024;

/** What a pace needs. */
export interface PaceHost {
  readonly session: Session;
  readonly clock: Clock;
  readonly alarm: Alarm;
}

/** How fast data goes out: pays the rate limits, pauses when the platform asks for it, and sizes the window. */
export class Pace {
  readonly #host: PaceHost;
  readonly #adaptive = new AdaptiveWindow();
  #throttles = 0;
  #throttledUntilMs = 0;
  #sinceCollected = 0;

  constructor(host: PaceHost) {
    this.#host = host;
  }

  /** Data publishes to keep in flight at this moment. */
  get size(): number {
    return Math.min(this.#adaptive.size, this.#host.session.window);
  }

  /** Whether the platform has asked for a pause that is not over. */
  get isThrottled(): boolean {
    return this.#throttledUntilMs > this.#host.clock.monotonicMs();
  }

  /** As `isThrottled`; asks for a wake-up when it is so. */
  get mustWait(): boolean {
    if (this.isThrottled) {
      this.#host.alarm.at(this.#throttledUntilMs);
      return true;
    }
    return false;
  }

  /** The platform has just said that the rate is too high: when it closes, it is for that reason. */
  get wasTooFast(): boolean {
    const { clock, session } = this.#host;
    const { own, devices } = session.rates;
    const refusedAtMs = Math.max(own.refusedAtMs, devices.refusedAtMs);
    return clock.monotonicMs() - refusedAtMs <= BLAME_MS;
  }

  /** A publish goes out. */
  sent(piece: Piece, payloadBytes: number): void {
    this.#meter(piece).take(costOf(piece));
    this.#sinceCollected += payloadBytes;
    if (this.#sinceCollected >= COLLECT_EVERY_BYTES) {
      this.#sinceCollected = 0;
      collectGarbage();
    }
  }

  /** A publish was taken after `rttMs`; `wasFull`: nothing more could be sent when its PUBACK came. */
  accepted(piece: Piece, rttMs: number, wasFull: boolean): void {
    this.#throttles = 0;
    this.#adaptive.acknowledged(rttMs, wasFull);
    this.#meter(piece).accepted();
  }

  /** A publish was refused for the rate: all data pauses. */
  refused(piece: Piece): void {
    this.#throttles += 1;
    this.#throttledUntilMs =
      this.#host.clock.monotonicMs() + backoffMs(this.#throttles, Math.random());
    this.#adaptive.shrink();
    this.#meter(piece).refused();
    this.#meter(piece).suspectSize(costOf(piece));
  }

  /** A publish has no PUBACK in time. */
  overdue(): void {
    this.#adaptive.shrink();
  }

  /** The connection has ended, and these publishes with it. */
  closed(lost: readonly Piece[]): void {
    this.#adaptive.reset();
    if (this.wasTooFast) {
      for (const piece of lost) {
        this.#meter(piece).suspectSize(costOf(piece));
      }
    }
  }

  #meter(piece: Piece): Meter {
    const { own, devices } = this.#host.session.rates;
    return isOwnPiece(piece) ? own : devices;
  }
}
