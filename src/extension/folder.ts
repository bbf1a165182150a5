import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";

/** Names of files that are imported. */
const SCRIPT = /\.(?:ts|mts|js|mjs)$/;
/** Declarations and tests stand beside extensions and are none. */
const NO_CANDIDATE = /^[._]|\.d\.(?:ts|mts)$|\.test\.(?:ts|mts|js|mjs)$/;
/** What a folder that counts as one file starts with. */
const INDEX = ["index.ts", "index.mts", "index.js", "index.mjs"];
/** Most entries of one folder that are looked at. */
const MAX_ENTRIES = 1000;

/** A file that may hold definitions. */
export interface Candidate {
  /** Absolute path of what is imported. */
  readonly file: string;
  /** Its name without the ending; of a folder with an index the folder's. */
  readonly stem: string;
}

/** The candidates in a folder, sorted by name; none when it is not there. @throws Error of the system when it cannot be read */
export function candidatesIn(folder: string): readonly Candidate[] {
  const candidates: Candidate[] = [];
  for (const name of namesIn(folder)) {
    if (NO_CANDIDATE.test(name)) {
      continue;
    }
    if (SCRIPT.test(name) && isFile(join(folder, name))) {
      candidates.push({ file: join(folder, name), stem: name.replace(SCRIPT, "") });
      continue;
    }
    const isFolder = name !== "node_modules" && isDirectory(join(folder, name));
    const index = isFolder ? INDEX.find((file) => isFile(join(folder, name, file))) : undefined;
    if (index !== undefined) {
      candidates.push({ file: join(folder, name, index), stem: name });
    }
  }
  return candidates;
}

/** A Python file of a folder that defines a class of this name. */
export function pythonFileOf(folder: string, className: string): string | undefined {
  const definition = new RegExp(`^\\s*class\\s+${RegExp.escape(className)}\\b`, "m");
  return namesIn(folder)
    .filter((name) => name.endsWith(".py"))
    .map((name) => join(folder, name))
    .find((file) => {
      try {
        return definition.test(readFileSync(file, "utf8"));
      } catch {
        return false; // What cannot be read says nothing about the name.
      }
    });
}

/** Whether a file's stem stands for a name: as it is, in kebab-case or in snake_case. */
export function isNamedAfter(stem: string, name: string): boolean {
  return [name, withSeparator(name, "-"), withSeparator(name, "_")].includes(stem);
}

/** `CustomMQTTConverter2` → `custom-mqtt-converter2`. */
function withSeparator(name: string, separator: string): string {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, `$1${separator}$2`)
    .replaceAll(/([A-Z])([A-Z][a-z])/g, `$1${separator}$2`)
    .replaceAll(/[-_\s]+/g, separator)
    .toLowerCase();
}

/** The folders of a root that hold extensions: one a type, `shared` and `rpc`. */
export function foldersOf(root: string): readonly string[] {
  return readableNamesIn(root)
    .filter((name) => !NO_CANDIDATE.test(name) && name !== "node_modules")
    .map((name) => join(root, name))
    .filter(isDirectory);
}

/** Size, times and identity of each file in and one level below a folder: another text when one has changed. */
export function fingerprintOf(folder: string): string {
  const lines: string[] = [];
  const add = (path: string, depth: number): void => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined || lines.length >= MAX_ENTRIES) {
      return;
    }
    lines.push([path, stat.size, stat.mtimeMs, stat.ctimeMs, stat.ino, stat.mode].join(" "));
    if (stat.isDirectory() && depth > 0 && basename(path) !== "node_modules") {
      for (const name of readableNamesIn(path)) {
        add(join(path, name), depth - 1);
      }
    }
  };
  add(folder, 2);
  return lines.join("\n");
}

function namesIn(folder: string): readonly string[] {
  return isDirectory(folder) ? readdirSync(folder).toSorted().slice(0, MAX_ENTRIES) : [];
}

function readableNamesIn(folder: string): readonly string[] {
  try {
    return namesIn(folder);
  } catch {
    return []; // Whoever needs something of it is told when it is looked for.
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
