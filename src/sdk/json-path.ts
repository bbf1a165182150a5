import { DataError } from "./errors.ts";
import { isJsonObject, type Json } from "./model.ts";

/** A path compiled once; both methods leave the value they read unchanged. */
export interface JsonPath {
  readonly source: string;
  /** The first match in document order; `undefined` when there is none. A JSON null that matches is `null`. */
  first(root: Json): Json | undefined;
  /** Every match in document order. Names that look like array indexes come first in an object, as the run time orders them. */
  all(root: Json): readonly Json[];
}

/** Takes one match; `true` ends the search. */
type Visit = (match: Json) => boolean;
type Step = (value: Json, root: Json, visit: Visit) => boolean;

/**
 * Compiles a path of the dialect of jsonpath-rw: `$`, `name`, `"any text"`, `'any text'`, `.`, `..`, `[n]`, `[-n]`, `[a:b]`, `[*]`,
 * `*`, `["name"]`, `["a","b"]`, `a|b`, `a where b`, parentheses. Brackets bind tightest; then, as there, `where`, `|`, `.` and
 * `..`. A bare name may hold any character but `.[],|*`, blanks inside it included, and may start
 * with a digit. Only an object's own members match. @throws DataError with reason `bad-expression` and the position.
 */
export function compileJsonPath(source: string): JsonPath {
  const parser = new PathParser(source);
  const step = parser.parse();
  const { plainNames } = parser;
  return {
    source,
    first: (root) => (plainNames === undefined ? firstOf(step, root) : walk(plainNames, root)),
    all: (root) => {
      const matches: Json[] = [];
      step(root, root, (match) => {
        matches.push(match);
        return false;
      });
      return matches;
    },
  };
}

