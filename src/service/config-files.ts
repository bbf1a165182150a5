import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { LoadedConfiguration } from "../config/load.ts";

/** The file with the loggers. */
const LOGS_FILE = "logs.json";

/** The files of a configuration, and what was in them when they were read last. */
export class ConfigFiles {
  #hashes = new Map<string, string>();

  /** The content of a file; `undefined` when it cannot be read. */
  static textOf(file: string): string | undefined {
    try {
      return readFileSync(file, "utf8");
    } catch {
      return undefined;
    }
  }

  /** Absolute paths, also of files that are missing. */
  get names(): readonly string[] {
    return [...this.#hashes.keys()];
  }

  /** What is in the known files at this moment. */
  snapshot(): ReadonlyMap<string, string> {
    return new Map(this.names.map((file) => [file, hashOf(file)]));
  }

  /** From here on a file has changed when it differs from what it was at `snapshot`, or is at this moment. */
  note(loaded: LoadedConfiguration, snapshot: ReadonlyMap<string, string> = new Map()): void {
    // Of a configuration that cannot be read nobody knows the files.
    const names = loaded.fatal ? [...snapshot.keys(), loaded.mainFile] : namesOf(loaded);
    this.#hashes = new Map(names.map((file) => [file, snapshot.get(file) ?? hashOf(file)]));
  }

  /** Whether the content of any file is another one. */
  haveChanged(): boolean {
    return [...this.#hashes].some(([file, hash]) => hashOf(file) !== hash);
  }

  /** The files that can be read, with their content. */
  texts(): readonly (readonly [file: string, text: string])[] {
    return this.names.flatMap((file) => {
      const text = ConfigFiles.textOf(file);
      return text === undefined ? [] : [[file, text] as const];
    });
  }
}

function namesOf({ mainFile, configDir, connectors, gateway }: LoadedConfiguration): string[] {
  const { statistics, deviceFiltering } = gateway.thingsboard;
  const { configuration = "" } = statistics;
  const beside = [
    LOGS_FILE,
    configuration,
    deviceFiltering.enable ? deviceFiltering.filterFile : "",
  ];
  const files = [
    mainFile,
    ...connectors.map(({ file }) => file),
    ...beside.filter((name) => name !== "").map((name) => resolve(configDir, name)),
  ];
  return [...new Set(files)];
}

function hashOf(file: string): string {
  const text = ConfigFiles.textOf(file);
  return text === undefined ? "missing" : createHash("sha256").update(text).digest("hex");
}
