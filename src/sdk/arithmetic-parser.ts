import { refuse, type Token, tokenize } from "./arithmetic-syntax.ts";
import { assert, DataError } from "./errors.ts";
import { BUILTINS, ordered } from "./python-builtins.ts";
import {
  add,
  affirm,
  bitwise,
  divide,
  floorDivide,
  isEqual,
  isTruthy,
  modulo,
  multiply,
  negate,
  type PythonValue,
  power,
  shift,
  subtract,
  toInteger,
} from "./python-number.ts";
import { splitTags } from "./tag.ts";

/** Computes from the slots of the bound values. */
export type Node = (slots: readonly PythonValue[]) => PythonValue;

/** A value the body must supply; the n-th one goes into slot n. */
export interface Slot {
  /** `number`: a tag or variable in the calculation; `text`: a tag inside quotes. */
  readonly use: "number" | "text";
  readonly kind: "tag" | "variable";
  readonly name: string;
}

/** Deeper nesting is refused, so that no expression exhausts the stack. */
const MAX_DEPTH = 64;
const CONSTANTS: Readonly<Record<string, PythonValue>> = { True: true, False: false, None: null };
const COMPARISONS: Readonly<Record<string, (order: number) => boolean>> = {
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
};
const ADDITIVE = { "+": add, "-": subtract };
const MULTIPLICATIVE = { "*": multiply, "/": divide, "//": floorDivide, "%": modulo };
const SHIFTS = {
  "<<": (a: PythonValue, b: PythonValue) => shift(a, shiftCount(b)),
  ">>": (a: PythonValue, b: PythonValue) => shift(a, -shiftCount(b)),
};
const BIT_AND = { "&": (a: PythonValue, b: PythonValue) => bitwise(a, b, (x, y) => x & y) };
const BIT_XOR = { "^": (a: PythonValue, b: PythonValue) => bitwise(a, b, (x, y) => x ^ y) };
const BIT_OR = { "|": (a: PythonValue, b: PythonValue) => bitwise(a, b, (x, y) => x | y) };
const UNARY: Readonly<Record<string, (value: PythonValue) => PythonValue>> = {
  "-": negate,
  "+": affirm,
  "~": (value) => ~toInteger(value),
};

function shiftCount(value: PythonValue): bigint {
  const count = toInteger(value);
  if (count < 0n) {
    throw new DataError("Cannot compute: negative shift count");
  }
  return count;
}

type Operators = Readonly<Record<string, (a: PythonValue, b: PythonValue) => PythonValue>>;
/** From the loosest to the tightest; all associate to the left. */
const LEVELS: readonly Operators[] = [BIT_OR, BIT_XOR, BIT_AND, SHIFTS, ADDITIVE, MULTIPLICATIVE];

/** Parses by Python's precedence. `variables` are the names an expression may use besides tags. */
export class ArithmeticParser {
  readonly slots: Slot[] = [];
  readonly #source: string;
  readonly #variables: readonly string[];
  readonly #tokens: readonly Token[];
  #index = 0;
  #depth = 0;

  /** @throws DataError with reason `bad-expression`, as `parse` does. */
  constructor(source: string, variables: readonly string[]) {
    this.#source = source;
    this.#variables = variables;
    this.#tokens = tokenize(source);
  }

  parse(): Node {
    const node = this.#parseConditional();
    if (this.#token().kind !== "end") {
      throw this.#unexpected();
    }
    return node;
  }

