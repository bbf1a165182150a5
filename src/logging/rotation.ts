import { formatTime } from "./python-time.ts";

/** When a file is due, in the words of Python's `TimedRotatingFileHandler`. */
export const ROTATION_UNITS = [
  "S",
  "M",
  "H",
  "D",
  "MIDNIGHT",
  "W0",
  "W1",
  "W2",
  "W3",
  "W4",
  "W5",
  "W6",
] as const;

/** One of the units. `W0` is Monday. */
export type RotationUnit = (typeof ROTATION_UNITS)[number];

/** When a file is closed and put aside, and how many are kept. */
export interface Rotation {
  readonly when: RotationUnit;
  readonly interval: number;
  /** 0: as many as the total allows. */
  readonly backupCount: number;
  /** 0: by time alone. */
  readonly maxBytes: number;
}

const SECOND_MS = 1000;
const DAY_MS = 86_400 * SECOND_MS;
const LENGTHS_MS: Readonly<Record<string, number>> = {
  S: SECOND_MS,
  M: 60 * SECOND_MS,
  H: 3600 * SECOND_MS,
  D: DAY_MS,
};
const SUFFIXES: Readonly<Record<string, string>> = {
  S: "%Y-%m-%d_%H-%M-%S",
  M: "%Y-%m-%d_%H-%M",
  H: "%Y-%m-%d_%H",
};

/**
 * The moment at which a file begun at `fromMs` is due, in epoch milliseconds: seconds, minutes, hours and days count from
 * there, midnight and weekdays are those of the machine's zone.
 */
export function nextRollover(rotation: Rotation, fromMs: number): number {
  const { when, interval } = rotation;
  const lengthMs = LENGTHS_MS[when];
  if (lengthMs !== undefined) {
    return fromMs + lengthMs * interval;
  }
  const from = new Date(fromMs);
  const days = when === "MIDNIGHT" ? interval : daysUntil(when, from) + 7 * (interval - 1);
  return new Date(from.getFullYear(), from.getMonth(), from.getDate() + days).getTime();
}

/** Days from a moment to the end of the next weekday of that number. Python's Monday is 0, JavaScript's is 1. */
function daysUntil(when: RotationUnit, from: Date): number {
  const today = (from.getDay() + 6) % 7;
  return ((Number(when.slice(1)) - today + 7) % 7) + 1;
}

/** What follows the name of a file that was put aside: by the day, hour, minute or second of `atMs`. */
export function rotatedSuffix(rotation: Rotation, atMs: number): string {
  const bySize = rotation.maxBytes > 0 ? SUFFIXES["S"] : undefined;
  return formatTime(bySize ?? SUFFIXES[rotation.when] ?? "%Y-%m-%d", atMs);
}

const ROTATED = /^\.(\d{4}-\d\d-\d\d(?:_\d\d(?:-\d\d){0,2})?)(?:\.(\d+))?$/;

/** Whether `name` is a file that was put aside from `base`. */
export function isRotated(base: string, name: string): boolean {
  return name.startsWith(base) && ROTATED.test(name.slice(base.length));
}

/** Oldest first, by the dates in the names: a copied file keeps its place whatever its time says. */
export function compareRotated(one: string, other: string): number {
  const [left, right] = [keyOf(one), keyOf(other)];
  if (left.date !== right.date) {
    return left.date < right.date ? -1 : 1;
  }
  return left.count - right.count;
}

function keyOf(name: string): { readonly date: string; readonly count: number } {
  const [, date = "", count = "0"] = /\.(\d{4}-[\d_-]+)(?:\.(\d+))?$/.exec(name) ?? [];
  return { date, count: Number(count) };
}
