const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

function digits(value: number, width: number): string {
  return String(value).padStart(width, "0");
}

/** `+0200` */
function zoneOffset(date: Date): string {
  const minutes = -date.getTimezoneOffset();
  const sign = minutes < 0 ? "-" : "+";
  const size = Math.abs(minutes);
  return `${sign}${digits(Math.floor(size / 60), 2)}${digits(size % 60, 2)}`;
}

function dayOfYear(date: Date): number {
  const today = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return (today - Date.UTC(date.getFullYear(), 0, 0)) / 86_400_000;
}

function twelveHour(date: Date): number {
  return date.getHours() % 12 === 0 ? 12 : date.getHours() % 12;
}

const DIRECTIVES: Readonly<Record<string, (date: Date) => string>> = {
  Y: (date) => digits(date.getFullYear(), 4),
  y: (date) => digits(date.getFullYear() % 100, 2),
  m: (date) => digits(date.getMonth() + 1, 2),
  d: (date) => digits(date.getDate(), 2),
  e: (date) => String(date.getDate()).padStart(2, " "),
  j: (date) => digits(dayOfYear(date), 3),
  H: (date) => digits(date.getHours(), 2),
  I: (date) => digits(twelveHour(date), 2),
  M: (date) => digits(date.getMinutes(), 2),
  S: (date) => digits(date.getSeconds(), 2),
  f: (date) => `${digits(date.getMilliseconds(), 3)}000`,
  p: (date) => (date.getHours() < 12 ? "AM" : "PM"),
  a: (date) => (DAYS[date.getDay()] ?? "").slice(0, 3),
  A: (date) => DAYS[date.getDay()] ?? "",
  b: (date) => (MONTHS[date.getMonth()] ?? "").slice(0, 3),
  B: (date) => MONTHS[date.getMonth()] ?? "",
  w: (date) => String(date.getDay()),
  u: (date) => String(date.getDay() === 0 ? 7 : date.getDay()),
  s: (date) => String(Math.floor(date.getTime() / 1000)),
  z: zoneOffset,
  Z: zoneOffset,
  F: (date) => formatTime("%Y-%m-%d", date.getTime()),
  T: (date) => formatTime("%H:%M:%S", date.getTime()),
  D: (date) => formatTime("%m/%d/%y", date.getTime()),
  R: (date) => formatTime("%H:%M", date.getTime()),
  "%": () => "%",
};

/** A time in the machine's zone by a format of `strftime`; a directive that is not known stays as it is. */
export function formatTime(format: string, epochMs: number): string {
  const date = new Date(epochMs);
  return format.replaceAll(/%(.)/gs, (whole, letter: string) => {
    const directive = Object.hasOwn(DIRECTIVES, letter) ? DIRECTIVES[letter] : undefined;
    return directive?.(date) ?? whole;
  });
}
