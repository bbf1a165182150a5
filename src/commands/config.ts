import { existsSync, readFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { defineCommand } from "citty";
import { writeFileAtomically } from "../config/atomic-file.ts";
import { type DirectoryChoice, findConfig, findDataDir, nonEmpty } from "../config/directories.ts";
import { loadConfiguration } from "../config/load.ts";
import { type Migration, migrateConnectorFile } from "../config/migrate.ts";
import { type Revision, Revisions } from "../config/revisions.ts";
import { connectorTypes } from "../connector/registry.ts";
import { systemClock } from "../sdk/clock.ts";
import { ConfigError } from "../sdk/errors.ts";
import { UsageError } from "./flags.ts";
import { print } from "./print.ts";

const directories = {
  config: { type: "string", description: "Directory with tb_gateway.json", valueHint: "DIR" },
  data: {
    type: "string",
    valueHint: "DIR",
    description: "Data directory (default: the one that run would use)",
  },
} as const;

interface Place {
  readonly configDir: string;
  readonly revisions: Revisions;
}

/** Works without a main file too: it may be what has to be restored. */
function placeOf(given: {
  readonly config?: string | undefined;
  readonly data?: string | undefined;
}): Place {
  const choice: DirectoryChoice = {
    configDir: given.config,
    dataDir: given.data,
    env: process.env,
    cwd: process.cwd(),
  };
  const configDir = configDirOf(choice);
  return { configDir, revisions: new Revisions(findDataDir(choice), configDir) };
}

function configDirOf(choice: DirectoryChoice): string {
  try {
    return findConfig(choice).configDir;
  } catch (error) {
    const named = choice.configDir ?? nonEmpty(choice.env["TB_GW_CONFIG_DIR"]);
    if (error instanceof ConfigError && named !== undefined && existsSync(named)) {
      return resolve(choice.cwd, named);
    }
    throw error;
  }
}

/** A file as a person names it: `mqtt.json`, or a path. */
function fileOf(place: Place, name: string): string {
  return resolve(place.configDir, name);
}

function contentOf(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

interface Listed {
  readonly file: string;
  /** 1 is the newest. */
  readonly revision: number;
  readonly time: string;
  readonly source: string;
  readonly bytes: number;
  /** The file has this content. */
  readonly current: boolean;
}

function listed(place: Place, name: string): readonly Listed[] {
  const { revisions } = place;
  const current = contentOf(fileOf(place, name));
  return revisions.list(name).map((revision, index) => {
    const text = revisions.read(revision);
    return {
      file: name,
      revision: index + 1,
      time: new Date(revision.time).toISOString(),
      source: revision.source,
      bytes: Buffer.byteLength(text),
      current: text === current,
    };
  });
}

/** What `tbgw config history` prints for people. */
function historyText(all: readonly Listed[]): string {
  if (all.length === 0) {
    return "No revisions are kept yet: a running gateway keeps the last 10 contents of each file.\n";
  }
  const lines: string[] = [];
  let file: string | undefined;
  for (const entry of all) {
    if (entry.file !== file) {
      lines.push(...(file === undefined ? [] : [""]), entry.file);
      ({ file } = entry);
    }
    const mark = entry.current ? "  <- the file as it is" : "";
    const size = `${entry.bytes} bytes`.padStart(12);
    lines.push(
      `  ${String(entry.revision).padStart(2)}  ${entry.time}  ${entry.source.padEnd(6)}${size}${mark}`,
    );
  }
  return `${lines.join("\n")}\n`;
}

const history = defineCommand({
  meta: { name: "history", description: "List the kept revisions of the files, newest first" },
  args: {
    file: { type: "positional", required: false, description: "Only this file, such as mqtt.json" },
    ...directories,
    json: { type: "boolean", description: "Print one JSON list" },
  },
  run: async ({ args }) => {
    const place = placeOf(args);
    const names =
      args.file === undefined
        ? place.revisions.names()
        : [place.revisions.nameOf(fileOf(place, args.file))];
    const all = names.flatMap((name) => listed(place, name));
    await print(args.json === true ? `${JSON.stringify(all, null, 2)}\n` : historyText(all));
    return 0;
  },
});

const restore = defineCommand({
  meta: {
    name: "restore",
    description: "Put a revision back in place; a running gateway takes it at once",
  },
  args: {
    file: { type: "positional", required: true, description: "The file, such as mqtt.json" },
    revision: {
      type: "positional",
      required: false,
      description: "Its number in the history (default: the newest that differs from the file)",
    },
    ...directories,
  },
  run: async ({ args }) => {
    const place = placeOf(args);
    const { revisions } = place;
    const file = fileOf(place, args.file);
    const before = contentOf(file);
    const revision = choose(revisions, revisions.nameOf(file), { before, number: args.revision });
    const text = revisions.read(revision);
    if (text === before) {
      await print(`${file} has this content already\n`);
      return 0;
    }
    const time = systemClock.now();
    if (before !== undefined) {
      revisions.keep(file, before, { source: "local", time });
    }
    writeFileAtomically(file, text);
    revisions.keep(file, text, { source: "local", time });
    const from = `${new Date(revision.time).toISOString()} (${revision.source})`;
    await print(`${file} is as it was on ${from}\n`);
    return 0;
  },
});

/** @throws UsageError when there is no such revision */
function choose(
  revisions: Revisions,
  name: string,
  wanted: { readonly before: string | undefined; readonly number: string | undefined },
): Revision {
  const kept = revisions.list(name);
  const chosen =
    wanted.number === undefined
      ? kept.find((revision) => revisions.read(revision) !== wanted.before)
      : kept[Number(wanted.number) - 1];
  if (chosen === undefined) {
    const which = wanted.number === undefined ? "other revision" : `revision ${wanted.number}`;
    throw new UsageError(`There is no ${which} of ${name}: "tbgw config history" lists them.`);
  }
  return chosen;
}

const migrate = defineCommand({
  meta: {
    name: "migrate",
    description: "Rewrite connector files of an older format in today's; the old ones stay as .bak",
  },
  args: {
    ...directories,
    "dry-run": { type: "boolean", description: "Only say what would be done" },
  },
  run: async ({ args }) => {
    const dryRun = args["dry-run"] === true;
    const loaded = await loadConfiguration({
      configDir: args.config,
      dataDir: args.data,
      env: process.env,
      cwd: process.cwd(),
      connectorTypes,
    });
    if (loaded.raw === undefined) {
      throw new ConfigError(loaded.mainFile, loaded.issues);
    }
    // Of connectors that nothing here runs, nobody knows the format.
    const known = loaded.connectors.filter(({ state }) => state !== "skipped");
    const done = known.map((connector) => migrateConnectorFile(connector, { dryRun }));
    await print(done.map((one) => `${migrationText(one)}\n`).join(""));
    return done.some(({ result }) => result === "failed") ? 1 : 0;
  },
});

function migrationText({ file, result, backup, problem }: Migration): string {
  const name = relative(process.cwd(), file) || file;
  switch (result) {
    case "written":
      return `${name}: rewritten in today's format, the old one is ${relative(process.cwd(), backup ?? "")}`;
    case "would-be-written":
      return `${name}: is in an older format and would be rewritten`;
    case "current":
      return `${name}: is in today's format`;
    case "failed":
      return `${name}: cannot be rewritten: ${problem}`;
  }
}

/** `tbgw config history`, `tbgw config restore` and `tbgw config migrate`. */
export const configCommand = defineCommand({
  meta: { name: "config", description: "Revisions of the configuration, and older formats" },
  subCommands: { history, restore, migrate },
});
