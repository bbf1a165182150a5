import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { importsOf, resolveImport } from "#platform/module-cache";

/** Largest script that is loaded; a bundle with large libraries has a tenth of it. */
const MAX_BYTES = 32 * 2 ** 20;
/** Most files that one extension may consist of. */
const MAX_FILES = 500;

/** A script as it is on disk. */
export interface SourceFile {
  readonly file: string;
  /** SHA-256 of its bytes, in hexadecimal. */
  readonly sha256: string;
}

/** An extension as it is on disk: the file that is imported, and those it imports by relative path. */
export interface Source extends SourceFile {
  readonly parts: readonly SourceFile[];
  /** Another one when any of the files has changed. The SHA-256 of the file when it is alone. */
  readonly version: string;
}

/**
 * Reads the files of an extension without running any. @throws Error that says which file cannot be used, and why: it is not there, it
 * is too large, or everybody may write to it or its folder and `allowInsecure` is not set
 */
export function readSource(file: string, allowInsecure: boolean): Source {
  const found = new Map<string, SourceFile>();
  const waiting = [file];
  for (const path of waiting) {
    if (found.has(path)) {
      continue;
    }
    if (found.size >= MAX_FILES) {
      throw new Error(`it imports more than ${MAX_FILES} files: bundle them into one`);
    }
    const { bytes, sha256 } = readScript(path, allowInsecure);
    found.set(path, { file: path, sha256 });
    waiting.push(...relativeImports(path, bytes));
  }
  const [main, ...parts] = [...found.values()];
  if (main === undefined) {
    throw new Error("it cannot be read");
  }
  return {
    ...main,
    parts,
    version: parts.length === 0 ? main.sha256 : versionOf([main, ...parts]),
  };
}

/** What everybody may write to may hold anybody's program: `undefined` when a file or folder is safe or is not there. */
export function insecurity(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  const isOpen = stat !== undefined && (stat.mode & 0o002) !== 0;
  return isOpen
    ? `everybody may write to ${path}, so it is not loaded: "chmod o-w ${path}", or force it with --allow-insecure-extensions`
    : undefined;
}

/** The same of a folder `<root>/<type>` of extensions: whoever may write to it or its root may put a file there. */
export function folderInsecurity(folder: string): string | undefined {
  return insecurity(dirname(folder)) ?? insecurity(folder);
}

function readScript(
  path: string,
  allowInsecure: boolean,
): { readonly bytes: Buffer; readonly sha256: string } {
  const open = allowInsecure ? undefined : (insecurity(path) ?? insecurity(dirname(path)));
  if (open !== undefined) {
    throw new Error(open);
  }
  const { size } = statSync(path);
  if (size > MAX_BYTES) {
    throw new Error(`${path} has ${size} bytes, the largest that is loaded has ${MAX_BYTES}`);
  }
  const bytes = readFileSync(path);
  return { bytes, sha256: createHash("sha256").update(bytes).digest("hex") };
}

function relativeImports(path: string, bytes: Buffer): readonly string[] {
  const loader = /\.m?ts$/.exec(path) ? "ts" : /\.m?js$/.exec(path) ? "js" : undefined;
  if (loader === undefined) {
    return []; // Data, such as JSON.
  }
  let specifiers: readonly string[];
  try {
    specifiers = importsOf(bytes.toString("utf8"), loader);
  } catch {
    return []; // The import says what is wrong with it.
  }
  return specifiers
    .filter((specifier) => /^\.{0,2}\//.test(specifier))
    .flatMap((specifier) => resolveImport(specifier, dirname(path)) ?? [])
    .filter((target) => !target.includes("/node_modules/"));
}

function versionOf(files: readonly SourceFile[]): string {
  const hash = createHash("sha256");
  for (const { file, sha256 } of files) {
    hash.update(`${file} ${sha256}\n`);
  }
  return hash.digest("hex");
}
