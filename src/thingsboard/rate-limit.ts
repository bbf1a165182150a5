import type { Clock } from "#sdk/clock";
import type { RateLimits, RateWindow } from "./limits.ts";

/** Tokens that gather for this long are spent together, so that a tight limit does not cost a publish for each value. */
const GATHER_S = 0.1;

/** Covers the rounding of a continuous refill. */
const ROUNDING = 1e-6;

/** One token bucket of a limit, with the share of it that is used. */
interface Bucket {
  /** Of the limit itself, by which the buckets are told apart when the limits change. */
  readonly seconds: number;
  readonly capacity: number;
  readonly perMs: number;
  /** With fewer tokens than this the bucket counts as empty. */
  readonly least: number;
  tokens: number;
}

/**
 * One limit with all its windows: what is spent must be there in each of them. Tokens may go below zero: what has to be sent
 * is sent, and everything after it waits.
 */
export class RateLimiter {
  readonly #clock: Clock;
  readonly #share: number;
  /** Shortest window first. */
  #buckets: readonly Bucket[] = [];
  #refilledAtMs: number;

  /** `share`: the part of every limit that is used, above 0 and up to 1. Without windows nothing is limited. */
  constructor(clock: Clock, share: number) {
    this.#clock = clock;
    this.#share = share;
    this.#refilledAtMs = clock.monotonicMs();
  }

  get isLimited(): boolean {
    return this.#buckets.length > 0;
  }

