import { DataError } from "./errors.ts";
import { translatePattern } from "./python-pattern.ts";

/** A pattern of Python's `re` module, compiled once. It keeps no state between calls. */
export interface PythonRegex {
  /** The pattern as it was written. */
  readonly source: string;
  /** The first match anywhere. */
  search(text: string): RegExpExecArray | undefined;
  /** The match at the start; it need not reach the end. */
  match(text: string): RegExpExecArray | undefined;
  /** The match of the whole text. */
  fullMatch(text: string): RegExpExecArray | undefined;
  /**
   * Searches, and gives the group with the highest number that took part in the match, or the whole match where none did: the
   * rule of the ThingsBoard gateway for names taken out of a topic. `undefined`: no match.
   */
  lastGroup(text: string): string | undefined;
}

/**
 * Compiles a pattern in Python's syntax: named groups and references to them, flags at the start, `\A`, `\Z`, Unicode classes,
 * Python's `$` (also before a line feed at the end) and `.`. Unlike Python, a reference to a group that took no part matches
 * the empty text, and a group inside a repetition forgets its text when a later round does not use it.
 * @throws DataError with reason `bad-pattern` for what has no counterpart (atomic groups, possessive quantifiers, conditions).
 */
export function compilePythonRegex(source: string): PythonRegex {
  const { pattern, flags } = translatePattern(source);
  const anywhere = build(source, pattern, flags);
  const atStart = build(source, `^(?:${pattern})`, flags);
  const whole = build(source, `^(?:${pattern})$`, flags);
  return {
    source,
    search: (text) => anywhere.exec(text) ?? undefined,
    match: (text) => atStart.exec(text) ?? undefined,
    fullMatch: (text) => whole.exec(text) ?? undefined,
    lastGroup: (text) => anywhere.exec(text)?.findLast((group) => group !== undefined),
  };
}

function build(source: string, pattern: string, flags: string): RegExp {
  try {
    return new RegExp(pattern, flags);
  } catch (cause) {
    throw new DataError(`Cannot compile the pattern "${source}"`, { cause, reason: "bad-pattern" });
  }
}
