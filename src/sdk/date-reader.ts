import { DateNumbers } from "./date-order.ts";
import { splitDate } from "./date-tokens.ts";
import { halfOf, isJump, isUtcName, monthOf, onClock, unitOf, weekdayOf } from "./date-words.ts";
import { DataError } from "./errors.ts";

/** What a text says about a moment. `undefined` is a part it does not name. */
export interface TimeParts {
  /** The numbers of the date, not yet told apart. */
  readonly numbers: DateNumbers;
  readonly isEmpty: boolean;
  readonly hour: number | undefined;
  readonly minute: number | undefined;
  readonly second: number | undefined;
  readonly millisecond: number | undefined;
  /** 0 is Monday. */
  readonly weekday: number | undefined;
  /** Of the zone, east is positive; `undefined` is the local zone. */
  readonly offsetMs: number | undefined;
}

const NUMBER = /^\d+(?:\.\d+)?$/;
const ZONE_NAME = /^(?:[A-Z]{1,5}|z)$/;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** Reads the tokens of one text, left to right. Every method throws a DataError for what is no date. */
export class DateReader implements TimeParts {
  readonly numbers = new DateNumbers();
  hour: number | undefined;
  minute: number | undefined;
  second: number | undefined;
  millisecond: number | undefined;
  weekday: number | undefined;
  offsetMs: number | undefined;
  readonly #tokens: string[];
  #index = 0;
  #zoneName: string | undefined;

  constructor(text: string) {
    this.#tokens = [...splitDate(text)];
  }

  get isEmpty(): boolean {
    return (
      this.numbers.count === 0 &&
      this.hour === undefined &&
      this.minute === undefined &&
      this.second === undefined &&
      this.weekday === undefined
    );
  }

  read(): TimeParts {
    for (; this.#index < this.#tokens.length; this.#index += 1) {
      this.#readToken(this.#at(0));
    }
    return this;
  }