/** An own member of an object; `undefined` for anything else, inherited members included. */
export function memberOf(value: Json, name: string): Json | undefined {
  return isJsonObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function firstOf(step: Step, root: Json): Json | undefined {
  let found: Json | undefined;
  step(root, root, (match) => {
    found = match;
    return true;
  });
  return found;
}

function walk(names: readonly string[], root: Json): Json | undefined {
  let value: Json | undefined = root;
  for (const name of names) {
    if (value === undefined) {
      return undefined;
    }
    value = memberOf(value, name);
  }
  return value;
}

const rootStep: Step = (_value, root, visit) => visit(root);

const anyMember: Step = (value, _root, visit) =>
  isJsonObject(value) && Object.values(value).some(visit);

function members(names: readonly string[]): Step {
  return (value, _root, visit) =>
    names.some((name) => {
      const member = memberOf(value, name);
      return member !== undefined && visit(member);
    });
}

function item(index: number): Step {
  return (value, _root, visit) => {
    if (typeof value === "string") {
      // By code points, so that a character outside the basic plane stays whole.
      const character = Array.from(value).at(index);
      return character !== undefined && visit(character);
    }
    const found = Array.isArray(value) ? listOf(value).at(index) : undefined;
    return found !== undefined && visit(found);
  };
}

function slice(start: number | undefined, end: number | undefined): Step {
  return (value, _root, visit) => value !== null && listOf(value).slice(start, end).some(visit);
}

/** The dialect takes a value that is no list as a list of that one value. */
function listOf(value: Json): readonly Json[] {
  return isList(value) ? value : [value];
}

/** `Array.isArray` does not narrow a readonly array. */
function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function child(left: Step, right: Step): Step {
  return (value, root, visit) => left(value, root, (match) => right(match, root, visit));
}

function union(left: Step, right: Step): Step {
  return (value, root, visit) => left(value, root, visit) || right(value, root, visit);
}

function where(left: Step, condition: Step): Step {
  return (value, root, visit) =>
    left(value, root, (match) => condition(match, root, () => true) && visit(match));
}

function descendants(left: Step, right: Step): Step {
  const search: Step = (value, root, visit) => {
    if (right(value, root, visit)) {
      return true;
    }
    if (isList(value)) {
      return value.some((entry) => search(entry, root, visit));
    }
    return isJsonObject(value) && Object.values(value).some((entry) => search(entry, root, visit));
  };
  return (value, root, visit) => left(value, root, (match) => search(match, root, visit));
}

const BLANK = /\s/;
const NAME_END = /[.[\],|*]/;
const INDEX = /^-?\d+$/;
const SLICE = /^(-?\d+)?\s*:\s*(-?\d+)?$/;
const WHERE = /^\s+where\s+/;
/** `$` is the root only where a name cannot go on. */
const ROOT = /^\$(?=[.[|,)\s]|$)/;

class PathParser {
  readonly #source: string;
  #index = 0;
  #names: string[] | undefined = [];

  constructor(source: string) {
    this.#source = source;
  }

  /** The names of a path such as `$.a.b`, `undefined` for any other path. Valid after `parse`. */
  get plainNames(): readonly string[] | undefined {
    return this.#names;
  }

  parse(): Step {
    const step = this.#parsePath();
    if (this.#rest() !== "") {
      throw this.#refuse("expected the end");
    }
    return step;
  }

  #parsePath(): Step {
    let left = this.#parseChildren();
    while (this.#take("..")) {
      this.#names = undefined;
      left = descendants(left, this.#parseChildren());
    }
    return left;
  }

  #parseChildren(): Step {
    let left = this.#parseUnion();
    while (!this.#rest().startsWith("..") && this.#take(".")) {
      left = child(left, this.#parseUnion());
    }
    return left;
  }

  #parseUnion(): Step {
    let left = this.#parseWhere();
    while (this.#take("|")) {
      this.#names = undefined;
      left = union(left, this.#parseWhere());
    }
    return left;
  }

  #parseWhere(): Step {
    let left = this.#parsePostfix();
    for (let match = this.#matchWhere(); match !== undefined; match = this.#matchWhere()) {
      this.#names = undefined;
      this.#index += match;
      left = where(left, this.#parsePostfix());
    }
    return left;
  }

  #matchWhere(): number | undefined {
    return WHERE.exec(this.#source.slice(this.#index))?.[0].length;
  }

  #parsePostfix(): Step {
    let left = this.#parseAtom();
    while (this.#rest().startsWith("[")) {
      left = child(left, this.#parseBrackets());
    }
    return left;
  }

  #parseAtom(): Step {
    const rest = this.#rest();
    if (rest.startsWith("[")) {
      return this.#parseBrackets();
    }
    if (ROOT.test(rest)) {
      this.#take("$");
      // A root behind another step starts again; the short cut does not know that.
      this.#names = this.#names?.length === 0 ? this.#names : undefined;
      return rootStep;
    }
    if (this.#take("*")) {
      this.#names = undefined;
      return anyMember;
    }
    if (this.#take("(")) {
      const inner = this.#parsePath();
      if (!this.#take(")")) {
        throw this.#refuse('expected ")"');
      }
      return inner;
    }
    return this.#parseNames();
  }

  #parseNames(): Step {
    const names = [this.#parseName()];
    while (this.#take(",")) {
      names.push(this.#parseName());
    }
    return this.#membersStep(names);
  }

  #membersStep(names: readonly string[]): Step {
    const [only] = names;
    if (names.length === 1 && only !== undefined) {
      this.#names?.push(only);
    } else {
      this.#names = undefined;
    }
    return members(names);
  }

  #parseName(): string {
    const quote = this.#rest().charAt(0);
    return quote === '"' || quote === "'" ? this.#parseQuoted(quote) : this.#parseBare();
  }

  #parseQuoted(quote: string): string {
    let name = "";
    for (this.#index += 1; this.#index < this.#source.length; this.#index += 1) {
      const character = this.#source.charAt(this.#index);
      if (character === quote) {
        this.#index += 1;
        return name;
      }
      if (character === "\\") {
        this.#index += 1;
      }
      name += this.#source.charAt(this.#index);
    }
    throw this.#refuse(`expected a closing ${quote}`);
  }

  #parseBare(): string {
    const start = this.#index;
    let depth = 0;
    for (; this.#index < this.#source.length; this.#index += 1) {
      const character = this.#source.charAt(this.#index);
      if (NAME_END.test(character) || (BLANK.test(character) && this.#matchWhere() !== undefined)) {
        break;
      }
      if (character === "(") {
        depth += 1;
      } else if (character === ")") {
        if (depth === 0) {
          break;
        }
        depth -= 1;
      }
    }
    const name = this.#source.slice(start, this.#index).trim();
    if (name === "") {
      throw this.#refuse("expected a name");
    }
    return name;
  }

  #parseBrackets(): Step {
    this.#take("[");
    const end = this.#source.indexOf("]", this.#index);
    const content = this.#source.slice(this.#index, end === -1 ? undefined : end).trim();
    const step = this.#parseNumeric(content);
    if (step !== undefined && end !== -1) {
      this.#names = undefined;
      this.#index = end + 1;
      return step;
    }
    const names = this.#parseNames();
    if (!this.#take("]")) {
      throw this.#refuse('expected "]"');
    }
    return names;
  }

  /** What `[…]` holds when it is no name: `*`, an index or a slice. */
  #parseNumeric(content: string): Step | undefined {
    if (content === "*") {
      return slice(undefined, undefined);
    }
    if (INDEX.test(content)) {
      return item(Number(content));
    }
    const bounds = SLICE.exec(content);
    if (bounds === null) {
      return undefined;
    }
    const [, start, end] = bounds;
    return slice(
      start === undefined ? undefined : Number(start),
      end === undefined ? undefined : Number(end),
    );
  }

  /** The text from the next character that is no blank. A blank before `where` stays, since it belongs to that word. */
  #rest(): string {
    if (this.#matchWhere() === undefined) {
      while (BLANK.test(this.#source.charAt(this.#index))) {
        this.#index += 1;
      }
    }
    return this.#source.slice(this.#index);
  }

  #take(token: string): boolean {
    if (!this.#rest().startsWith(token)) {
      return false;
    }
    this.#index += token.length;
    return true;
  }

  #refuse(need: string): DataError {
    return new DataError(
      `Cannot read path "${this.#source}": ${need} at character ${this.#index + 1}`,
      { reason: "bad-expression" },
    );
  }
}
