/** One token bucket: at most `capacity` tokens, refilled continuously at `capacity` per `seconds`. */
export interface RateWindow {
  readonly capacity: number;
  readonly seconds: number;
}

/** Buckets that must all have tokens; an empty list is no limit. */
export interface RateLimits {
  readonly messages: readonly RateWindow[];
  readonly telemetryMessages: readonly RateWindow[];
  readonly telemetryDataPoints: readonly RateWindow[];
}

/** What the server tells about a session. */
export interface SessionLimits {
  /** Largest MQTT Remaining Length the server reads, in bytes. */
  readonly maxPayloadSize: number;
  /** Messages the server queues for one session. */
  readonly maxInflightMessages: number;
  /** For the gateway's own device. */
  readonly own: RateLimits;
  /** For all devices behind the gateway together. */
  readonly devices: RateLimits;
  /** Whether the answer had limits for the devices behind it, as it has for a gateway. */
  readonly isGateway: boolean;
}

const UNLIMITED: RateLimits = { messages: [], telemetryMessages: [], telemetryDataPoints: [] };

/** What holds until the server says otherwise: ThingsBoard's defaults. */
export const DEFAULT_LIMITS: SessionLimits = {
  maxPayloadSize: 65_536,
  maxInflightMessages: 100,
  own: UNLIMITED,
  devices: UNLIMITED,
  isGateway: true,
};

/** Reads `100:1,2000:60` (also `;` between items, and a trailing separator). Anything else, and `0:0`, is no limit. */
export function parseRateLimit(text: unknown): readonly RateWindow[] {
  if (typeof text !== "string") {
    return [];
  }
  const windows: RateWindow[] = [];
  for (const item of text.split(/[,;]/)) {
    const match = /^\s*(\d+)\s*:\s*(\d+)\s*$/.exec(item);
    const capacity = Number(match?.[1]);
    const seconds = Number(match?.[2]);
    if (capacity > 0 && seconds > 0) {
      windows.push({ capacity, seconds });
    }
  }
  return windows;
}

/**
 * Reads the answer to `getSessionLimits`; `undefined` when it is none (`{"error":"timeout"}` of older servers, or no
 * JSON). A member that is absent, 0 or of another type keeps its default.
 */
export function parseSessionLimits(text: string): SessionLimits | undefined {
  const answer = parseObject(text);
  if (answer === undefined || !("maxPayloadSize" in answer || "rateLimits" in answer)) {
    return undefined;
  }
  return {
    maxPayloadSize: positive(answer["maxPayloadSize"], DEFAULT_LIMITS.maxPayloadSize),
    maxInflightMessages: positive(
      answer["maxInflightMessages"],
      DEFAULT_LIMITS.maxInflightMessages,
    ),
    own: rateLimits(answer["rateLimits"]),
    devices: rateLimits(answer["gatewayRateLimits"]),
    isGateway: isRecord(answer["gatewayRateLimits"]),
  };
}

function rateLimits(value: unknown): RateLimits {
  if (!isRecord(value)) {
    return UNLIMITED;
  }
  return {
    messages: parseRateLimit(value["messages"]),
    telemetryMessages: parseRateLimit(value["telemetryMessages"]),
    telemetryDataPoints: parseRateLimit(value["telemetryDataPoints"]),
  };
}

function positive(value: unknown, fallback: number): number {
  return typeof value === "number" && Number.isFinite(value) && value >= 1
    ? Math.floor(value)
    : fallback;
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isRecord(value) ? value : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
