import { ArithmeticParser, type Slot } from "./arithmetic-parser.ts";
import { textOf } from "./encode.ts";
import { DataError } from "./errors.ts";
import { memberOf } from "./json-path.ts";
import { Float, type Json } from "./model.ts";
import { isNumberText, pythonText, readNumber, toJson } from "./python-builtins.ts";
import { type PythonValue, toFloat } from "./python-number.ts";
import { compileTag } from "./tag.ts";

/** A calculation compiled once. It runs no code but its own operators. */
export interface Arithmetic {
  readonly source: string;
  /** The insides of its tags, in order of first use. */
  readonly tags: readonly string[];
  /**
   * Calculates with the tags and variables found in `body`. An int is a `number` or, beyond ±(2^53 − 1), a `bigint`; a float is a
   * `Float`. `value` is `undefined` when a tag has no value; those are in `missing`.
   * @throws DataError with reason `bad-value` when the values do not fit the operators, or the result is not finite.
   */
  evaluate(body: Json): { readonly value: Json | undefined; readonly missing: readonly string[] };
}

/**
 * Compiles the part of Python's expressions that configuration files calculate with: numbers (decimal, `0x`), quoted texts,
 * `${…}` tags, the `variables` (members of the body), `+ - * / // % **`, `& | ^ ~ << >>`, comparisons (chained), `and or not`,
 * `a if b else c`, parentheses, `True False None`, and `abs bool float int max min round str`. Python's meaning throughout:
 * `/` gives a float, `//` and `%` round toward minus infinity, `round` is half to even, an int never overflows (up to 4,096
 * bits). A tag holding numeric text counts as that number; inside quotes it is text, a boolean there `True` or `False`.
 * @throws DataError with reason `bad-expression`, the position and what is allowed.
 */
export function compileArithmetic(source: string, variables: readonly string[] = []): Arithmetic {
  const parser = new ArithmeticParser(source, variables);
  const node = parser.parse();
  const bindings = parser.slots.map((slot) => ({ name: slot.name, find: compileSlot(slot) }));
  const tags = parser.slots.filter(({ kind }) => kind === "tag").map(({ name }) => name);
  return {
    source,
    tags: [...new Set(tags)],
    evaluate: (body) => {
      const slots: PythonValue[] = [];
      const missing: string[] = [];
      for (const { name, find } of bindings) {
        const value = find(body);
        if (value === undefined) {
          missing.push(name);
        } else {
          slots.push(value);
        }
      }
      return { value: missing.length > 0 ? undefined : toJson(node(slots)), missing };
    },
  };
}

/** `undefined` is a miss. */
function compileSlot({ use, kind, name }: Slot): (body: Json) => PythonValue | undefined {
  if (kind === "variable") {
    return (body) => bind(memberOf(body, name));
  }
  const tag = compileTag(name);
  return use === "text" ? (body) => quote(tag.find(body)) : (body) => bind(tag.find(body));
}

/** A bound value as a number where it is one, else as text. */
function bind(value: Json | undefined): PythonValue | undefined {
  switch (typeof value) {
    case "number":
      return Number.isSafeInteger(value) ? BigInt(value) : toFloat(value);
    case "string": {
      return isNumberText(value) ? readNumber(value) : value;
    }
    case "bigint":
    case "boolean":
    case "undefined":
      return value;
    default:
      if (value instanceof Float) {
        return toFloat(value.value);
      }
      if (value === null) {
        return undefined;
      }
      throw new DataError("Cannot compute: need a number, got an array or object");
  }
}

/** What a tag inside quotes becomes: Python's own text of the value. */
function quote(value: Json | undefined): string | undefined {
  if (value === undefined || value === null) {
    return undefined;
  }
  return typeof value === "boolean" ? pythonText(value) : textOf(value);
}
