import { type OptionRow, optionRows } from "./describe.ts";
import type { FileKind } from "./files.ts";

const BLOCK = /^<!-- options:begin ([^\n]*?) -->\n[\s\S]*?^<!-- options:end -->$/gm;

/** A text with its option tables brought up to date, and what could not be done. */
export interface Rewritten {
  readonly text: string;
  readonly problems: readonly string[];
}

/**
 * Replaces what stands between `<!-- options:begin NAME [PATH] -->` and `<!-- options:end -->` by the table of that file's
 * options, or of those below PATH. Everything else stays as it is.
 */
export function rewriteTables(text: string, kinds: readonly FileKind[]): Rewritten {
  const problems: string[] = [];
  const begins = text.match(/^<!-- options:begin /gm)?.length ?? 0;
  let found = 0;
  const rewritten = text.replaceAll(BLOCK, (block: string, marker: string) => {
    found += 1;
    const [name = "", prefix = ""] = marker.trim().split(/\s+/);
    const kind = kinds.find((candidate) => candidate.name === name);
    const rows = kind === undefined ? [] : rowsBelow(optionRows(kind.schema), prefix);
    if (rows.length === 0) {
      problems.push(`there are no options called "${marker.trim()}"`);
      return block;
    }
    return `<!-- options:begin ${marker.trim()} -->\n${optionTable(rows)}\n<!-- options:end -->`;
  });
  if (found !== begins) {
    problems.push("a table has no line <!-- options:end -->");
  }
  return { text: rewritten, problems };
}

function rowsBelow(rows: readonly OptionRow[], prefix: string): readonly OptionRow[] {
  if (prefix === "") {
    return rows;
  }
  return rows
    .filter((row) => row.path.startsWith(`${prefix}.`) || row.path.startsWith(`${prefix}[`))
    .map((row) => ({ ...row, path: row.path.slice(prefix.length).replace(/^(?:\[\])*\.?/, "") }))
    .filter((row) => row.path !== "");
}

/** The table in Markdown. Options without effect stand together below it. */
export function optionTable(rows: readonly OptionRow[]): string {
  const used = rows.filter((row) => !row.ignored);
  const ignored = rows.filter((row) => row.ignored);
  const lines = ["| Option | Type | Default | Meaning |", "|---|---|---|---|"];
  for (const row of used) {
    lines.push(
      `| \`${row.path}\` | ${cell(typeText(row))} | ${fallbackText(row)} | ${cell(meaning(row))} |`,
    );
  }
  if (ignored.length > 0) {
    const names = ignored.map((row) => `\`${row.path}\``).join(", ");
    lines.push("", `Accepted without effect: ${names}.`);
  }
  return lines.join("\n");
}

function typeText(row: OptionRow): string {
  return row.unit === "" ? row.type : `${row.type}, ${row.unit}`;
}

function fallbackText(row: OptionRow): string {
  if (row.required) {
    return "**required**";
  }
  return row.fallback === "" ? "" : `\`${cell(row.fallback)}\``;
}

function meaning(row: OptionRow): string {
  const marks = [...(row.secret ? ["secret"] : []), ...(row.reference ? ["reference"] : [])];
  return marks.length === 0 ? row.doc : `${row.doc} *(${marks.join(", ")})*`;
}

/** A `|` would end the cell of a table. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