  #parseConditional(): Node {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) {
      throw refuse(this.#source, this.#token().at, `more than ${MAX_DEPTH} levels of nesting`);
    }
    let node = this.#parseOr();
    if (this.#take("if")) {
      const chosen = node;
      const condition = this.#parseOr();
      this.#expect("else");
      const other = this.#parseConditional();
      node = (slots) => (isTruthy(condition(slots)) ? chosen(slots) : other(slots));
    }
    this.#depth -= 1;
    return node;
  }

  #parseOr(): Node {
    let left = this.#parseAnd();
    while (this.#take("or")) {
      const first = left;
      const second = this.#parseAnd();
      left = (slots) => {
        const value = first(slots);
        return isTruthy(value) ? value : second(slots);
      };
    }
    return left;
  }

  #parseAnd(): Node {
    let left = this.#parseNot();
    while (this.#take("and")) {
      const first = left;
      const second = this.#parseNot();
      left = (slots) => {
        const value = first(slots);
        return isTruthy(value) ? second(slots) : value;
      };
    }
    return left;
  }

  #parseNot(): Node {
    let negations = 0;
    while (this.#take("not")) {
      negations += 1;
    }
    const node = this.#parseComparison();
    return negations === 0 ? node : (slots) => isTruthy(node(slots)) === (negations % 2 === 0);
  }

  /** `a < b <= c` means `a < b and b <= c`. */
  #parseComparison(): Node {
    const first = this.#parseLevel(0);
    const rest: { readonly test: (a: PythonValue, b: PythonValue) => boolean; node: Node }[] = [];
    for (let test = this.#takeComparison(); test !== undefined; test = this.#takeComparison()) {
      rest.push({ test, node: this.#parseLevel(0) });
    }
    if (rest.length === 0) {
      return first;
    }
    return (slots) => {
      let left = first(slots);
      for (const { test, node } of rest) {
        const right = node(slots);
        if (!test(left, right)) {
          return false;
        }
        left = right;
      }
      return true;
    };
  }

  #takeComparison(): ((a: PythonValue, b: PythonValue) => boolean) | undefined {
    if (this.#take("==")) {
      return isEqual;
    }
    if (this.#take("!=")) {
      return (a, b) => !isEqual(a, b);
    }
    const accepts = own(COMPARISONS, this.#operator());
    if (accepts === undefined) {
      return undefined;
    }
    this.#index += 1;
    return (a, b) => accepts(ordered(a, b));
  }

  #parseLevel(level: number): Node {
    const operators = LEVELS[level];
    if (operators === undefined) {
      return this.#parseUnary();
    }
    let left = this.#parseLevel(level + 1);
    for (;;) {
      const operation = own(operators, this.#operator());
      if (operation === undefined) {
        return left;
      }
      this.#index += 1;
      const first = left;
      const second = this.#parseLevel(level + 1);
      left = (slots) => operation(first(slots), second(slots));
    }
  }

  #parseUnary(): Node {
    const operations: ((value: PythonValue) => PythonValue)[] = [];
    for (
      let operation = own(UNARY, this.#operator());
      operation !== undefined;
      operation = own(UNARY, this.#operator())
    ) {
      operations.unshift(operation);
      this.#index += 1;
    }
    const node = this.#parsePower();
    return operations.length === 0
      ? node
      : (slots) => operations.reduce((value, operation) => operation(value), node(slots));
  }

  /** Binds tighter than a sign on its left, not on its right, and associates to the right. */
  #parsePower(): Node {
    const base = this.#parseAtom();
    if (!this.#take("**")) {
      return base;
    }
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) {
      throw refuse(this.#source, this.#token().at, `more than ${MAX_DEPTH} levels of nesting`);
    }
    const exponent = this.#parseUnary();
    this.#depth -= 1;
    return (slots) => power(base(slots), exponent(slots));
  }

  #parseAtom(): Node {
    const token = this.#token();
    this.#index += 1;
    switch (token.kind) {
      case "number": {
        const value = /^0x|^\d+$/i.test(token.text) ? BigInt(token.text) : Number(token.text);
        return () => value;
      }
      case "tag":
        return this.#slot({ use: "number", kind: "tag", name: token.text });
      case "text":
        return this.#parseText(token.text);
      case "name":
        return this.#parseName(token);
      default:
        if (token.text === "(") {
          const node = this.#parseConditional();
          this.#expect(")");
          return node;
        }
        this.#index -= 1;
        throw this.#unexpected();
    }
  }

  #parseText(text: string): Node {
    const parts = splitTags(text).map((part) =>
      typeof part === "string"
        ? () => part
        : this.#slot({ use: "text", kind: "tag", name: part.tag }),
    );
    return (slots) => parts.map((part) => String(part(slots))).join("");
  }

  #parseName(token: Token): Node {
    if (this.#variables.includes(token.text)) {
      return this.#slot({ use: "number", kind: "variable", name: token.text });
    }
    const constant = own(CONSTANTS, token.text);
    if (constant !== undefined) {
      return () => constant;
    }
    const builtin = own(BUILTINS, token.text);
    if (builtin === undefined || !this.#take("(")) {
      throw refuse(this.#source, token.at, `unexpected "${token.text}"`);
    }
    const nodes: Node[] = [];
    while (!this.#take(")")) {
      if (nodes.length > 0) {
        this.#expect(",");
      }
      nodes.push(this.#parseConditional());
    }
    if (nodes.length < builtin.least || nodes.length > builtin.most) {
      throw refuse(this.#source, token.at, `wrong number of arguments of ${token.text}()`);
    }
    return (slots) => builtin.call(nodes.map((node) => node(slots)));
  }

  /** The same value twice uses one slot. */
  #slot(wanted: Slot): Node {
    const known = this.slots.findIndex(
      ({ use, kind, name }) => use === wanted.use && kind === wanted.kind && name === wanted.name,
    );
    const index = known === -1 ? this.slots.push(wanted) - 1 : known;
    return (slots) => {
      const value = slots[index];
      assert(value !== undefined, "every slot is bound before the calculation");
      return value;
    };
  }

  #token(): Token {
    const token = this.#tokens[this.#index];
    assert(token !== undefined, "the end token is never passed");
    return token;
  }

  /** The operator that comes next, "" for anything else. */
  #operator(): string {
    const token = this.#token();
    return token.kind === "operator" ? token.text : "";
  }

  #take(text: string): boolean {
    const token = this.#token();
    if (token.text !== text || (token.kind !== "operator" && token.kind !== "name")) {
      return false;
    }
    this.#index += 1;
    return true;
  }

  #expect(text: string): void {
    if (!this.#take(text)) {
      throw this.#unexpected(`, need "${text}"`);
    }
  }

  #unexpected(need = ""): DataError {
    const token = this.#token();
    const found = token.kind === "end" ? "end" : `"${token.text}"`;
    return refuse(this.#source, token.at, `unexpected ${found}${need}`);
  }
}

/** Not what a table inherits, such as `constructor`. */
function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
