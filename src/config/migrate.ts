import { copyFileSync, existsSync } from "node:fs";
import { errorText } from "#sdk/errors";
import { isJsonObject } from "#sdk/model";
import { writeFileAtomically } from "./atomic-file.ts";
import { canonical, fileText } from "./canonical.ts";
import type { LoadedConnector } from "./connectors.ts";
import { isYaml } from "./text-file.ts";

/** What became of one connector file. */
export interface Migration {
  readonly file: string;
  /** "written": in today's format, and `backup` holds what it was. */
  readonly result: "written" | "would-be-written" | "current" | "failed";
  readonly backup?: string;
  /** Why it failed. */
  readonly problem?: string;
}

/**
 * Rewrites a connector file of an older format in today's, and keeps the old one beside it as `.bak`. A file in today's format is left
 * alone, byte for byte. `dryRun` writes nothing. Never throws.
 */
export function migrateConnectorFile(
  connector: LoadedConnector,
  options: { readonly dryRun: boolean },
): Migration {
  const { file, raw, definition } = connector;
  if (!isJsonObject(raw)) {
    const problem = connector.issues[0]?.message ?? "the file cannot be read";
    return typeof raw === "string" ? { file, result: "current" } : failed(file, problem);
  }
  try {
    const upgraded = definition?.upgrade?.(structuredClone(raw)) ?? raw;
    if (canonical(upgraded) === canonical(raw)) {
      return { file, result: "current" };
    }
    if (isYaml(file)) {
      return failed(file, "it is YAML, which is not rewritten: save it as JSON first");
    }
    if (options.dryRun) {
      return { file, result: "would-be-written" };
    }
    const backup = freeName(file);
    copyFileSync(file, backup);
    writeFileAtomically(file, fileText(upgraded));
    return { file, result: "written", backup };
  } catch (error) {
    return failed(file, errorText(error));
  }
}

function failed(file: string, problem: string): Migration {
  return { file, result: "failed", problem };
}

/** An earlier `.bak` is somebody's file. */
function freeName(file: string): string {
  let name = `${file}.bak`;
  for (let index = 2; existsSync(name); index += 1) {
    name = `${file}.${index}.bak`;
  }
  return name;
}
