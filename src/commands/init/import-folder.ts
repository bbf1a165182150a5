import { existsSync, readFileSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { ConfigError } from "#sdk/errors";
import { isJsonObject, type Json } from "#sdk/model";
import { canonical, fileText, type JsonRecord, without } from "../../config/canonical.ts";
import type {
  ConnectorExtensions,
  ConnectorTypes,
  LoadedConnector,
} from "../../config/connectors.ts";
import type { Environment } from "../../config/directories.ts";
import { loadConfiguration } from "../../config/load.ts";
import { isYaml } from "../../config/text-file.ts";
import { type Draft, type DraftFile, MAIN_FILE } from "./draft.ts";

/** What a folder is read with. */
export interface Importing {
  /** Absolute. */
  readonly dir: string;
  readonly dataDir: string;
  readonly env: Environment;
  readonly cwd: string;
  readonly connectorTypes: ConnectorTypes;
  readonly extensions?: ConnectorExtensions | undefined;
}

/** A folder as a draft. */
export interface Imported {
  readonly draft: Draft;
  /** What is different from the folder, line by line. */
  readonly notes: readonly string[];
  /** The folder says who the gateway is on the platform, and not with the token of the installed file. */
  readonly hasPlatform: boolean;
}

/** Files that no other one names. */
const SIDE_FILES: Readonly<Record<string, string>> = {
  "logs.json": "where each log line goes",
  ".credentials": "credentials that provisioning gave",
  "connected_devices.json": "devices that the gateway knew",
};
const PLACEHOLDER = "YOUR_ACCESS_TOKEN";
const MAX_FILE_BYTES = 16 * 2 ** 20;

/**
 * Reads the configuration folder of a gateway, a Python one above all, with every file that it names. Connectors that nothing here runs, and
 * those whose file cannot be used, are left out with a note: the folder keeps them. @throws ConfigError when there is no main file to read
 */
export async function importFolder(importing: Importing): Promise<Imported> {
  const { dir, ...rest } = importing;
  const loaded = await loadConfiguration({ ...rest, configDir: dir });
  if (!isJsonObject(loaded.raw)) {
    throw new ConfigError(loaded.mainFile, loaded.issues);
  }
  const notes: string[] = [];
  const files = new Map<string, DraftFile>();
  const entries: Json[] = [];
  const rawEntries: Json | undefined = loaded.raw["connectors"];
  for (const entry of Array.isArray(rawEntries) ? rawEntries : []) {
    const connector = loaded.connectors.find((one) => isEntryOf(entry, one));
    if (connector?.state === "ready") {
      entries.push(entry);
      addConnector(connector, dir, { files, notes });
    } else {
      notes.push(leftOutNote(entry, connector));
    }
  }
  const main = { ...without(loaded.raw, "connectors"), connectors: entries };
  for (const [name, about] of Object.entries(SIDE_FILES)) {
    addFile(dir, name, { files, about });
  }
  for (const name of namesIn([main, ...loaded.connectors.flatMap(({ raw }) => raw ?? [])])) {
    addFile(dir, name, { files, about: "named by another file" });
  }
  if (isYaml(loaded.mainFile)) {
    notes.push(`${relative(dir, loaded.mainFile)} is written as ${MAIN_FILE}`);
  }
  files.delete(MAIN_FILE);
  return {
    draft: { main, files: [...files.values()], kept: [] },
    notes,
    hasPlatform: !loaded.fatal && !JSON.stringify(main).includes(PLACEHOLDER),
  };
}

function isEntryOf(entry: Json, { entry: loaded }: LoadedConnector): boolean {
  return (
    isJsonObject(entry) &&
    entry["name"] === loaded.name &&
    entry["configuration"] === loaded.configuration
  );
}

interface Collected {
  readonly files: Map<string, DraftFile>;
  readonly notes: string[];
}

/** A file of an older format comes in today's; one of today's as it is, byte for byte. */
function addConnector(
  { entry, file, raw, definition, name, type }: LoadedConnector,
  dir: string,
  { files, notes }: Collected,
): void {
  const about = `${name} (${type})`;
  const path = relative(dir, file);
  if (!isInside(path)) {
    return; // Named by an absolute path: it stays where it is.
  }
  const upgraded = upgrade(raw, definition);
  if (upgraded !== undefined && !isYaml(file)) {
    files.set(path, { name: path, content: fileText(upgraded), about });
    notes.push(`${entry.configuration} is written in today's format`);
    return;
  }
  files.set(path, { name: path, content: readFileSync(file), about });
}

function upgrade(
  raw: Json | undefined,
  definition: LoadedConnector["definition"],
): Json | undefined {
  if (!isJsonObject(raw) || definition?.upgrade === undefined) {
    return undefined;
  }
  const upgraded = definition.upgrade(structuredClone(raw));
  return canonical(upgraded) === canonical(raw) ? undefined : upgraded;
}

function leftOutNote(entry: Json, connector: LoadedConnector | undefined): string {
  const object: JsonRecord = isJsonObject(entry) ? entry : {};
  const name = typeof object["name"] === "string" ? object["name"] : "an entry without a name";
  const issue = connector?.issues.find(({ severity }) => severity === "error");
  return `left out: ${name}: ${issue?.message ?? "the entry is not complete"}`;
}

/** Adds a file of the folder, if it is one. */
function addFile(
  dir: string,
  name: string,
  { files, about }: { readonly files: Map<string, DraftFile>; readonly about: string },
): void {
  const path = relative(dir, resolve(dir, name));
  const file = join(dir, path);
  if (!isInside(path) || files.has(path) || !existsSync(file)) {
    return;
  }
  const stats = statSync(file);
  if (stats.isFile() && stats.size <= MAX_FILE_BYTES) {
    files.set(path, { name: path, content: readFileSync(file), about });
  }
}

function isInside(path: string): boolean {
  return path !== "" && !path.startsWith("..") && !path.startsWith("/");
}

/** Every text of a configuration that may be the name of a file. */
function namesIn(value: Json): readonly string[] {
  if (typeof value === "string") {
    return /^[^\0\n]{1,255}$/.test(value) && /[.]\w+$/.test(value) ? [value] : [];
  }
  if (Array.isArray(value)) {
    return value.flatMap((element: Json) => namesIn(element));
  }
  return isJsonObject(value) ? Object.values(value).flatMap((inner) => namesIn(inner)) : [];
}
