import { DataError } from "./errors.ts";

/** Milliseconds since 1970-01-01 UTC, an integer. The brand keeps seconds and durations out; `epochMs` makes one. */
export type EpochMs = number & { readonly __unit: "EpochMs" };

/** Cuts off a fraction. @throws DataError when `value` is not finite. */
export function epochMs(value: number): EpochMs {
  if (!Number.isFinite(value)) {
    throw new DataError(`Cannot take ${value} as a time: milliseconds since 1970 must be finite`, {
      reason: "bad-timestamp",
    });
  }
  // The only place that makes the brand; the line above is its proof.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  return Math.trunc(value) as EpochMs;
}

/**
 * A number to be stored as DOUBLE. Sent as the shortest text that reads back the same, in plain decimal with
 * 1 to 16 fraction digits (rounded half-even beyond), never with an exponent: `new Float(25)` → `25.0`.
 */
export class Float {
  /** Makes the class nominal: a `{ value }` object is no Float. */
  readonly #value: number;
  readonly #text: string | undefined;

  /** `text` is the spelling the value was read from; it changes nothing in what is sent. */
  constructor(value: number, text?: string) {
    this.#value = value;
    this.#text = text;
  }

  /** Reads a JSON number and keeps its spelling. The caller has checked that `text` is one; anything else is NaN. */
  static fromText(text: string): Float {
    return new Float(Number(text), text);
  }

  get value(): number {
    return this.#value;
  }

  /** The spelling in the source, such as `21.0` or `1e3`; `undefined` for a computed value. Used where a number becomes text. */
  get text(): string | undefined {
    return this.#text;
  }
}

/**
 * A `number` that is a safe integer is sent bare (LONG), any other as a `Float`; a `bigint` with all its digits,
 * outside signed 64 bit as a JSON string. `null`, NaN and ±Infinity are no value.
 */
export type Json =
  | null
  | boolean
  | number
  | bigint
  | string
  | Float
  | readonly Json[]
  | { readonly [key: string]: Json };

/** Values of one moment by key. */
export type Values = Readonly<Record<string, Json>>;

/**
 * When a value goes up. `reportPeriod` in ms and `ttl` in s, as in the configuration files. What is absent is taken from the
 * level above: key, device, connector, gateway.
 */
export interface ReportStrategy {
  readonly type?:
    | "ON_RECEIVED"
    | "ON_CHANGE"
    | "ON_REPORT_PERIOD"
    | "ON_CHANGE_OR_REPORT_PERIOD"
    | "DISABLED";
  readonly reportPeriod?: number;
  readonly ttl?: number;
}

/** The values of a device at one moment. `ts` absent: the moment the data arrived. */
export interface TelemetryEntry {
  readonly ts?: EpochMs;
  readonly values: Values;
}

/** What one device said at one or several moments. At least one value in all. */
export interface DeviceData {
  /** Local name, 1 to 255 characters. A rename on the platform never shows here. */
  readonly deviceName: string;
  /** Device profile, used when the platform creates the device. Default: the type given to `devices.connect`, else "default". */
  readonly deviceType?: string;
  /** Client-side attributes. */
  readonly attributes?: Values;
  readonly telemetry?: readonly TelemetryEntry[];
  /**
   * When the data arrived: the `ts` of every entry without one. Default: the moment of `accept`. Stamps given this way
   * are made strictly increasing per key (+1 ms); a `ts` of the source or server passes unchanged.
   */
  readonly receivedTs?: EpochMs;
  /** Device-level strategy; one for a key goes before it. */
  readonly strategy?: ReportStrategy;
  readonly keyStrategies?: Readonly<Record<string, ReportStrategy>>;
}

/** An RPC from the platform. `deviceName` is absent for an RPC to the connector; `method` has lost its `<type>_` prefix there. */
export interface RpcRequest {
  readonly deviceName?: string;
  /** Counted per device by the platform: 0 is valid, and ids repeat. */
  readonly id: number;
  readonly method: string;
  readonly params: Json;
  /** Time left for the answer when the call is made; the `signal` of the handler aborts then. */
  readonly timeoutMs: number;
}

/** Shared attributes that changed. Pending updates of a slow device merge: the newest value of each key. */
export interface AttributeUpdate {
  readonly deviceName: string;
  readonly values: Values;
  readonly removed: readonly string[];
}

/** Whether `value` is a JSON object (no array, no Float, not null). */
export function isJsonObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Float)
  );
}
