const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A duration as people say it, in the two largest units: `11 d 4 h`, `38 min`, `4 s`. */
export function durationText(ms: number): string {
  if (ms < MINUTE) {
    return `${Math.max(0, Math.round(ms / SECOND))} s`;
  }
  if (ms < HOUR) {
    return `${Math.round(ms / MINUTE)} min`;
  }
  if (ms < DAY) {
    return pair(Math.round(ms / MINUTE), 60, ["h", "min"]);
  }
  return pair(Math.round(ms / HOUR), 24, ["d", "h"]);
}

function pair(count: number, base: number, [large, small]: readonly [string, string]): string {
  const rest = count % base;
  const first = `${Math.floor(count / base)} ${large}`;
  return rest === 0 ? first : `${first} ${rest} ${small}`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** A size in powers of 1024: `1.0 GiB`, `512 B`. */
export function sizeText(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${UNITS[unit]}`;
}

/** A whole number with its thousands apart: `1,234,567`. */
export function countText(count: number): string {
  return count.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

/** A rate: `0`, `0.051`, `12.3`, `1,250`. */
export function rateText(perSecond: number): string {
  return perSecond >= 100
    ? countText(perSecond)
    : perSecond.toLocaleString("en-US", { maximumSignificantDigits: 3 });
}

/** Columns of a terminal that lines are kept within. */
const COLUMNS = 80;

/** `label` and `text` beside each other, the text broken between words within 80 columns and indented below its own begin. */
export function labelled(label: string, text: string, indent: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of printable(text).split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (longer.length > COLUMNS - indent && line !== "") {
      lines.push(line);
      line = word;
    } else {
      line = longer;
    }
  }
  lines.push(line);
  const head = printable(label);
  if (head.length >= indent) {
    lines.unshift("");
  }
  return lines
    .map((part, index) => `${(index === 0 ? head : "").padEnd(indent)}${part}`.trimEnd())
    .join("\n");
}

/** A text from outside without the characters that move a terminal's cursor. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, "?");
}
