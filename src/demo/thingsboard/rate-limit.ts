import type { Clock } from "#sdk/clock";
import { DataError } from "#sdk/errors";

/**
 * The rate limits of a tenant profile. Each is a list such as `100:1,2000:60`: at most 100 in one second and 2,000 in
 * 60 seconds. Null or absent: unlimited.
 */
export interface LimitProfile {
  readonly transportTenantMsgRateLimit?: string | null;
  readonly transportTenantTelemetryMsgRateLimit?: string | null;
  readonly transportTenantTelemetryDataPointsRateLimit?: string | null;
  readonly transportDeviceMsgRateLimit?: string | null;
  readonly transportDeviceTelemetryMsgRateLimit?: string | null;
  readonly transportDeviceTelemetryDataPointsRateLimit?: string | null;
  readonly transportGatewayMsgRateLimit?: string | null;
  readonly transportGatewayTelemetryMsgRateLimit?: string | null;
  readonly transportGatewayTelemetryDataPointsRateLimit?: string | null;
  readonly transportGatewayDeviceMsgRateLimit?: string | null;
  readonly transportGatewayDeviceTelemetryMsgRateLimit?: string | null;
  readonly transportGatewayDeviceTelemetryDataPointsRateLimit?: string | null;
}

/** One limit with all its windows. A message passes when every window has tokens left. */
export class TokenBucket {
  readonly #windows: { readonly capacity: number; readonly perMs: number; tokens: number }[];
  readonly #clock: Clock;
  #refilledAtMs: number;

  /** @throws DataError when `limit` is not a list of `capacity:seconds`. */
  constructor(limit: string, clock: Clock) {
    this.#clock = clock;
    this.#refilledAtMs = clock.monotonicMs();
    this.#windows = limit.split(",").map((part) => {
      const [, capacityText, secondsText] = /^\s*(\d+):(\d+)\s*$/.exec(part) ?? [];
      const capacity = Number(capacityText);
      const seconds = Number(secondsText);
      if (!(capacity > 0 && seconds > 0)) {
        throw new DataError(`Cannot read rate limit "${limit}": need capacity:seconds`);
      }
      return { capacity, perMs: capacity / (seconds * 1000), tokens: capacity };
    });
  }

  /** Takes `count` tokens out of every window, or none at all. */
  tryTake(count: number): boolean {
    this.#refill();
    // Half a thousandth of a token covers the rounding of the continuous refill.
    if (this.#windows.some((window) => window.tokens + 0.0005 < count)) {
      return false;
    }
    for (const window of this.#windows) {
      window.tokens -= count;
    }
    return true;
  }

  #refill(): void {
    const nowMs = this.#clock.monotonicMs();
    const passedMs = nowMs - this.#refilledAtMs;
    this.#refilledAtMs = nowMs;
    for (const window of this.#windows) {
      window.tokens = Math.min(window.capacity, window.tokens + passedMs * window.perMs);
    }
  }
}

/** The three limits of one sender. */
export interface LimitTexts {
  readonly messages: string | null;
  readonly telemetryMessages: string | null;
  readonly telemetryDataPoints: string | null;
}

/** The buckets of one sender: regular messages, telemetry messages and data points. */
class SenderLimits {
  readonly #messages: TokenBucket | undefined;
  readonly #telemetryMessages: TokenBucket | undefined;
  readonly #telemetryDataPoints: TokenBucket | undefined;

  constructor(texts: LimitTexts, clock: Clock) {
    this.#messages = bucket(texts.messages, clock);
    this.#telemetryMessages = bucket(texts.telemetryMessages, clock);
    this.#telemetryDataPoints = bucket(texts.telemetryDataPoints, clock);
  }

  tryTake(dataPoints: number): boolean {
    if (dataPoints === 0) {
      return this.#messages?.tryTake(1) ?? true;
    }
    // A message token is spent even when the data points are refused, as on the server.
    return (
      (this.#telemetryMessages?.tryTake(1) ?? true) &&
      (this.#telemetryDataPoints?.tryTake(dataPoints) ?? true)
    );
  }
}

function bucket(text: string | null, clock: Clock): TokenBucket | undefined {
  return text === null || text === "" ? undefined : new TokenBucket(text, clock);
}

/** Who sends: the device itself, or a child of gateway `owner`. */
export interface Sender {
  readonly kind: "device" | "gateway" | "child";
  /** The device, or for a child the gateway it speaks through. */
  readonly owner: object;
}

/** All rate limits of the tenant. */
export class RateLimits {
  readonly #clock: Clock;
  #profile: LimitProfile = {};
  #isLimited = false;
  #tenant: SenderLimits | undefined;
  #senders: Record<Sender["kind"], WeakMap<object, SenderLimits>> = emptySenders();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Replaces the profile; every bucket starts full. @throws DataError for a limit that cannot be read. */
  setProfile(profile: LimitProfile): void {
    for (const text of Object.values(profile)) {
      bucket(text ?? null, this.#clock);
    }
    this.#profile = profile;
    this.#isLimited = Object.values(profile).some((text) => (text ?? "") !== "");
    this.#tenant = new SenderLimits(limitTexts(profile, "Tenant"), this.#clock);
    this.#senders = emptySenders();
  }

  /** Pays for one message with `dataPoints` values (0: a regular message). False: refused. */
  tryTake(sender: Sender, dataPoints: number): boolean {
    if (!this.#isLimited) {
      return true;
    }
    return (
      (this.#tenant?.tryTake(dataPoints) ?? true) && this.#limitsOf(sender).tryTake(dataPoints)
    );
  }

  /** The limits of a kind of sender, as `getSessionLimits` reports them. */
  texts(kind: Sender["kind"]): LimitTexts {
    return limitTexts(this.#profile, PROFILE_PART[kind]);
  }

  #limitsOf(sender: Sender): SenderLimits {
    const known = this.#senders[sender.kind].get(sender.owner);
    if (known !== undefined) {
      return known;
    }
    const limits = new SenderLimits(this.texts(sender.kind), this.#clock);
    this.#senders[sender.kind].set(sender.owner, limits);
    return limits;
  }
}

type ProfilePart = "Tenant" | "Device" | "Gateway" | "GatewayDevice";

/** In the profile "Gateway" names all children of a gateway together and "GatewayDevice" the gateway itself. */
const PROFILE_PART = {
  device: "Device",
  gateway: "GatewayDevice",
  child: "Gateway",
} as const satisfies Record<Sender["kind"], ProfilePart>;

function limitTexts(profile: LimitProfile, part: ProfilePart): LimitTexts {
  return {
    messages: profile[`transport${part}MsgRateLimit`] ?? null,
    telemetryMessages: profile[`transport${part}TelemetryMsgRateLimit`] ?? null,
    telemetryDataPoints: profile[`transport${part}TelemetryDataPointsRateLimit`] ?? null,
  };
}

function emptySenders(): Record<Sender["kind"], WeakMap<object, SenderLimits>> {
  return { device: new WeakMap(), gateway: new WeakMap(), child: new WeakMap() };
}
