import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { defineCommand } from "citty";
import { findConfig, findDataDir } from "../../config/directories.ts";
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
import { askRunning, type Running, runningFiles, runningText } from "./running.ts";
import { tableText } from "./table.ts";

/** `tbgw extension list` */
export const listCommand = defineCommand({
  meta: {
    name: "list",
    description:
      "List the extensions of this machine, and what a running gateway has of them; exit code 1 when one cannot be used",
  },
  args: {
    ...extensionArgs,
    config: { type: "string", valueHint: "DIR", description: "Directory with tb_gateway.json" },
    data: {
      type: "string",
      valueHint: "DIR",
      description: "Data directory of the gateway to ask (default: the one that run would use)",
    },
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
    const dataDir = findDataDir({ dataDir: args.data, env: process.env, cwd: process.cwd() });
    const running = await askRunning(dataDir);
    await print(
      args.json === true
        ? listJson(roots, files, running)
        : `${listText(roots, files)}\n${runningText(files, running)}`,
    );
    const isBad = [...files, ...(running.report?.files ?? [])].some(
      ({ problem }) => problem !== undefined,
    );
    return isBad ? 1 : 0;
  },
});

function listJson(
  roots: readonly string[],
  files: readonly ListedFile[],
  { report, problem }: Running,
): string {
  const states = new Map(
    (report === undefined ? [] : runningFiles(files, report)).map(({ file, state }) => [
      file,
      state,
    ]),
  );
  // Null in place of what is not known, so that a script finds each key.
  const gateway = report ?? null;
  const listed = files.map((one) => ({ ...one, running: states.get(one.file) ?? null }));
  const all = { roots, files: listed, gateway, gatewayProblem: problem };
  return `${JSON.stringify(all, undefined, 2)}\n`;
}

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
    return problem === undefined ? lines : [...lines, problem];
  });
  return rows.length === 0
    ? `There are no extensions in\n${roots.map((root) => `  ${root}\n`).join("")}`
    : tableText(["KIND", "NAME", "TYPE", "STATE", "SHA-256", "FILE"], rows);
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
