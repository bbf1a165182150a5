import { DataError } from "./errors.ts";

/**
 * A value of an arithmetic expression with Python's types: `bigint` is int, `number` is float, `null` is None. A boolean counts
 * as the int 1 or 0 wherever a number is needed.
 */
export type PythonValue = bigint | number | boolean | string | null;
type PythonNumber = bigint | number;

/** Integers do not overflow, but beyond this size an expression is a mistake or an attack. */
const MAX_BITS = 4096;
const MAX_SIZE = 2n ** BigInt(MAX_BITS);
/** Whole powers of a float up to this one are rounded once. */
const MAX_EXACT_EXPONENT = 128;

function bad(message: string): DataError {
  return new DataError(`Cannot compute: ${message}`);
}

/** @throws DataError for text and None. */
function numeric(value: PythonValue): PythonNumber {
  switch (typeof value) {
    case "bigint":
    case "number":
      return value;
    case "boolean":
      return value ? 1n : 0n;
    default:
      throw bad(`need a number, got ${value === null ? "None" : JSON.stringify(value)}`);
  }
}

/** An int, or a DataError for anything that is none. */
export function toInteger(value: PythonValue): bigint {
  const number = numeric(value);
  if (typeof number !== "bigint") {
    throw bad(`need an integer, got ${number}`);
  }
  return number;
}

function bounded(value: bigint): bigint {
  if (value > MAX_SIZE || value < -MAX_SIZE) {
    throw bad(`the result has more than ${MAX_BITS} bits`);
  }
  return value;
}

function finite(value: number): number {
  if (!Number.isFinite(value)) {
    throw bad("the result is not finite");
  }
  return value;
}

/** Applies the int or the float form of an operation, as soon as one side is a float the latter. */
function either(
  left: PythonValue,
  right: PythonValue,
  forms: {
    readonly int: (a: bigint, b: bigint) => PythonNumber;
    readonly float: (a: number, b: number) => number;
  },
): PythonNumber {
  const a = numeric(left);
  const b = numeric(right);
  if (typeof a === "bigint" && typeof b === "bigint") {
    const result = forms.int(a, b);
    return typeof result === "bigint" ? bounded(result) : finite(result);
  }
  return finite(forms.float(finite(Number(a)), finite(Number(b))));
}

function refuseZero(divisor: bigint | number): void {
  if (divisor === 0n || divisor === 0) {
    throw bad("division by zero");
  }
}

/** `a + b`, which also joins two texts. */
export function add(left: PythonValue, right: PythonValue): PythonValue {
  if (typeof left === "string" && typeof right === "string") {
    return left + right;
  }
  return either(left, right, { int: (a, b) => a + b, float: (a, b) => a + b });
}

/** `a - b`. @throws DataError for text and None. */
export function subtract(left: PythonValue, right: PythonValue): PythonValue {
  return either(left, right, { int: (a, b) => a - b, float: (a, b) => a - b });
}

/** `a * b`. @throws DataError for text and None. */
export function multiply(left: PythonValue, right: PythonValue): PythonValue {
  return either(left, right, { int: (a, b) => a * b, float: (a, b) => a * b });
}

/** `a / b`: always a float, of two ints the correctly rounded one. */
export function divide(left: PythonValue, right: PythonValue): PythonValue {
  return either(left, right, {
    int: (a, b) => {
      refuseZero(b);
      return divideIntegers(a, b);
    },
    float: (a, b) => {
      refuseZero(b);
      return a / b;
    },
  });
}

/** `a // b`: rounds toward minus infinity. */
export function floorDivide(left: PythonValue, right: PythonValue): PythonValue {
  return either(left, right, {
    int: (a, b) => {
      refuseZero(b);
      return (a - moduloIntegers(a, b)) / b;
    },
    float: (a, b) => {
      refuseZero(b);
      const rest = a % b;
      // The order of the steps is CPython's: another one rounds large quotients differently.
      const quotient = (a - rest) / b - (rest !== 0 && rest < 0 !== b < 0 ? 1 : 0);
      const floor = Math.floor(quotient);
      // The quotient is a whole number but for its last bit.
      return quotient - floor > 0.5 ? floor + 1 : floor;
    },
  });
}

