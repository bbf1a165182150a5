const JUMPS = new Set(" |.|,|;|-|/|'|at|on|and|ad|m|t|of|st|nd|rd|th".split("|"));
const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const LONG_WEEKDAYS = [
  "monday",
  "tuesday",
  "wednesday",
  "thursday",
  "friday",
  "saturday",
  "sunday",
];
const MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split(" ");
const LONG_MONTHS =
  "january february march april may june july august september october november december".split(
    " ",
  );
const UNITS: Readonly<Record<string, number>> = {
  h: 0,
  hour: 0,
  hours: 0,
  m: 1,
  minute: 1,
  minutes: 1,
  s: 2,
  second: 2,
  seconds: 2,
};
const HALVES: Readonly<Record<string, number>> = { am: 0, a: 0, pm: 12, p: 12 };
const UTC_NAMES = new Set(["utc", "gmt", "z"]);

/** The unit a word names: 0 hour, 1 minute, 2 second. */
export function unitOf(token: string): number | undefined {
  return own(UNITS, token);
}

/** What a word adds to an hour before noon: 0 for AM, 12 for PM. */
export function halfOf(token: string): number | undefined {
  return own(HALVES, token);
}

/** 0 is Monday. */
export function weekdayOf(token: string): number | undefined {
  return nameIndex(token, WEEKDAYS, LONG_WEEKDAYS);
}

/** Whether a zone name is one of UTC's; every other name is ambiguous. */
export function isUtcName(token: string): boolean {
  return UTC_NAMES.has(token.toLowerCase());
}

/** 1 is January. */
export function monthOf(token: string): number | undefined {
  const name = token.toLowerCase();
  const index = nameIndex(name === "sept" ? "sep" : name, MONTHS, LONG_MONTHS);
  return index === undefined ? undefined : index + 1;
}

function nameIndex(
  token: string,
  short: readonly string[],
  long: readonly string[],
): number | undefined {
  const name = token.toLowerCase();
  const index = Math.max(short.indexOf(name), long.indexOf(name));
  return index === -1 ? undefined : index;
}

/** The hour of the day from one of the 12-hour clock and what `halfOf` says. */
export function onClock(hour: number, half: number): number {
  if (half === 0) {
    return hour === 12 ? 0 : hour;
  }
  return hour < 12 ? hour + 12 : hour;
}

/** Whether a token may stand anywhere in a date and means nothing. */
export function isJump(token: string): boolean {
  return JUMPS.has(token.toLowerCase());
}

function own(table: Readonly<Record<string, number>>, token: string): number | undefined {
  const name = token.toLowerCase();
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
