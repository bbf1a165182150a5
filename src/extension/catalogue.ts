import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { type Clock, systemClock } from "#sdk/clock";
import { ConfigError, type ConfigIssue, errorText } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { type DefinitionOf, isOfKind, type Kind, overrides, typeOf } from "./definitions.ts";
import {
  type Candidate,
  candidatesIn,
  fingerprintOf,
  foldersOf,
  isNamedAfter,
  pythonFileOf,
} from "./folder.ts";
import { type Loaded, Loader } from "./load.ts";
import { folderInsecurity } from "./source-files.ts";

/** What a catalogue is made from. */
export interface CatalogueOptions {
  /** Absolute folders in the order of their rank; see `extensionRoots`. They need not exist. */
  readonly roots: readonly string[];
  readonly log: Logger;
  /** `--allow-insecure-extensions`: also what everybody may write to. */
  readonly allowInsecure: boolean;
  /** Default: the system's. */
  readonly clock?: Clock;
}

/** A definition and where it comes from. */
export interface Found<K extends Kind = Kind> {
  readonly definition: DefinitionOf[K];
  /** Absolute path. */
  readonly file: string;
  /** SHA-256 of the file, in hexadecimal. */
  readonly sha256: string;
  /** Another one when the file, or one that it imports by relative path, has changed. */
  readonly version: string;
}

/** A file that was imported, or could not be. */
export interface LoadedFile {
  readonly file: string;
  /** Empty when the file could not be read. */
  readonly sha256: string;
  /** As in `Found`. */
  readonly version: string;
  readonly definitions: readonly {
    readonly kind: Kind;
    readonly type: string;
    /** `undefined`: a connector for every class. */
    readonly name: string | undefined;
  }[];
  /** What is wrong with it. */
  readonly problem: string | undefined;
}

/** How something is looked for. */
export interface FindOptions {
  /** The program has one of this name itself: only an extension that says `overridesBuiltin` goes before it. */
  readonly isBuiltin?: boolean;
}

/** Where definitions for all types may stand, after those of the type. */
const SHARED = "shared";

/**
 * The extensions in their folders. A file is imported when something is looked for that it may define, and again when it has
 * changed; what one file does wrong never costs what another one defines.
 */
export class ExtensionCatalogue {
  readonly #roots: readonly string[];
  readonly #log: Logger;
  readonly #allowInsecure: boolean;
  readonly #loader: Loader;
  /** What was said already, about which version. */
  readonly #said = new Set<string>();

  constructor({ roots, log, allowInsecure, clock = systemClock }: CatalogueOptions) {
    this.#roots = roots;
    this.#log = log;
    this.#allowInsecure = allowInsecure;
    this.#loader = new Loader({ clock, log, allowInsecure });
  }

  /**
   * The definition of a name, as its file is at this moment: folder after folder, in each the files named after it first, the
   * others when those have none. A connector is found by its class too when its definition has no name; without a `name` the only
   * one of the type is found. `undefined`: no file has anything to do with it.
   * @throws ConfigError when there are two, or when there is none and a file cannot be used that may have it
   */
  async find<K extends Kind>(
    kind: K,
    type: string,
    name: string | undefined,
    { isBuiltin = false }: FindOptions = {},
  ): Promise<Found<K> | undefined> {
    const wanted = { kind, type: type.toLowerCase(), name, isBuiltin };
    const problems: ConfigIssue[] = [];
    const folders = this.#foldersOf(wanted.type);
    for (const folder of folders) {
      const found = await this.#findIn(folder, wanted, problems);
      if (found !== undefined) {
        return found;
      }
    }
    if (isBuiltin) {
      return undefined;
    }
    const python =
      name === undefined ? undefined : firstOf(folders, (at) => pythonFileOf(at, name));
    if (python !== undefined) {
      const message = `Python extensions are not supported; port ${python}`;
      problems.push({ path: python, message });
    }
    if (problems.length > 0) {
      throw new ConfigError("extensions", problems);
    }
    return undefined;
  }

