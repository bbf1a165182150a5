import { DataError } from "./errors.ts";

/** How to read a date whose order is not plain from its numbers. Both default to no: month, day, year. */
export interface DateOptions {
  readonly dayFirst?: boolean;
  readonly yearFirst?: boolean;
}

/** What the numbers of a date were found to mean; `undefined` is a part the text does not name. */
export interface DateParts {
  readonly year: number | undefined;
  readonly month: number | undefined;
  readonly day: number | undefined;
}

type Label = "year" | "month" | "day";

/** The numbers of a date in the order they were written, until it is clear which is the day, the month and the year. */
export class DateNumbers {
  readonly #values: number[] = [];
  readonly #labels: Partial<Record<Label, number>> = {};
  #isCenturyGiven = false;

  get count(): number {
    return this.#values.length;
  }

  /** Whether the year was written with more than two digits, so that no century is to be added. */
  get isCenturyGiven(): boolean {
    return this.#isCenturyGiven;
  }

  /** Adds digits as they were written. More than two are a year. @throws DataError for anything else, or a second label. */
  add(text: string, label?: Label): void {
    if (!/^\d+$/.test(text)) {
      throw new DataError(`Cannot read date: "${text}" is no whole number`);
    }
    this.#push(Number(text), label, text.length > 2);
  }

  /** Adds a number that stands alone; more than 100 is a year. A fraction is cut off. @throws DataError for a second year. */
  addAlone(value: number): void {
    this.#push(Math.trunc(value), undefined, value > 100);
  }

  #push(value: number, label: Label | undefined, isYear: boolean): void {
    if (isYear) {
      this.#isCenturyGiven = true;
    }
    const known = isYear ? "year" : label;
    if (known !== undefined) {
      if (this.#labels[known] !== undefined || (label ?? known) !== known) {
        throw new DataError(`Cannot read date: a second ${known}`);
      }
      this.#labels[known] = this.#values.length;
    }
    this.#values.push(value);
  }

  /** Whether `value` can be the day of the month named so far. */
  couldBeDay(value: number): boolean {
    const { day, month, year } = this.#labels;
    if (day !== undefined) {
      return false;
    }
    const monthValue = month === undefined ? 1 : (this.#values[month] ?? 1);
    // Without a year a leap year is assumed.
    const yearValue = year === undefined ? 2000 : (this.#values[year] ?? 2000);
    return value >= 1 && value <= daysInMonth(yearValue, monthValue);
  }

  /** Decides what each number means. @throws DataError for more than three. */
  resolve(options: DateOptions): DateParts {
    const labelled = Object.keys(this.#labels).length;
    const { count } = this;
    if ((labelled > 0 && labelled === count) || (count === 3 && labelled === 2)) {
      return this.#resolveByLabels();
    }
    switch (count) {
      case 0:
        return parts({});
      case 1:
        return this.#resolveOne();
      case 2:
        return this.#resolveTwo(options);
      case 3:
        return this.#resolveThree(options);
      default:
        throw new DataError("Cannot read date: more than three numbers");
    }
  }

  #resolveByLabels(): DateParts {
    const at = new Map<Label, number>();
    for (const label of ["year", "month", "day"] as const) {
      const index = this.#labels[label];
      if (index !== undefined) {
        at.set(label, index);
      }
    }
    if (at.size < this.count) {
      // Two of three are known, so the third has the place that is left.
      const missing = (["year", "month", "day"] as const).find((label) => !at.has(label));
      const free = [0, 1, 2].find((index) => ![...at.values()].includes(index));
      if (missing !== undefined && free !== undefined) {
        at.set(missing, free);
      }
    }
    const valueOf = (label: Label): number | undefined => this.#values[at.get(label) ?? -1];
    return parts({ year: valueOf("year"), month: valueOf("month"), day: valueOf("day") });
  }

  #resolveOne(): DateParts {
    const [only = 0] = this.#values;
    return only > 31 ? parts({ year: only }) : parts({ day: only });
  }

  #resolveTwo({ dayFirst = false }: DateOptions): DateParts {
    const [first = 0, second = 0] = this.#values;
    const { month } = this.#labels;
    if (month !== undefined) {
      const other = month === 0 ? second : first;
      const monthValue = month === 0 ? first : second;
      return other > 31
        ? parts({ month: monthValue, year: other })
        : parts({ month: monthValue, day: other });
    }
    if (first > 31) {
      return parts({ year: first, month: second });
    }
    if (second > 31) {
      return parts({ month: first, year: second });
    }
    return dayFirst && second <= 12
      ? parts({ day: first, month: second })
      : parts({ month: first, day: second });
  }

  #resolveThree(options: DateOptions): DateParts {
    const [first = 0, second = 0, third = 0] = this.#values;
    switch (this.#labels.month) {
      case 0:
        return second > 31
          ? { month: first, year: second, day: third }
          : { month: first, day: second, year: third };
      case 1:
        return first > 31 || (options.yearFirst === true && third <= 31)
          ? { year: first, month: second, day: third }
          : { day: first, month: second, year: third };
      case 2:
        return second > 31
          ? { day: first, year: second, month: third }
          : { year: first, day: second, month: third };
      default:
        return this.#resolveNumbers(options);
    }
  }

  /** Three numbers and no month name, such as 01/02/2024. */
  #resolveNumbers(options: DateOptions): DateParts {
    const [first = 0, second = 0, third = 0] = this.#values;
    const dayFirst = options.dayFirst === true;
    if (this.#isYearFirst(first, second, third, options)) {
      return dayFirst && third <= 12
        ? { year: first, day: second, month: third }
        : { year: first, month: second, day: third };
    }
    return first > 12 || (dayFirst && second <= 12)
      ? { day: first, month: second, year: third }
      : { month: first, day: second, year: third };
  }

  #isYearFirst(first: number, second: number, third: number, options: DateOptions): boolean {
    const isWished = options.yearFirst === true && second <= 12 && third <= 31;
    return first > 31 || this.#labels.year === 0 || isWished;
  }
}

/** Days of a month (1 to 12) of a year; 0 for a month that does not exist. */
export function daysInMonth(year: number, month: number): number {
  if (month === 2) {
    return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  }
  return [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0;
}

function parts(known: Partial<DateParts>): DateParts {
  return { year: known.year, month: known.month, day: known.day };
}
