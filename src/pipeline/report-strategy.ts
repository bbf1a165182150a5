import { encodeValue } from "#sdk/encode";
import { EncodedJson } from "#sdk/encoded";
import { readJson } from "#sdk/json-reader";
import { Float, type Json, type ReportStrategy } from "#sdk/model";

/** A strategy with everything that levels above had to add. */
export type Strategy = Required<ReportStrategy>;

/** What applies where nobody says otherwise. */
export const DEFAULT_STRATEGY: Strategy = {
  type: "ON_RECEIVED",
  reportPeriod: 10_000,
  ttl: 86_400,
};

/**
 * What is compared and kept of a value: a number by its value, whether it is sent as LONG or DOUBLE; text, arrays and
 * objects as their JSON text.
 */
export type Remembered = number | bigint | boolean | string;

/** What becomes of a sample: it goes up, it is left out, or it waits for the end of the period. */
export type Verdict = "send" | "drop" | "hold";

/** What is known of a key. */
export interface Known {
  /** The newest value; `undefined` when it is not certain that it went up. */
  readonly value: Remembered | undefined;
  /** Monotonic milliseconds from which on the value does not count any more. */
  readonly expiresMs: number;
}

const TYPES: ReadonlySet<unknown> = new Set([
  "ON_RECEIVED",
  "ON_CHANGE",
  "ON_REPORT_PERIOD",
  "ON_CHANGE_OR_REPORT_PERIOD",
  "DISABLED",
]);

/** A strategy of one level, completed from the level above. What an extension sets wrong counts as not set. */
export function completed(own: ReportStrategy | undefined, above: Strategy): Strategy {
  if (own === undefined) {
    return above;
  }
  const { type, reportPeriod, ttl } = own;
  return {
    type: type !== undefined && TYPES.has(type) ? type : above.type,
    reportPeriod: isAtLeast(reportPeriod, 1) ? reportPeriod : above.reportPeriod,
    ttl: isAtLeast(ttl, 0) ? ttl : above.ttl,
  };
}

function isAtLeast(value: number | undefined, min: number): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= min;
}

/** Whether every value goes up at once, so that nothing need be remembered. */
export function passesAll(type: Strategy["type"]): boolean {
  return type === "ON_RECEIVED" || type === "DISABLED";
}

/** Whether values may wait for the end of a period. */
export function hasPeriod(type: Strategy["type"]): boolean {
  return type === "ON_REPORT_PERIOD" || type === "ON_CHANGE_OR_REPORT_PERIOD";
}

/** What is kept of a value; `undefined` when it has no JSON form (NaN, a function, a cycle). */
export function remembered(value: Json): Remembered | undefined {
  switch (typeof value) {
    case "number":
      return Number.isFinite(value) ? value : undefined;
    case "boolean":
    case "bigint":
      return value;
    default:
      if (value instanceof Float) {
        return remembered(value.value);
      }
      // Written in another thread: compared like the value it was there.
      return value instanceof EncodedJson ? remembered(readJson(value.text)) : encodeValue(value);
  }
}

/** Exact equality: 1 is 1.0 and 1n, not `true` and not `"1"`. */
export function isSame(left: Remembered, right: Remembered): boolean {
  if (left === right) {
    return true;
  }
  if (typeof left === "bigint" && typeof right === "number") {
    return Number.isInteger(right) && BigInt(right) === left;
  }
  return typeof left === "number" && typeof right === "bigint" && isSame(right, left);
}

/** Whether the next sample of the key counts as its first one. */
export function isUnknown(known: Known | undefined, nowMs: number): boolean {
  return known?.value === undefined || nowMs >= known.expiresMs;
}

/** What the strategy says about a sample. The first one goes up, whatever the strategy. */
export function judge(
  known: Known | undefined,
  sample: { readonly value: Remembered; readonly type: Strategy["type"] },
  nowMs: number,
): Verdict {
  if (known?.value === undefined || isUnknown(known, nowMs)) {
    return "send";
  }
  switch (sample.type) {
    case "ON_CHANGE":
      return isSame(known.value, sample.value) ? "drop" : "send";
    case "ON_REPORT_PERIOD":
      return "hold";
    case "ON_CHANGE_OR_REPORT_PERIOD":
      return isSame(known.value, sample.value) ? "hold" : "send";
    case "ON_RECEIVED":
    case "DISABLED":
      return "send";
  }
}