  /** The most that can ever be spent at once; at least 1. */
  get capacity(): number {
    return this.#buckets.reduce(
      (least, bucket) => Math.min(least, bucket.capacity),
      Number.POSITIVE_INFINITY,
    );
  }

  /** Tokens a second that the tightest window gives in the long run. */
  get perSecond(): number {
    return this.#buckets.reduce(
      (least, bucket) => Math.min(least, bucket.perMs * 1000),
      Number.POSITIVE_INFINITY,
    );
  }

  /** Whole tokens that may be spent at this moment; 0 while they gather. */
  get available(): number {
    this.#refill();
    let available = Number.POSITIVE_INFINITY;
    for (const { tokens, least } of this.#buckets) {
      available = tokens + ROUNDING < least ? 0 : Math.min(available, tokens + ROUNDING);
    }
    return Math.max(0, Math.floor(available));
  }

  /** Replaces the windows. What was spent in a window stays spent when there is one of the same length. */
  set(windows: readonly RateWindow[]): void {
    this.#refill();
    const before = this.#buckets;
    this.#buckets = windows
      .map(({ capacity: count, seconds }) => {
        const capacity = Math.max(1, Math.floor(count * this.#share));
        const perMs = (count * this.#share) / (seconds * 1000);
        const least = Math.min(capacity, Math.max(1, Math.floor(perMs * 1000 * GATHER_S)));
        const like = before.find((bucket) => bucket.seconds === seconds);
        const spent = like === undefined ? 0 : like.capacity - like.tokens;
        return { seconds, capacity, perMs, least, tokens: capacity - spent };
      })
      .toSorted((a, b) => a.seconds - b.seconds);
  }

  /** Milliseconds until `count` tokens (at most `capacity` of them) may be spent; 0 when they may at this moment. */
  delayMs(count: number): number {
    this.#refill();
    let delayMs = 0;
    for (const { capacity, least, perMs, tokens } of this.#buckets) {
      const missing = Math.max(least, Math.min(count, capacity)) - tokens - ROUNDING;
      delayMs = Math.max(delayMs, missing <= 0 ? 0 : Math.ceil(missing / perMs));
    }
    return delayMs;
  }

  /** Spends tokens, also those that are not there. */
  take(count: number): void {
    this.#refill();
    for (const bucket of this.#buckets) {
      bucket.tokens -= count;
    }
  }

  /** The server has fewer tokens than this side believes: empties the `count` shortest windows. */
  exhaust(count: number): void {
    this.#refill();
    for (const bucket of this.#buckets.slice(0, count)) {
      bucket.tokens = Math.min(0, bucket.tokens);
    }
  }

  #refill(): void {
    const nowMs = this.#clock.monotonicMs();
    const passedMs = nowMs - this.#refilledAtMs;
    this.#refilledAtMs = nowMs;
    for (const bucket of this.#buckets) {
      bucket.tokens = Math.min(bucket.capacity, bucket.tokens + passedMs * bucket.perMs);
    }
  }
}

/** What a data publish costs: one message for each device in it, and its values. */
export interface Cost {
  readonly messages: number;
  readonly points: number;
}

/** From so many refusals in a row on, a refused publish may be larger than a bucket that the platform does not tell of. */
const TOO_LARGE_AFTER = 3;

/** The limits of one sender: the gateway's own device, or all devices behind it together. */
export class Meter {
  readonly regular: RateLimiter;
  readonly #messages: RateLimiter;
  readonly #points: RateLimiter;
  readonly #clock: Clock;
  #refusals = 0;
  #refusedAtMs = Number.NEGATIVE_INFINITY;
  /** The most that one publish may cost by experience; grows again with each publish that is taken. */
  #ceiling: Cost = { messages: Number.POSITIVE_INFINITY, points: Number.POSITIVE_INFINITY };

  constructor(clock: Clock, share: number) {
    this.#clock = clock;
    this.regular = new RateLimiter(clock, share);
    this.#messages = new RateLimiter(clock, share);
    this.#points = new RateLimiter(clock, share);
  }

  /** The most one data publish may ever cost. */
  get largest(): Cost {
    return smaller(this.#ceiling, {
      messages: this.#messages.capacity,
      points: this.#points.capacity,
    });
  }

  /** What a data publish may cost at this moment; both 0 or more, `Infinity` without a limit. */
  get available(): Cost {
    return smaller(this.#ceiling, {
      messages: this.#messages.available,
      points: this.#points.available,
    });
  }

  /** Monotonic milliseconds of the last refusal for the rate; minus infinity when there was none. */
  get refusedAtMs(): number {
    return this.#refusedAtMs;
  }

  /** Replaces the limits; tokens already spent stay spent. */
  set(limits: RateLimits): void {
    this.regular.set(limits.messages);
    this.#messages.set(limits.telemetryMessages);
    this.#points.set(limits.telemetryDataPoints);
  }

  /** Milliseconds until a data publish of that cost may go out; 0 when it may at this moment. */
  delayMs(cost: Cost): number {
    return Math.max(this.#messages.delayMs(cost.messages), this.#points.delayMs(cost.points));
  }

  take(cost: Cost): void {
    this.#messages.take(cost.messages);
    this.#points.take(cost.points);
  }

  /** The platform took something: its buckets are as full as ours. */
  accepted(): void {
    const { messages, points } = this.#ceiling;
    this.#refusals = 0;
    this.#ceiling = { messages: messages + 1, points: points + 1 };
  }

  /**
   * A publish of that cost was refused for the rate. When nothing has passed for a while it may be more than a bucket holds,
   * and then it can never pass: the next ones are half as large.
   */
  suspectSize(cost: Cost): void {
    if (this.#refusals >= TOO_LARGE_AFTER) {
      this.#ceiling = {
        messages: Math.max(1, Math.floor(cost.messages / 2)),
        points: Math.max(1, Math.floor(cost.points / 2)),
      };
    }
  }

  /** The platform refused for the rate: the shortest window is empty, after repeated refusals the longer ones too. */
  refused(): void {
    this.#refusals += 1;
    this.#refusedAtMs = this.#clock.monotonicMs();
    for (const limiter of [this.regular, this.#messages, this.#points]) {
      limiter.exhaust(this.#refusals);
    }
  }
}

function smaller(one: Cost, other: Cost): Cost {
  return {
    messages: Math.min(one.messages, other.messages),
    points: Math.min(one.points, other.points),
  };
}
