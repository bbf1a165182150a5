import { textOf } from "./encode.ts";
import { DataError } from "./errors.ts";
import { Float, type Json } from "./model.ts";
import {
  absolute,
  add,
  compare,
  isTruthy,
  type PythonValue,
  roundToDigits,
  roundToInteger,
  toFloat,
  toInteger,
  truncate,
} from "./python-number.ts";

const INTEGER_TEXT = /^[+-]?\d+$/;
const NUMBER_TEXT = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** A function an arithmetic expression may call, with the least and most arguments it takes. */
export interface Builtin {
  readonly least: number;
  readonly most: number;
  readonly call: (values: readonly PythonValue[]) => PythonValue;
}

/** The functions by name. */
export const BUILTINS: Readonly<Record<string, Builtin>> = {
  abs: { least: 1, most: 1, call: ([value = null]) => absolute(value) },
  bool: { least: 1, most: 1, call: ([value = null]) => isTruthy(value) },
  float: {
    least: 1,
    most: 1,
    call: ([value = null]) => toFloat(typeof value === "string" ? readNumber(value) : value),
  },
  int: {
    least: 1,
    most: 2,
    call: ([value = null, base]) =>
      typeof value === "string" ? readInteger(value, base) : truncate(value),
  },
  max: { least: 2, most: 100, call: (values) => extreme(values, 1) },
  min: { least: 2, most: 100, call: (values) => extreme(values, -1) },
  round: {
    least: 1,
    most: 2,
    call: ([value = null, digits = null]) =>
      digits === null ? roundToInteger(value) : roundToDigits(value, toInteger(digits)),
  },
  str: { least: 1, most: 1, call: ([value = null]) => pythonText(value) },
};

/** An int within ±(2^53 − 1) is a `number`, any other a `bigint`; a float is a `Float`. */
export function toJson(value: PythonValue): Json {
  switch (typeof value) {
    case "bigint": {
      const number = Number(value);
      return Number.isSafeInteger(number) ? number : value;
    }
    case "number":
      return new Float(value);
    default:
      return value;
  }
}

/** Python's `str()`, but for floats, which have no exponent here. */
export function pythonText(value: PythonValue): string {
  if (typeof value === "boolean") {
    return value ? "True" : "False";
  }
  return value === null ? "None" : textOf(toJson(value));
}

/** Whether `readNumber` can read `text`. */
export function isNumberText(text: string): boolean {
  return NUMBER_TEXT.test(text.trim());
}

/** An int or a float by its spelling, blanks around it allowed. @throws DataError for anything but a decimal number. */
export function readNumber(value: string): bigint | number {
  const text = value.trim();
  if (!NUMBER_TEXT.test(text)) {
    throw new DataError(`Cannot compute: need a number, got ${JSON.stringify(value)}`);
  }
  return INTEGER_TEXT.test(text) ? readInteger(text, undefined) : toFloat(Number(text));
}

/** An integer written to `base`, 10 unless given; its prefix (`0x`, `0o`, `0b`) is allowed. */
function readInteger(value: string, base: PythonValue | undefined): bigint {
  const radix = base === undefined ? 10 : Number(toInteger(base));
  const [, sign, body = ""] = /^([+-]?)(\w+)$/.exec(value.trim()) ?? [];
  const prefix = { 16: /^0x/i, 8: /^0o/i, 2: /^0b/i }[radix];
  const digits = (prefix === undefined ? body : body.replace(prefix, "")).toLowerCase();
  // 4,096 bits are 1,234 decimal digits.
  if (digits === "" || digits.length > 4096 || !(radix >= 2 && radix <= 36)) {
    throw new DataError(`Cannot compute: ${JSON.stringify(value)} is no integer to base ${radix}`);
  }
  let result = 0n;
  for (const digit of digits) {
    const weight = Number.parseInt(digit, radix);
    if (Number.isNaN(weight)) {
      throw new DataError(
        `Cannot compute: ${JSON.stringify(value)} is no integer to base ${radix}`,
      );
    }
    result = result * BigInt(radix) + BigInt(weight);
  }
  // The sum refuses what is too big.
  return toInteger(add(sign === "-" ? -result : result, 0n));
}

/** The order of two values as in `compare`. @throws DataError when they have none. */
export function ordered(left: PythonValue, right: PythonValue): number {
  const order = compare(left, right);
  if (order === undefined) {
    throw new DataError("Cannot compute: need two numbers or two texts to compare");
  }
  return order;
}

function extreme(values: readonly PythonValue[], direction: 1 | -1): PythonValue {
  return values.reduce((best, value) => (ordered(value, best) * direction > 0 ? value : best));
}