/** `a % b`: has the sign of `b`. */
export function modulo(left: PythonValue, right: PythonValue): PythonValue {
  return either(left, right, {
    int: (a, b) => {
      refuseZero(b);
      return moduloIntegers(a, b);
    },
    float: (a, b) => {
      refuseZero(b);
      return moduloFloats(a, b);
    },
  });
}

/** `a ** b`: an int to a negative power is a float; a negative float to a broken power is complex and refused. */
export function power(left: PythonValue, right: PythonValue): PythonValue {
  return either(left, right, {
    int: (a, b) => (b < 0n ? powerFloats(Number(a), Number(b)) : powerIntegers(a, b)),
    float: powerFloats,
  });
}

/** Unary `-`. @throws DataError for text and None. */
export function negate(value: PythonValue): PythonValue {
  return -numeric(value);
}

/** Unary `+`: a boolean becomes an int. */
export function affirm(value: PythonValue): PythonValue {
  return numeric(value);
}

/** `abs(value)`: keeps the type. @throws DataError for text and None. */
export function absolute(value: PythonValue): PythonValue {
  const number = numeric(value);
  return number < 0 ? -number : number;
}

/** `&`, `|` and `^`: two booleans give a boolean, anything else an int. */
export function bitwise(
  left: PythonValue,
  right: PythonValue,
  operation: (a: bigint, b: bigint) => bigint,
): PythonValue {
  const result = operation(toInteger(left), toInteger(right));
  return typeof left === "boolean" && typeof right === "boolean" ? result === 1n : result;
}

/** `a << b` for a positive `count`, `a >> -count` for a negative one. */
export function shift(value: PythonValue, count: bigint): PythonValue {
  const integer = toInteger(value);
  if (count > BigInt(MAX_BITS) && integer !== 0n) {
    throw bad(`the result has more than ${MAX_BITS} bits`);
  }
  // Everything is shifted out long before, and a huge count would be refused by the run time.
  const bits = count > -BigInt(2 * MAX_BITS) ? count : -BigInt(2 * MAX_BITS);
  return integer === 0n ? 0n : bounded(integer << bits);
}

/** `round(value)`: half to even, an int. */
export function roundToInteger(value: PythonValue): bigint {
  const number = numeric(value);
  return typeof number === "bigint" ? number : roundScaled(number, 0);
}

/** `round(value, digits)`: half to even of the exact value; keeps the type. */
export function roundToDigits(value: PythonValue, digits: bigint): PythonValue {
  const number = numeric(value);
  if (typeof number === "bigint") {
    if (digits >= 0n) {
      return number;
    }
    const unit = digits < -BigInt(MAX_BITS) ? MAX_SIZE : 10n ** -digits;
    return halfEven(number, unit) * unit;
  }
  // A double has at most 1,074 fraction digits and 309 others.
  if (digits > 1074n) {
    return number;
  }
  const places = digits < -400n ? -400 : Number(digits);
  return finite(Number(`${roundScaled(number, places)}e${-places}`));
}

/** The truncated int of a number. @throws DataError when it is not finite. */
export function truncate(value: PythonValue): bigint {
  const number = numeric(value);
  return typeof number === "bigint" ? number : BigInt(Math.trunc(finite(number)));
}

/** A float of a number. @throws DataError when it does not fit. */
export function toFloat(value: PythonValue): number {
  return finite(Number(numeric(value)));
}

