import { DataError } from "./errors.ts";

/** Source and flags for `new RegExp`. */
export interface TranslatedPattern {
  readonly pattern: string;
  readonly flags: string;
}

/** The flags that change how a part of a pattern is read; they end with the group they stand in. */
interface Mode {
  readonly ascii: boolean;
  readonly dotAll: boolean;
  readonly multiline: boolean;
  readonly verbose: boolean;
}

const FLAG_GROUP = /\(\?([aiLmsux]*)(?:-([imsx]+))?([:)])/y;
const NAMED_GROUP = /\(\?P<([^\W\d]\w*)>/uy;
const NAMED_REFERENCE = /\(\?P=([^\W\d]\w*)\)/uy;
const COMMENT = /\(\?#[^)]*\)/y;
const LOOK_OR_PLAIN = /\(\?(?::|=|!|<=|<!)/y;
const QUANTIFIER = /(?:[*+?]|\{\d+(?:,\d*)?\}|\{,\d+\})/y;
const VERBOSE_BLANK = /(?:\s+|#[^\n]*)+/y;
const CODE = /\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})/y;
const OCTAL = /\\(0[0-7]{0,2}|[0-3][0-7]{2})/y;
const REFERENCE = /\\([1-9]\d?)/y;
const SYNTAX = /[\^$\\.*+?()[\]{}|/]/;
/** Within a class these stand for themselves only when escaped. */
const CLASS_SYNTAX = /[\^$\\.*+?()[\]{}|/\-&!#%,:;<=>@`~]/;
const CONTROLS: ReadonlyMap<string, string> = new Map([
  ["a", "\x07"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["v", "\v"],
]);
const UNICODE_SETS: ReadonlyMap<string, string> = new Map([
  ["d", "\\p{Nd}"],
  ["D", "\\P{Nd}"],
  ["w", "[\\p{L}\\p{N}_]"],
  ["W", "[^\\p{L}\\p{N}_]"],
  ["s", "\\s"],
  ["S", "\\S"],
]);
const ASCII_SETS: ReadonlyMap<string, string> = new Map([
  ["d", "[0-9]"],
  ["D", "[^0-9]"],
  ["w", "[A-Za-z0-9_]"],
  ["W", "[^A-Za-z0-9_]"],
  ["s", "[ \\t\\n\\r\\f\\v]"],
  ["S", "[^ \\t\\n\\r\\f\\v]"],
]);

/** Translates a pattern of Python's `re` for the `v` flag. @throws DataError with reason `bad-pattern`. */
export function translatePattern(source: string): TranslatedPattern {
  return new Translator(source).translate();
}

class Translator {
  readonly #source: string;
  readonly #groups: Mode[] = [];
  #mode: Mode = { ascii: false, dotAll: false, multiline: false, verbose: false };
  #ignoresCase = false;
  #index = 0;
  #output = "";

  constructor(source: string) {
    this.#source = source;
  }

  translate(): TranslatedPattern {
    this.#readLeadingFlags();
    while (this.#index < this.#source.length) {
      this.#step();
    }
    if (this.#groups.length > 0) {
      throw this.#refuse("a group without its closing parenthesis");
    }
    return { pattern: this.#output, flags: this.#ignoresCase ? "iv" : "v" };
  }

  /** `(?im)` counts for the whole pattern and stands at its start only, as Python 3.11 demands. */
  #readLeadingFlags(): void {
    for (;;) {
      const match = this.#exec(FLAG_GROUP);
      if (match === undefined || match[3] !== ")" || match[2] !== undefined) {
        return;
      }
      this.#applyFlags(match[1] ?? "", true);
      this.#ignoresCase ||= (match[1] ?? "").includes("i");
      this.#index += match[0].length;
    }
  }

  #applyFlags(flags: string, on: boolean): void {
    if (flags.includes("L")) {
      throw this.#refuse("flag L needs a locale, which is not supported");
    }
    this.#mode = {
      ascii: flags.includes("a") ? on : this.#mode.ascii,
      dotAll: flags.includes("s") ? on : this.#mode.dotAll,
      multiline: flags.includes("m") ? on : this.#mode.multiline,
      verbose: flags.includes("x") ? on : this.#mode.verbose,
    };
  }

  #step(): void {
    const blank = this.#mode.verbose ? this.#exec(VERBOSE_BLANK) : undefined;
    if (blank !== undefined) {
      this.#index += blank[0].length;
      return;
    }
    const quantifier = this.#exec(QUANTIFIER);
    if (quantifier !== undefined) {
      this.#readQuantifier(quantifier[0]);
      return;
    }
    const character = this.#character();
    switch (character) {
      case "\\":
        this.#output += this.#readEscape();
        return;
      case "[":
        this.#readClass();
        return;
      case "(":
        this.#openGroup();
        return;
      case ")":
        this.#closeGroup();
        return;
      default:
        this.#index += character.length;
        this.#output += this.#plain(character);
    }
  }

  /** A character outside classes that opens nothing. */
  #plain(character: string): string {
    switch (character) {
      case ".":
        return this.#mode.dotAll ? "[\\s\\S]" : "[^\\n]";
      case "^":
        return this.#mode.multiline ? "(?<![^\\n])" : "^";
      case "$":
        return this.#mode.multiline ? "(?![^\\n])" : "(?=\\n?$)";
      case "|":
        return "|";
      default:
        return SYNTAX.test(character) ? `\\${character}` : character;
    }
  }

  #readQuantifier(text: string): void {
    this.#index += text.length;
    this.#output += text.startsWith("{,") ? `{0${text.slice(1)}` : text;
    if (this.#source.charAt(this.#index) === "?") {
      this.#index += 1;
      this.#output += "?";
    } else if (this.#source.charAt(this.#index) === "+") {
      throw this.#refuse(`the possessive quantifier ${text}+ is not supported, use ${text}`);
    }
  }

  #openGroup(): void {
    const flags = this.#exec(FLAG_GROUP);
    if (flags !== undefined && flags[0] !== "(?:") {
      this.#openFlagGroup(flags);
      return;
    }
    const named = this.#exec(NAMED_GROUP);
    const reference = this.#exec(NAMED_REFERENCE);
    const comment = this.#exec(COMMENT);
    const other = this.#exec(LOOK_OR_PLAIN);
    if (comment !== undefined) {
      this.#index += comment[0].length;
    } else if (reference !== undefined) {
      this.#index += reference[0].length;
      this.#output += `\\k<${reference[1]}>`;
    } else if (named !== undefined) {
      this.#enter(named[0], `(?<${named[1]}>`);
    } else if (other !== undefined) {
      this.#enter(other[0], other[0]);
    } else if (this.#source.startsWith("(?", this.#index)) {
      throw this.#refuseGroup();
    } else {
      this.#enter("(", "(");
    }
  }

  #refuseGroup(): DataError {
    if (this.#source.startsWith("(?>", this.#index)) {
      return this.#refuse("the atomic group (?>…) is not supported, use (?:…)");
    }
    if (this.#source.startsWith("(?(", this.#index)) {
      return this.#refuse("the condition (?(…)…|…) is not supported");
    }
    return this.#refuse("an unknown group");
  }

  #openFlagGroup(match: RegExpExecArray): void {
    const [text, on = "", off = "", end] = match;
    if (end === ")") {
      throw this.#refuse(`flags such as ${text} belong at the start of the pattern`);
    }
    const sign = `${on.includes("i") ? "i" : ""}${off.includes("i") ? "-i" : ""}`;
    this.#enter(text, `(?${sign}:`);
    this.#applyFlags(on, true);
    this.#applyFlags(off, false);
  }

  #enter(text: string, output: string): void {
    this.#groups.push(this.#mode);
    this.#index += text.length;
    this.#output += output;
  }

  #closeGroup(): void {
    const outer = this.#groups.pop();
    if (outer === undefined) {
      throw this.#refuse("a closing parenthesis without its group");
    }
    this.#mode = outer;
    this.#index += 1;
    this.#output += ")";
  }

  /** An escape outside classes. */
  #readEscape(): string {
    const kind = this.#source.charAt(this.#index + 1);
    const special = this.#special(kind);
    if (special !== undefined) {
      this.#index += 2;
      return special;
    }
    const octal = this.#exec(OCTAL);
    const reference = octal === undefined ? this.#exec(REFERENCE) : undefined;
    if (reference !== undefined) {
      this.#index += reference[0].length;
      // The group keeps a digit that follows out of the number.
      return `(?:\\${reference[1]})`;
    }
    const set = this.#classSet(kind);
    if (set !== undefined) {
      this.#index += 2;
      return set;
    }
    const literal = this.#readLiteralEscape();
    return SYNTAX.test(literal) ? `\\${literal}` : literal;
  }

  #special(kind: string): string | undefined {
    const word = this.#classSet("w") ?? "";
    switch (kind) {
      case "A":
        return "^";
      case "Z":
        return "$";
      case "b":
        return `(?:(?<=${word})(?!${word})|(?<!${word})(?=${word}))`;
      case "B":
        return `(?:(?<=${word})(?=${word})|(?<!${word})(?!${word}))`;
      default:
        return undefined;
    }
  }

  /** The class a letter stands for; usable outside classes and nested in one. */
  #classSet(kind: string): string | undefined {
    return (this.#mode.ascii ? ASCII_SETS : UNICODE_SETS).get(kind);
  }

  /** The one character an escape stands for; moves behind it. */
  #readLiteralEscape(): string {
    const coded = this.#readCode();
    if (coded !== undefined) {
      return coded;
    }
    this.#index += 1;
    const character = this.#character();
    const control = CONTROLS.get(character);
    if (control === undefined && /^[A-Za-z0-9]?$/.test(character)) {
      throw this.#refuse(`the escape \\${character} is unknown`);
    }
    this.#index += character.length;
    return control ?? character;
  }

  /** A character given by its number. */
  #readCode(): string | undefined {
    const hex = this.#exec(CODE);
    const match = hex ?? this.#exec(OCTAL);
    if (match === undefined) {
      return undefined;
    }
    const digits = match[1] ?? "";
    const point =
      hex === undefined ? Number.parseInt(digits, 8) : Number.parseInt(digits.slice(1), 16);
    if (point > 0x10ffff) {
      throw this.#refuse("a code point beyond 10FFFF");
    }
    this.#index += match[0].length;
    return String.fromCodePoint(point);
  }

  #readClass(): void {
    this.#index += 1;
    const isNegated = this.#source.charAt(this.#index) === "^";
    this.#index += isNegated ? 1 : 0;
    let output = isNegated ? "[^" : "[";
    // A bracket right at the start is a character of the class.
    for (let isFirst = true; isFirst || this.#source.charAt(this.#index) !== "]"; isFirst = false) {
      output += this.#readClassItem();
    }
    this.#index += 1;
    this.#output += `${output}]`;
  }

  #readClassItem(): string {
    const start = this.#readClassCharacter();
    const isRange =
      this.#source.charAt(this.#index) === "-" && this.#source.charAt(this.#index + 1) !== "]";
    if (!isRange) {
      return start.text;
    }
    this.#index += 1;
    const end = this.#readClassCharacter();
    if (start.isSet || end.isSet) {
      throw this.#refuse("a range in […] must be between two characters");
    }
    return `${start.text}-${end.text}`;
  }

  #readClassCharacter(): { readonly text: string; readonly isSet: boolean } {
    if (this.#index >= this.#source.length) {
      throw this.#refuse("a class without its closing bracket");
    }
    let character = this.#character();
    if (character === "\\") {
      const kind = this.#source.charAt(this.#index + 1);
      const set = this.#classSet(kind);
      if (set !== undefined || kind === "b") {
        this.#index += 2;
        return set === undefined ? { text: "\\x08", isSet: false } : { text: set, isSet: true };
      }
      character = this.#readLiteralEscape();
    } else {
      this.#index += character.length;
    }
    return { text: CLASS_SYNTAX.test(character) ? `\\${character}` : character, isSet: false };
  }

  /** The character at the index, of two code units where it needs them; "" behind the end. */
  #character(): string {
    const point = this.#source.codePointAt(this.#index);
    return point === undefined ? "" : String.fromCodePoint(point);
  }

  #exec(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#index;
    return pattern.exec(this.#source) ?? undefined;
  }

  #refuse(problem: string): DataError {
    return new DataError(
      `Cannot compile the pattern "${this.#source}": ${problem} (at character ${this.#index + 1})`,
      { reason: "bad-pattern" },
    );
  }
}