  /** The methods of the gateway that extensions define, each name once. What cannot be used is in the log, and goes into `problems`. */
  async methods(problems: ConfigIssue[] = []): Promise<readonly Found<"rpc">[]> {
    const methods = new Map<string, Found<"rpc">>();
    for (const folder of this.#foldersOf("rpc")) {
      const here: Found<"rpc">[] = [];
      for (const loaded of await this.#loadAll(this.#candidates(folder, problems), problems)) {
        here.push(...matching(loaded, "rpc"));
      }
      for (const found of here) {
        const { name } = found.definition;
        const same = here.filter(({ definition }) => definition.name === name);
        if (same.length > 1) {
          const files = same.map(({ file }) => file);
          const message = `the method "${name}" is defined twice, in ${files.join(" and ")}: remove one`;
          problems.push({ path: found.file, message });
          this.#sayOnce(`twice ${name} ${files.join()}`, () =>
            this.#log.error("A method of the gateway is defined twice and cannot be used", {
              name,
              files,
            }),
          );
        } else if (!methods.has(name)) {
          methods.set(name, found);
        }
      }
    }
    return [...methods.values()];
  }

  /** Every file that was imported or could not be, in its latest version. */
  loaded(): readonly LoadedFile[] {
    return this.#loader.files.map(({ file, sha256, version, problem, definitions }) => ({
      file,
      sha256,
      version,
      problem,
      definitions: definitions.map((definition) => ({
        kind: definition.kind,
        type: typeOf(definition),
        name: definition.name,
      })),
    }));
  }

  /** The names of a kind and type in the files that were imported, for the hint at a misspelt one. */
  known(kind: Kind, type: string): readonly string[] {
    return this.loaded()
      .flatMap(({ definitions }) => definitions)
      .filter((one) => one.kind === kind && one.type === type.toLowerCase())
      .flatMap(({ name }) => name ?? []);
  }

  /** What another thread makes a catalogue of the same files from. */
  get settings(): Pick<CatalogueOptions, "roots" | "allowInsecure"> {
    return { roots: this.#roots, allowInsecure: this.#allowInsecure };
  }

  /** Where extensions are looked for; the folders need not exist. */
  get roots(): readonly string[] {
    return this.#roots;
  }

  /** The folders of extensions that are there at this moment: the roots, those of the types, and those that count as one file. */
  get folders(): readonly string[] {
    return this.#roots.filter(existsSync).flatMap((root) => {
      const types = foldersOf(root);
      return [root, ...types, ...types.flatMap(foldersOf)];
    });
  }

  /** Calls `listener` whenever a file was imported, or could not be, until the result is disposed. It must not throw. */
  onLoaded(listener: () => void): Disposable {
    return this.#loader.onLoaded(listener);
  }

  /** Another text when anything in the folders has changed. */
  fingerprint(): string {
    return this.#roots.map(fingerprintOf).join("\n");
  }

  #foldersOf(type: string): readonly string[] {
    const names = type === "rpc" ? [type] : [type, SHARED];
    return this.#roots.flatMap((root) => {
      const folders = foldersOf(root);
      return names.flatMap((name) =>
        folders.filter((folder) => basename(folder).toLowerCase() === name),
      );
    });
  }

  async #findIn<K extends Kind>(
    folder: string,
    wanted: Wanted<K>,
    problems: ConfigIssue[],
  ): Promise<Found<K> | undefined> {
    const { name, isBuiltin } = wanted;
    const all = this.#candidates(folder, problems);
    const first = name === undefined ? [] : all.filter(({ stem }) => isNamedAfter(stem, name));
    const others = all.filter((candidate) => !first.includes(candidate));
    for (const files of [first, isBuiltin ? others.filter(mayOverride) : others]) {
      const loaded = await this.#loadAll(files, problems);
      const found = this.#choose(loaded, wanted);
      if (found !== undefined) {
        return found;
      }
    }
    return undefined;
  }

  /** The one definition that is wanted. @throws ConfigError when there are several */
  #choose<K extends Kind>(loaded: readonly Loaded[], wanted: Wanted<K>): Found<K> | undefined {
    const { kind, type, name, isBuiltin } = wanted;
    const ofType = loaded
      .flatMap((file) => matching(file, kind))
      .filter(({ definition }) => typeOf(definition) === type);
    const named = ofType.filter(({ definition }) => definition.name === name);
    const nameless = ofType.filter(({ definition }) => definition.name === undefined);
    const chosen =
      named.length > 0 ? named : nameless.length > 0 || name !== undefined ? nameless : ofType;
    const usable = isBuiltin ? chosen.filter((one) => overrides(one.definition)) : chosen;
    const [found, second] = usable;
    if (isBuiltin) {
      this.#reportBuiltin(chosen, wanted);
    }
    if (found !== undefined && second !== undefined) {
      throw new ConfigError("extensions", [
        { path: found.file, message: twiceText(usable, wanted) },
      ]);
    }
    return found;
  }

  /** An extension beside a built-in of its name never goes unnoticed, whichever of the two is used. */
  #reportBuiltin(found: readonly Found[], { kind, type, name }: Wanted<Kind>): void {
    for (const { definition, file, version } of found) {
      const facts = { kind, type, ...(name === undefined ? {} : { name }), file };
      this.#sayOnce(`builtin ${kind} ${type} ${name} ${file} ${version}`, () =>
        overrides(definition)
          ? this.#log.warn("An extension takes the place of a part of this program", facts)
          : this.#log.warn(
              'An extension has the name of a part of this program and is not used: "overridesBuiltin: true" in its definition would put it first',
              facts,
            ),
      );
    }
  }

  #candidates(folder: string, problems: ConfigIssue[]): readonly Candidate[] {
    let problem = this.#allowInsecure ? undefined : folderInsecurity(folder);
    try {
      const candidates = candidatesIn(folder);
      if (problem === undefined || candidates.length === 0) {
        return candidates;
      }
    } catch (error) {
      problem = errorText(error);
    }
    problems.push({ path: folder, message: problem });
    this.#sayOnce(`${folder} ${problem}`, () =>
      this.#log.error("A folder of extensions cannot be used", { folder, error: problem }),
    );
    return [];
  }

  async #loadAll(
    candidates: readonly Candidate[],
    problems: ConfigIssue[],
  ): Promise<readonly Loaded[]> {
    const all: Loaded[] = [];
    for (const { file } of candidates) {
      const loaded = await this.#loader.load(file);
      all.push(loaded);
      if (loaded.problem !== undefined) {
        problems.push({ path: file, message: loaded.problem });
      }
    }
    return all;
  }

  #sayOnce(key: string, say: () => void): void {
    if (!this.#said.has(key)) {
      this.#said.add(key);
      say();
    }
  }
}

