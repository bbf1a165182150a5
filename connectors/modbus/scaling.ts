import { Float, type Json } from "#sdk/model";
import { pythonText } from "#sdk/python-builtins";
import { roundHalfEven } from "./rounding.ts";

/** What is done to a number after it is read. */
export interface Scaling {
  /** Decimals of float types, before anything else. */
  readonly round: number;
  /** 0 and `undefined` are off; goes before `multiplier`. */
  readonly divider: number | undefined;
  readonly multiplier: number | undefined;
}

/** A value on its way from the registers; `undefined` is no value. */
export type Finish = (value: number | bigint) => Json | undefined;

/** Compiles rounding and scaling. A float stays a float to the wire, also when it is whole. */
export function scaler(isFloat: boolean, { round, divider, multiplier }: Scaling): Finish {
  const first: Finish = isFloat
    ? (value) => float(roundHalfEven(Number(value), round))
    : (value) => value;
  if (divider !== undefined && divider !== 0) {
    return isFloat
      ? (value) => float(roundHalfEven(Number(value), round) / divider)
      : (value) => float(Number(value) / divider);
  }
  if (multiplier === undefined) {
    return first;
  }
  if (isFloat) {
    return (value) => float(roundHalfEven(Number(value), round) * multiplier);
  }
  return Number.isSafeInteger(multiplier)
    ? (value) => multiplyWhole(value, multiplier)
    : (value) => float(Number(value) * multiplier);
}

/** `undefined` for NaN and the infinities, which are no value. */
function float(value: number): Json | undefined {
  if (Number.isInteger(value)) {
    return new Float(value);
  }
  return Number.isFinite(value) ? value : undefined;
}

function multiplyWhole(value: number | bigint, multiplier: number): number | bigint {
  const product = Number(value) * multiplier;
  return typeof value === "number" && Number.isSafeInteger(product)
    ? product
    : BigInt(value) * BigInt(multiplier);
}

/** Names for values. */
export type Variants = Readonly<Record<string, Json>>;

/**
 * The name of a value, or the value when it has none. Looked up as Python spells it (`2`, `2.0`, `True`), then as JSON does.
 */
export function nameOf(value: Json, variants: Variants): Json {
  for (const text of spellings(value)) {
    const name = Object.hasOwn(variants, text) ? variants[text] : undefined;
    if (name !== undefined) {
      return name;
    }
  }
  return value;
}

function spellings(value: Json): readonly string[] {
  if (isList(value)) {
    return [`[${value.map((one) => spellings(one)[0] ?? "").join(", ")}]`];
  }
  switch (typeof value) {
    case "string":
      return [value];
    case "boolean":
      return [pythonText(value), String(value)];
    case "bigint":
      return [String(value)];
    case "number":
      return Number.isSafeInteger(value) ? [String(value)] : [pythonText(value), String(value)];
    default:
      return value instanceof Float ? [pythonText(value.value), String(value.value)] : [];
  }
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