  #readToken(token: string): void {
    if (NUMBER.test(token)) {
      this.#readNumber(token);
      return;
    }
    const weekday = weekdayOf(token);
    if (weekday !== undefined) {
      this.weekday = weekday;
      return;
    }
    const month = monthOf(token);
    if (month !== undefined) {
      this.#readMonth(month);
      return;
    }
    const half = halfOf(token);
    if (half !== undefined) {
      this.#applyHalf(half);
      return;
    }
    this.#readZone(token);
  }

  #readZone(token: string): void {
    if (this.hour !== undefined && !this.#hasZone() && ZONE_NAME.test(token)) {
      this.#readZoneName(token);
      return;
    }
    if (this.hour !== undefined && (token === "+" || token === "-")) {
      this.#readOffset(token === "+" ? 1 : -1);
      return;
    }
    if (!isJump(token)) {
      throw bad(`unexpected "${token}"`);
    }
  }

  #hasZone(): boolean {
    return this.#zoneName !== undefined || this.offsetMs !== undefined;
  }

  #readZoneName(name: string): void {
    const isUtc = isUtcName(name);
    this.#zoneName = name;
    this.offsetMs = isUtc ? 0 : undefined;
    const sign = this.#at(1);
    if (sign === "+" || sign === "-") {
      // POSIX: "GMT+3" says that this time plus three hours is GMT.
      this.#tokens[this.#index + 1] = sign === "+" ? "-" : "+";
      this.offsetMs = undefined;
      this.#zoneName = isUtc ? undefined : name;
    }
  }

  /** `+0200`, `+02:00` or `+2`, and a zone name in parentheses behind it. */
  #readOffset(sign: 1 | -1): void {
    const digits = this.#at(1);
    const hasColon = digits.length !== 4 && this.#at(2) === ":";
    if (!hasColon && digits.length !== 4 && digits.length > 2) {
      throw bad(`unexpected "${digits}" behind the sign of a zone`);
    }
    const hours = integer(hasColon ? digits : digits.slice(0, 2));
    const minutes = hasColon ? integer(this.#at(3)) : Number(digits.slice(2));
    this.offsetMs = sign * (hours * 60 + minutes) * MINUTE_MS;
    if (!(Math.abs(this.offsetMs) < DAY_MS)) {
      throw bad("a zone is less than a day from UTC");
    }
    this.#index += hasColon ? 3 : 1;
    this.#skipZoneComment();
  }

  /** `(BRST)` behind an offset. */
  #skipZoneComment(): void {
    const isComment =
      isJump(this.#at(1)) &&
      this.#at(2) === "(" &&
      /^[A-Z]{3,5}$/.test(this.#at(3)) &&
      this.#at(4) === ")";
    if (isComment && this.#zoneName === undefined) {
      this.#index += 4;
    }
  }

  #applyHalf(half: number): void {
    if (this.hour === undefined || this.hour > 12) {
      throw bad("AM or PM without an hour from 0 to 12");
    }
    this.hour = onClock(this.hour, half);
  }

  /** `Sep-25-2003`, `Sep of 03`, or a month alone. */
  #readMonth(month: number): void {
    this.numbers.add(String(month), "month");
    const separator = this.#at(1);
    if (separator === "-" || separator === "/") {
      this.numbers.add(this.#at(2));
      this.#index += 2;
      if (this.#at(1) === separator) {
        this.numbers.add(this.#at(2));
        this.#index += 2;
      }
    } else if (separator === " " && this.#at(3) === " " && this.#at(2).toLowerCase() === "of") {
      if (/^\d+$/.test(this.#at(4))) {
        this.numbers.add(this.#at(4), "year");
      }
      this.#index += 4;
    }
  }

  #readNumber(token: string): void {
    if (
      this.#readClockBehindDate(token) ||
      this.#readCompact(token) ||
      this.#readUnit(token) ||
      this.#readClock(token) ||
      this.#readSeparated(token)
    ) {
      return;
    }
    this.#readSingle(token);
  }

  /** `19990101T23` and `19990101T2359`: two or four digits once the date is complete. */
  #readClockBehindDate(token: string): boolean {
    const next = this.#at(1);
    const isClock =
      this.numbers.count === 3 &&
      (token.length === 2 || token.length === 4) &&
      this.hour === undefined &&
      next !== ":" &&
      unitOf(next) === undefined;
    if (isClock) {
      this.hour = integer(token.slice(0, 2));
      this.minute = token.length === 4 ? integer(token.slice(2)) : this.minute;
    }
    return isClock;
  }

  /** `YYMMDD`, `hhmmss`, `hhmmss.sss`, `YYYYMMDD`, `YYYYMMDDhhmm`, `YYYYMMDDhhmmss`. */
  #readCompact(token: string): boolean {
    const { length } = token;
    if (length === 6 || (length > 6 && token.indexOf(".") === 6)) {
      if (this.numbers.count === 0 && !token.includes(".")) {
        this.#addAll([token.slice(0, 2), token.slice(2, 4), token.slice(4)]);
      } else {
        this.hour = integer(token.slice(0, 2));
        this.minute = integer(token.slice(2, 4));
        this.#setSeconds(token.slice(4));
      }
      return true;
    }
    if (length !== 8 && length !== 12 && length !== 14) {
      return false;
    }
    this.numbers.add(token.slice(0, 4), "year");
    this.#addAll([token.slice(4, 6), token.slice(6, 8)]);
    if (length > 8) {
      this.hour = integer(token.slice(8, 10));
      this.minute = integer(token.slice(10, 12));
    }
    if (length > 12) {
      this.second = integer(token.slice(12));
    }
    return true;
  }

  #addAll(texts: readonly string[]): void {
    for (const text of texts) {
      this.numbers.add(text);
    }
  }

  /** `12h`, `30 minutes`, and the number behind such a unit, which is of the next smaller one. */
  #readUnit(token: string): boolean {
    const before = unitOf(this.#at(-1));
    const isLast = this.#index === this.#tokens.length - 1 && this.#index > 1;
    const farBefore = isLast && this.#at(-1) === " " ? unitOf(this.#at(-2)) : undefined;
    const next = unitOf(this.#at(1));
    const afterBlank = this.#at(1) === " " ? unitOf(this.#at(2)) : undefined;
    if (next !== undefined || afterBlank !== undefined) {
      this.#assign(token, next ?? afterBlank ?? 0);
      this.#index += next === undefined ? 2 : 1;
      return true;
    }
    const smaller = before ?? farBefore;
    if (smaller === undefined) {
      return false;
    }
    this.#assign(token, smaller + 1);
    return true;
  }

  #assign(token: string, unit: number): void {
    const value = Number(token);
    const part = Math.trunc((value % 1) * 60);
    if (unit === 0) {
      this.hour = Math.trunc(value);
      this.minute = part > 0 ? part : this.minute;
    } else if (unit === 1) {
      this.minute = Math.trunc(value);
      this.second = value % 1 > 0 ? part : undefined;
    } else if (unit === 2) {
      this.#setSeconds(token);
    }
  }

  /** `10:36`, `10:36:28.5`. */
  #readClock(token: string): boolean {
    if (this.#at(1) !== ":" || this.#at(2) === "") {
      return false;
    }
    if (!NUMBER.test(this.#at(2))) {
      throw bad(`"${this.#at(2)}" is no minute`);
    }
    this.hour = Math.trunc(Number(token));
    this.#assign(this.#at(2), 1);
    this.#index += 2;
    if (this.#at(1) === ":" && this.#at(2) !== "") {
      this.#setSeconds(this.#at(2));
      this.#index += 2;
    }
    return true;
  }

  /** `2003-09-25`, `25.12.2024`, `03-Sep-25`. */
  #readSeparated(token: string): boolean {
    const separator = this.#at(1);
    if (separator !== "-" && separator !== "/" && separator !== ".") {
      return false;
    }
    this.numbers.add(token);
    this.#index += 1;
    const second = this.#at(1);
    if (second === "" || isJump(second)) {
      return true;
    }
    this.#addNumberOrMonth(second);
    this.#index += 1;
    if (this.#at(1) === separator) {
      this.#addNumberOrMonth(this.#at(2));
      this.#index += 2;
    }
    return true;
  }

  #addNumberOrMonth(token: string): void {
    const month = monthOf(token);
    if (month === undefined) {
      this.numbers.add(token);
    } else {
      this.numbers.add(String(month), "month");
    }
  }

  /** `10 am`, `10pm`, a day, a year. */
  #readSingle(token: string): void {
    const next = this.#at(1);
    if (next === "" || isJump(next)) {
      const half = halfOf(this.#at(2));
      if (half === undefined) {
        this.numbers.addAlone(Number(token));
        this.#index += 1;
      } else {
        this.hour = onClock(Math.trunc(Number(token)), half);
        this.#index += 2;
      }
      return;
    }
    const half = halfOf(next);
    if (half !== undefined && Number(token) < 24) {
      this.hour = onClock(Math.trunc(Number(token)), half);
      this.#index += 1;
    } else if (this.numbers.couldBeDay(Number(token))) {
      this.numbers.addAlone(Number(token));
    } else {
      throw bad(`unexpected "${token}"`);
    }
  }

  /** Cuts off what is smaller than a millisecond. */
  #setSeconds(text: string): void {
    const [whole = "", fraction = ""] = text.split(".");
    this.second = integer(whole);
    this.millisecond = Number(fraction.padEnd(3, "0").slice(0, 3));
  }

  /** The token `offset` behind the current one, "" beyond either end. */
  #at(offset: number): string {
    return this.#tokens[this.#index + offset] ?? "";
  }
}

function bad(problem: string): DataError {
  return new DataError(`Cannot read date: ${problem}`);
}

function integer(text: string): number {
  if (!/^\d+$/.test(text)) {
    throw bad(`"${text}" is no whole number`);
  }
  return Number(text);
}
