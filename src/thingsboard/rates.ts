import type { Clock } from "#sdk/clock";
import { parseRateLimit, type RateLimits, type SessionLimits } from "./limits.ts";
import { Meter } from "./rate-limit.ts";
import type { LimitTexts, RateSettings } from "./settings.ts";
import { GATEWAY_DISCONNECT, isDataTopic, isGatewayTopic } from "./topics.ts";

/** Regular messages of the own device that opening a session costs: the session itself and two subscriptions that count. */
const SESSION_COST = 3;

/** What is not urgent leaves the limits alone unless they allow this many of its kind. */
const PLENTY = 4;

/** Reason in a `v1/gateway/disconnect` notice: message rate too high. */
const RATE_TOO_HIGH = 150;

/** Calls from the platform, each of which costs the status report that follows. */
const RPC_REQUEST = /^v1\/(?:gateway\/rpc|devices\/me\/rpc\/request\/)/;

const NO_LIMITS: LimitTexts = { messages: "", telemetryMessages: "", telemetryDataPoints: "" };
const DEFAULT_RATES: RateSettings = {
  percentage: 80,
  initial: { own: NO_LIMITS, devices: NO_LIMITS },
  bounds: { own: NO_LIMITS, devices: NO_LIMITS },
};

/** Keeps the gateway below the platform's rate limits: what may go out, and when. It outlives a connection, as the limits do. */
export class Rates {
  readonly own: Meter;
  readonly devices: Meter;
  readonly #bounds: RateSettings["bounds"];

  constructor(clock: Clock, settings: RateSettings = DEFAULT_RATES) {
    const share = Math.min(100, Math.max(1, settings.percentage)) / 100;
    this.own = new Meter(clock, share);
    this.devices = new Meter(clock, share);
    this.#bounds = settings.bounds;
    this.own.set(toLimits(settings.initial.own));
    this.devices.set(toLimits(settings.initial.devices));
  }

  /** Takes over what the server says; what a person has configured stays an upper bound. */
  learn(limits: SessionLimits): void {
    this.own.set(both(limits.own, toLimits(this.#bounds.own)));
    this.devices.set(both(limits.devices, toLimits(this.#bounds.devices)));
  }

  /** A session has been opened and has subscribed. */
  sessionOpened(): void {
    this.own.regular.take(SESSION_COST);
  }

  /** A message of the platform has come in: a call costs a token, a notice may say that the rate is too high. */
  received(topic: string, payload: Uint8Array): void {
    if (RPC_REQUEST.test(topic)) {
      this.#meter(topic).regular.take(1);
    } else if (topic === GATEWAY_DISCONNECT && reasonIn(payload) === RATE_TOO_HIGH) {
      this.devices.refused();
    }
  }

  /** Milliseconds until a message of others than the sender may go out; 0: at this moment. */
  delayMs(topic: string, payload: string | Uint8Array): number {
    const meter = this.#meter(topic);
    return isDataTopic(topic)
      ? meter.delayMs({ messages: 1, points: pointsIn(payload) })
      : meter.regular.delayMs(1);
  }

  /** Whether the limits would allow several such messages at this moment; full windows are enough for one that fits into them. */
  hasPlentyFor(topic: string, payload: string | Uint8Array): boolean {
    const meter = this.#meter(topic);
    if (!isDataTopic(topic)) {
      return meter.regular.delayMs(PLENTY) === 0;
    }
    const points = pointsIn(payload);
    const fits = points <= meter.largest.points;
    return fits && meter.delayMs({ messages: PLENTY, points: PLENTY * points }) === 0;
  }

  /** Pays for such a message. */
  take(topic: string, payload: string | Uint8Array): void {
    const meter = this.#meter(topic);
    if (isDataTopic(topic)) {
      meter.take({ messages: 1, points: pointsIn(payload) });
    } else {
      meter.regular.take(1);
    }
  }

  #meter(topic: string): Meter {
    return isGatewayTopic(topic) ? this.devices : this.own;
  }
}

function toLimits(texts: LimitTexts): RateLimits {
  return {
    messages: parseRateLimit(texts.messages),
    telemetryMessages: parseRateLimit(texts.telemetryMessages),
    telemetryDataPoints: parseRateLimit(texts.telemetryDataPoints),
  };
}

/** Both limits at once: a token is needed in every window of either. */
function both(one: RateLimits, other: RateLimits): RateLimits {
  return {
    messages: [...one.messages, ...other.messages],
    telemetryMessages: [...one.telemetryMessages, ...other.telemetryMessages],
    telemetryDataPoints: [...one.telemetryDataPoints, ...other.telemetryDataPoints],
  };
}

/** Members in a JSON text, at least 1: never fewer than the values the server will count. */
function pointsIn(payload: string | Uint8Array): number {
  const text = typeof payload === "string" ? payload : new TextDecoder().decode(payload);
  return Math.max(1, text.split('":').length - 1);
}

function reasonIn(payload: Uint8Array): number {
  const [, reason] = /"reason"\s*:\s*(\d+)/.exec(new TextDecoder().decode(payload)) ?? [];
  return Number(reason);
}
