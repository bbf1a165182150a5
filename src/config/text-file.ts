import { readFileSync, statSync } from "node:fs";
import { errorText } from "#sdk/errors";
import { type Document, parseJson, parseYaml } from "./document.ts";
import { type FileIssue, textIssues } from "./issue.ts";

/** A larger file was not written by a person nor by a platform. */
const MAX_BYTES = 64 * 2 ** 20;

/** A file that could be read, or the reason why not. */
export type TextFile =
  | { readonly text: string; readonly issue?: undefined }
  | { readonly text?: undefined; readonly issue: FileIssue };

/** Texts that count in the place of files, by absolute path: what a change would make of them. */
export type Overlay = ReadonlyMap<string, string>;

/** Reads a text of at most 64 MiB. Never throws. */
export function readText(file: string, overlay?: Overlay): TextFile {
  const instead = overlay?.get(file);
  if (instead !== undefined) {
    return { text: instead };
  }
  try {
    const { size } = statSync(file);
    if (size > MAX_BYTES) {
      return { issue: fileIssue(file, `the file is larger than ${MAX_BYTES} bytes`) };
    }
    return { text: readFileSync(file, "utf8") };
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    const message = missing ? "the file is missing" : `cannot read the file: ${errorText(error)}`;
    return { issue: fileIssue(file, message) };
  }
}

/** A parsed file with what is wrong with its text; `document` is `undefined` when it could not be read. */
export interface ReadDocument {
  readonly document: Document | undefined;
  readonly issues: readonly FileIssue[];
}

/** Reads a file as YAML when it is called so, else as JSON. Never throws. */
export function readDocument(file: string, overlay?: Overlay): ReadDocument {
  const { text, issue } = readText(file, overlay);
  if (text === undefined) {
    return { document: undefined, issues: [issue] };
  }
  const document = isYaml(file) ? parseYaml(text) : parseJson(text);
  return { document, issues: textIssues(file, document) };
}

/** Whether a file is YAML by its name. */
export function isYaml(file: string): boolean {
  return /\.ya?ml$/i.test(file);
}

/** An error about a whole file. */
export function fileIssue(file: string, message: string): FileIssue {
  return { severity: "error", file, line: undefined, path: "$", message };
}
