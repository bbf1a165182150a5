import { type DateOptions, daysInMonth } from "./date-order.ts";
import { DateReader, type TimeParts } from "./date-reader.ts";
import { DataError } from "./errors.ts";
import { type EpochMs, epochMs, Float, type Json } from "./model.ts";

export type { DateOptions } from "./date-order.ts";

/** Longer texts are no dates. */
const MAX_LENGTH = 128;
/** Numbers from here on are milliseconds: as seconds they would be after the year 5138. */
const FIRST_MILLISECONDS = 1e11;
/** The last instant ECMAScript can name. */
const LAST_INSTANT = 8.64e15;
const NUMERIC = /^[+-]?\d+(?:\.\d+)?$/;
/** YYYYMMDD and YYYYMMDDhhmmss; as a time since 1970 these would be in the year 1970 or after 2286. */
const COMPACT_DATE = /^(?:19|20|21)\d{6}(?:\d{6})?$/;

/**
 * Reads a date and time as python-dateutil does, as far as its rules do not depend on the language. A text without a zone, or with a
 * zone name other than UTC, GMT and Z, is in the local zone of the process. Date parts that are missing are those of today
 * (`nowMs`), missing time parts are 0; a two-digit year is within 50 years of `nowMs`. `undefined`: no date, epoch numbers included.
 */
export function parseDate(text: string, options: DateOptions, nowMs: EpochMs): EpochMs | undefined {
  if (text.length > MAX_LENGTH) {
    return undefined;
  }
  try {
    return resolve(new DateReader(text).read(), options, new Date(nowMs));
  } catch (error) {
    if (error instanceof DataError) {
      return undefined;
    }
    throw error;
  }
}

/**
 * The moment a source gave, whatever its form: a number from 1e11 on is milliseconds, below it seconds since 1970; text holding a
 * number likewise; any other text is read by `parseDate`, and so are the compact dates `20240102` and `20240102030405`.
 * `undefined` for what is no moment: the caller then takes the time of receipt and says so.
 */
export function normaliseTs(
  value: Json,
  options: DateOptions,
  nowMs: EpochMs,
): EpochMs | undefined {
  if (typeof value === "string") {
    const text = value.trim();
    const date = COMPACT_DATE.test(text) ? parseDate(text, options, nowMs) : undefined;
    return (
      date ?? (NUMERIC.test(text) ? fromNumber(Number(text)) : parseDate(text, options, nowMs))
    );
  }
  if (typeof value === "number" || typeof value === "bigint") {
    return fromNumber(Number(value));
  }
  return value instanceof Float ? fromNumber(value.value) : undefined;
}

function fromNumber(value: number): EpochMs | undefined {
  // Not `value * 1000` alone: 1700000000.123 would come out a hair below its millisecond.
  const ms = value >= FIRST_MILLISECONDS ? value : Math.round(value * 1000);
  return ms >= 0 && ms <= LAST_INSTANT ? epochMs(ms) : undefined;
}

function resolve(read: TimeParts, options: DateOptions, now: Date): EpochMs | undefined {
  if (read.isEmpty) {
    return undefined;
  }
  const named = read.numbers.resolve(options);
  const year =
    named.year === undefined
      ? now.getFullYear()
      : fullYear(named.year, read.numbers.isCenturyGiven, now.getFullYear());
  const month = named.month ?? now.getMonth() + 1;
  const days = daysInMonth(year, month);
  const day = named.day ?? Math.min(now.getDate(), days);
  if (!isValid({ year, day, days }, read)) {
    return undefined;
  }
  const local = new Date(0);
  const { hour = 0, minute = 0, second = 0, millisecond = 0 } = read;
  if (read.offsetMs === undefined) {
    local.setFullYear(year, month - 1, day + daysToWeekday({ year, month, day }, read, named.day));
    local.setHours(hour, minute, second, millisecond);
    return epochMs(local.getTime());
  }
  local.setUTCFullYear(year, month - 1, day + daysToWeekday({ year, month, day }, read, named.day));
  local.setUTCHours(hour, minute, second, millisecond);
  return epochMs(local.getTime() - read.offsetMs);
}

function isValid(
  { year, day, days }: { readonly year: number; readonly day: number; readonly days: number },
  { hour = 0, minute = 0, second = 0 }: TimeParts,
): boolean {
  return (
    year >= 1 &&
    year <= 9999 &&
    day >= 1 &&
    day <= days &&
    hour >= 0 &&
    hour <= 23 &&
    minute <= 59 &&
    second <= 59
  );
}

/** A week day counts only where no day is named: then it is the next one, today included. */
function daysToWeekday(
  date: { readonly year: number; readonly month: number; readonly day: number },
  { weekday }: TimeParts,
  namedDay: number | undefined,
): number {
  if (weekday === undefined || namedDay !== undefined) {
    return 0;
  }
  const day = new Date(0);
  day.setUTCFullYear(date.year, date.month - 1, date.day);
  // Weeks begin on Monday here, on Sunday in ECMAScript.
  return (weekday + 1 - day.getUTCDay() + 7) % 7;
}

function fullYear(year: number, isCenturyGiven: boolean, thisYear: number): number {
  if (year >= 100 || isCenturyGiven) {
    return year;
  }
  const candidate = year + Math.trunc(thisYear / 100) * 100;
  if (candidate >= thisYear + 50) {
    return candidate - 100;
  }
  return candidate < thisYear - 50 ? candidate + 100 : candidate;
}