interface Wanted<K extends Kind> {
  readonly kind: K;
  /** In lower case. */
  readonly type: string;
  readonly name: string | undefined;
  readonly isBuiltin: boolean;
}

function matching<K extends Kind>(loaded: Loaded, kind: K): readonly Found<K>[] {
  const { file, sha256, version } = loaded;
  return loaded.definitions.flatMap((definition) =>
    isOfKind(definition, kind) ? [{ definition, file, sha256, version }] : [],
  );
}

/** Only the text is looked at: a file that has nothing to do with the built-in is not run for it. */
function mayOverride({ file }: Candidate): boolean {
  try {
    return readFileSync(file, "utf8").includes("overridesBuiltin");
  } catch {
    return false;
  }
}

function twiceText(found: readonly Found[], { kind, type, name }: Wanted<Kind>): string {
  const files = found.map(({ file }) => file).join(" and ");
  const names = new Set(found.map(({ definition }) => definition.name));
  return names.size > 1
    ? `several extensions provide connectors of type "${type}" (${files}): choose one by "class"`
    : `${kind} ${name === undefined ? "" : `"${name}" `}of type "${type}" is defined twice, in ${files}: remove one`;
}

function firstOf<T, R>(list: readonly T[], find: (one: T) => R | undefined): R | undefined {
  for (const one of list) {
    const found = find(one);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}
