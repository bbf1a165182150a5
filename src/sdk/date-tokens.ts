const LETTER = /\p{L}/u;
const DIGIT = /[0-9]/;
const BLANK = /\s/;

type State = "word" | "number" | "word." | "number.";

/**
 * Splits a date text as python-dateutil does: runs of letters, runs of digits, decimal numbers, single other characters; any
 * white space becomes one blank. A dot or comma belongs to a number only where it is its one decimal point, so `10:10:10.252` keeps
 * `10.252` while `25.12.2024` becomes five tokens.
 */
export function splitDate(text: string): readonly string[] {
  const tokens: string[] = [];
  let index = 0;
  while (index < text.length) {
    const character = text.charAt(index);
    if (!LETTER.test(character) && !DIGIT.test(character)) {
      tokens.push(BLANK.test(character) ? " " : character);
      index += 1;
      continue;
    }
    const { token, state } = readRun(text, index);
    tokens.push(...splitRun(token, state));
    index += token.length;
  }
  return tokens;
}

function readRun(text: string, start: number): { readonly token: string; readonly state: State } {
  let state: State = DIGIT.test(text.charAt(start)) ? "number" : "word";
  let end = start + 1;
  for (; end < text.length; end += 1) {
    const following = nextState(state, text.slice(start, end), text.charAt(end));
    if (following === undefined) {
      break;
    }
    state = following;
  }
  return { token: text.slice(start, end), state };
}

/** The state behind `character`, or `undefined` when it belongs to the next token. */
function nextState(state: State, token: string, character: string): State | undefined {
  if (state === "word." || state === "number.") {
    return nextDotted(state, token, character);
  }
  if (state === "word" ? LETTER.test(character) : DIGIT.test(character)) {
    return state;
  }
  const isDotted = character === "." || (state === "number" && isDecimalComma(token, character));
  return isDotted ? `${state}.` : undefined;
}

function nextDotted(
  state: "word." | "number.",
  token: string,
  character: string,
): State | undefined {
  const [own, other, changed] =
    state === "word." ? ([LETTER, DIGIT, "number."] as const) : ([DIGIT, LETTER, "word."] as const);
  if (character === "." || own.test(character)) {
    return state;
  }
  return token.endsWith(".") && other.test(character) ? changed : undefined;
}

function isDecimalComma(token: string, character: string): boolean {
  return character === "," && token.length >= 2;
}

function splitRun(token: string, state: State): readonly string[] {
  if (state === "word" || state === "number") {
    return [token];
  }
  const isOneNumber =
    state === "number." &&
    !LETTER.test(token) &&
    token.split(".").length <= 2 &&
    !/[.,]$/.test(token);
  return isOneNumber
    ? [token.includes(".") ? token : token.replace(",", ".")]
    : token.split(/([.,])/).filter((part) => part !== "");
}
