import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dir, "../..");

/** A block of code of a README. */
export interface CodeBlock {
  /** `sh`, `ts`, `json`, `diff`, … */
  readonly language: string;
  readonly text: string;
  /** The file it is, when a comment before it says so. */
  readonly file: string | undefined;
}

/** The blocks of code of a README in their order, of one section (`## heading`) or of all. */
export function codeBlocks(readme: string, heading?: string): readonly CodeBlock[] {
  const all = readFileSync(join(root, readme), "utf8");
  const [, after = ""] = heading === undefined ? ["", all] : all.split(`\n## ${heading}\n`);
  const section = heading === undefined ? after : (after.split(/^## /m)[0] ?? "");
  const pattern = /(?:<!-- file: (\S+) -->\n)?```(\w+)\n([\s\S]*?)```/g;
  return [...section.matchAll(pattern)].map(([, file, language = "", text = ""]) => ({
    file,
    language,
    text,
  }));
}

/** The command lines of a block. */
export function linesOf({ text }: CodeBlock): readonly string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}
