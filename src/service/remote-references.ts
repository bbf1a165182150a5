import { formatPath } from "#sdk/config";
import type { ConfigIssue } from "#sdk/errors";
import { isJsonObject, type Json } from "#sdk/model";
import { hasReference } from "../config/references.ts";

type Path = readonly (string | number)[];

/**
 * The references to environment variables and files in a pushed value that are not, character for character, in the same place of the
 * present one: the platform may send back what it was shown, and never point at anything else on this machine.
 */
export function foreignReferences(pushed: Json, present: Json | undefined): readonly ConfigIssue[] {
  const known = new Set<string>();
  walk(present ?? null, [], (path, text) => known.add(keyOf(path, text)));
  const issues: ConfigIssue[] = [];
  walk(pushed, [], (path, text) => {
    if (!known.has(keyOf(path, text))) {
      const message =
        "a reference to an environment variable or file can only be set on this machine";
      issues.push({ path: formatPath(path), message });
    }
  });
  return issues;
}

/** Elements of a list may have moved. */
function keyOf(path: Path, text: string): string {
  return JSON.stringify([path.map((part) => (typeof part === "number" ? 0 : part)), text]);
}

function walk(value: Json, path: Path, found: (path: Path, text: string) => void): void {
  if (typeof value === "string") {
    if (hasReference(value)) {
      found(path, value);
    }
  } else if (Array.isArray(value)) {
    for (const [index, element] of value.entries()) {
      walk(element, [...path, index], found);
    }
  } else if (isJsonObject(value)) {
    for (const [key, inner] of Object.entries(value)) {
      walk(inner, [...path, key], found);
    }
  }
}