/** `undefined` when the two have no order (text with number, None); exact between int and float. */
export function compare(left: PythonValue, right: PythonValue): number | undefined {
  if (typeof left === "string" || typeof right === "string" || left === null || right === null) {
    if (typeof left !== "string" || typeof right !== "string") {
      return undefined;
    }
    return left === right ? 0 : left < right ? -1 : 1;
  }
  const a = numeric(left);
  const b = numeric(right);
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `==`: None equals only None, text only text. */
export function isEqual(left: PythonValue, right: PythonValue): boolean {
  return (left === null && right === null) || compare(left, right) === 0;
}

/** What `if`, `and`, `or`, `not` and `bool()` see. */
export function isTruthy(value: PythonValue): boolean {
  return Boolean(value);
}

function moduloIntegers(a: bigint, b: bigint): bigint {
  const rest = a % b;
  return rest !== 0n && rest < 0n !== b < 0n ? rest + b : rest;
}

function moduloFloats(a: number, b: number): number {
  const rest = a % b;
  if (rest === 0) {
    return b < 0 ? -0 : 0;
  }
  return rest < 0 !== b < 0 ? rest + b : rest;
}

function powerIntegers(base: bigint, exponent: bigint): bigint {
  const size = base < 0n ? -base : base;
  if (size > 1n && BigInt(size.toString(2).length - 1) * exponent > BigInt(MAX_BITS)) {
    throw bad(`the result has more than ${MAX_BITS} bits`);
  }
  // 0 and ±1 stay as small for any exponent; the run time refuses a huge one.
  return size > 1n ? base ** exponent : base ** (exponent === 0n ? 0n : 2n - (exponent % 2n));
}

function powerFloats(base: number, exponent: number): number {
  if (base === 0 && exponent < 0) {
    throw bad("division by zero");
  }
  if (base < 0 && !Number.isInteger(exponent)) {
    throw bad(`${base} ** ${exponent} is a complex number`);
  }
  const size = Math.abs(exponent);
  if (!Number.isInteger(exponent) || size > MAX_EXACT_EXPONENT || !Number.isFinite(base)) {
    return base ** exponent;
  }
  // The run time multiplies step by step, which is off in the last digits from the third power on.
  const { mantissa, exponent: scale } = decompose(base);
  const power2 = scale * size;
  const numerator = mantissa ** BigInt(size) * 2n ** BigInt(Math.max(power2, 0));
  const denominator = 2n ** BigInt(Math.max(-power2, 0));
  return exponent < 0
    ? divideIntegers(denominator, numerator)
    : divideIntegers(numerator, denominator);
}

function divideIntegers(a: bigint, b: bigint): number {
  const left = Number(a);
  const right = Number(b);
  if (Number.isSafeInteger(left) && Number.isSafeInteger(right)) {
    return left / right;
  }
  // 66 bits of the quotient and a sticky bit round as the endless quotient would.
  const bits = bitLength(b) - bitLength(a) + 66;
  const numerator = bits > 0 ? a << BigInt(bits) : a;
  const denominator = bits > 0 ? b : b << BigInt(-bits);
  const quotient = numerator / denominator;
  const isExact = quotient * denominator === numerator;
  const sticky = isExact ? 0n : quotient < 0n ? -1n : 1n;
  // In two steps: the whole factor could be 0 or infinite where the product is neither.
  const half = Math.trunc(-bits / 2);
  return Number(quotient * 2n + sticky) * 2 ** half * 2 ** (-bits - half - 1);
}

function bitLength(value: bigint): number {
  return (value < 0n ? -value : value).toString(2).length;
}

/** `value` is `mantissa` × 2^`exponent`, exactly. @throws DataError when it is not finite. */
function decompose(value: number): { readonly mantissa: bigint; readonly exponent: number } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, finite(value));
  const bits = view.getBigUint64(0);
  const field = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xf_ffff_ffff_ffffn;
  const mantissa = field === 0 ? fraction : fraction | 0x10_0000_0000_0000n;
  return { mantissa: value < 0 ? -mantissa : mantissa, exponent: Math.max(field, 1) - 1075 };
}

/** The int nearest to `value` × 10^`places`, computed without rounding errors. */
function roundScaled(value: number, places: number): bigint {
  const { mantissa, exponent } = decompose(value);
  const numerator =
    mantissa * 2n ** BigInt(Math.max(exponent, 0)) * 10n ** BigInt(Math.max(places, 0));
  const denominator = 2n ** BigInt(Math.max(-exponent, 0)) * 10n ** BigInt(Math.max(-places, 0));
  return halfEven(numerator, denominator);
}

/** `numerator / denominator` (positive) rounded half to even. */
function halfEven(numerator: bigint, denominator: bigint): bigint {
  const rest = moduloIntegers(numerator, denominator);
  const floor = (numerator - rest) / denominator;
  const twice = rest * 2n;
  const up = twice === denominator ? moduloIntegers(floor, 2n) === 1n : twice > denominator;
  return up ? floor + 1n : floor;
}
