import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { defineCommand } from "citty";
import { findConfig } from "../../config/directories.ts";
import type { Inspected } from "../../extension/author-port.ts";
import { runAuthorTask } from "../../extension/author-runner.ts";
import { candidatesIn, foldersOf } from "../../extension/folder.ts";
import { extensionRoots } from "../../extension/roots.ts";
import { folderInsecurity } from "../../extension/source-files.ts";
import { systemClock } from "../../sdk/clock.ts";
import { ConfigError } from "../../sdk/errors.ts";
import { StopSignal } from "../../service/signals.ts";
import { extensionArgs, extensionFlags, UsageError } from "../flags.ts";
import { print } from "../print.ts";

/** `tbgw extension list` */
export const listCommand = defineCommand({
  meta: {
    name: "list",
    description: "List the extensions of this machine; exit code 1 when one cannot be used",
  },
  args: {
    ...extensionArgs,
    config: { type: "string", valueHint: "DIR", description: "Directory with tb_gateway.json" },
    json: { type: "boolean", description: "Print one JSON object" },
  },
  run: async ({ args, rawArgs }) => {
    const [extra] = args._;
    if (extra !== undefined) {
      throw new UsageError(`extension list takes no argument "${extra}"`);
    }
    const { extensions, allowInsecure } = extensionFlags(rawArgs, args);
    const roots = extensionRoots({
      flags: extensions,
      env: process.env,
      configDir: configDirOf(args.config),
      executable: process.execPath,
    });
    const files = await inspectAll(roots, allowInsecure);
    await print(
      args.json === true
        ? `${JSON.stringify({ roots, files }, undefined, 2)}\n`
        : listText(roots, files),
    );
    return files.some(({ problem }) => problem !== undefined) ? 1 : 0;
  },
});

/** A file and what is known of it. */
export interface ListedFile extends Inspected {
  readonly file: string;
}

/** Looks into every file of the folders, each in a thread of its own. */
export async function inspectAll(
  roots: readonly string[],
  allowInsecure: boolean,
): Promise<readonly ListedFile[]> {
  using stop = new StopSignal();
  const listed: ListedFile[] = [];
  for (const folder of roots.flatMap(foldersOf)) {
    const open = allowInsecure ? undefined : folderInsecurity(folder);
    for (const { file } of candidatesIn(folder)) {
      if (open !== undefined) {
        listed.push({ file, sha256: "", definitions: [], problem: open });
        continue;
      }
      let found: Inspected | undefined;
      let said = "";
      await runAuthorTask(
        { kind: "inspect", file, allowInsecure },
        {
          clock: systemClock,
          signal: stop.signal,
          out: () => undefined,
          problem: (text) => {
            said = text;
          },
          found: (one) => {
            found = one;
          },
        },
      );
      const state: Inspected = found ?? { sha256: "", definitions: [], problem: said };
      listed.push({ file, ...state, problem: misplaced(state, folder) ?? state.problem });
    }
  }
  return [...listed, ...roots.flatMap(foldersOf).flatMap(pythonFilesIn)];
}

/** Files that a Python gateway would have run: listed, so that nobody wonders why they do nothing. */
function pythonFilesIn(folder: string): readonly ListedFile[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".py") && !name.startsWith("__"))
    .map((name) => ({
      file: join(folder, name),
      sha256: "",
      definitions: [],
      problem: "Python extensions are not supported: port it",
    }));
}

/** A definition is found only in the folder of its type. */
function misplaced({ definitions }: Inspected, folder: string): string | undefined {
  const place = basename(folder).toLowerCase();
  const other = definitions.find(({ kind, type }) =>
    kind === "rpc" ? place !== "rpc" : place !== "shared" && place !== type,
  );
  return other === undefined
    ? undefined
    : `it defines ${other.kind} ${other.name ?? ""} of type ${other.type}, which is looked for in a folder named ${other.type}`;
}

/** One line a definition: kind, name, type, state, hash, file. */
export function listText(roots: readonly string[], files: readonly ListedFile[]): string {
  const rows = files.flatMap(({ file, sha256, definitions, problem }) => {
    const state = problem === undefined ? "ok" : "unusable";
    const hash = sha256.slice(0, 12);
    const found = definitions.length === 0 ? [undefined] : definitions;
    const lines = found.map((one) => [
      one?.kind ?? "-",
      one?.name ?? "-",
      one?.type ?? "-",
      state,
      hash,
      file,
    ]);
    return problem === undefined ? lines : [...lines, ["", problem]];
  });
  if (rows.length === 0) {
    return `There are no extensions in\n${roots.map((root) => `  ${root}\n`).join("")}`;
  }
  const all = [["KIND", "NAME", "TYPE", "STATE", "SHA-256", "FILE"], ...rows];
  const widths = [0, 1, 2, 3, 4].map((column) =>
    Math.max(...all.filter((row) => row.length > 2).map((row) => row[column]?.length ?? 0)),
  );
  return all
    .map((row) =>
      row.length === 2
        ? `  ${row[1]}\n`
        : `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}\n`,
    )
    .join("");
}

/** Without a configuration the folder beside it is left out. @throws ConfigError when the one that was named is not there */
function configDirOf(given: string | undefined): string | undefined {
  try {
    return findConfig({ configDir: given, env: process.env, cwd: process.cwd() }).configDir;
  } catch (error) {
    if (given === undefined && error instanceof ConfigError) {
      return undefined;
    }
    throw error;
  }
}
