/** Rows in columns under a heading; a text in place of a row is a remark on the one before, indented. */
export function tableText(
  heading: readonly string[],
  rows: readonly (readonly string[] | string)[],
): string {
  const all = [heading, ...rows];
  const cells = all.filter((row) => typeof row !== "string");
  // The last column is not filled up.
  const widths = heading
    .slice(0, -1)
    .map((_name, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return all
    .map((row) =>
      typeof row === "string"
        ? `  ${row}\n`
        : `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}\n`,
    )
    .join("");
}
