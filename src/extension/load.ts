import { forgetModule } from "#platform/module-cache";
import type { Clock } from "#sdk/clock";
import { errorText } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { type Definition, definitionsOf } from "./definitions.ts";
import { readSource, type Source } from "./source-files.ts";

/** How long the top level of a file may take, awaits included. */
const IMPORT_TIMEOUT_MS = 30_000;
/** Each version of a file stays in memory: that many are harmless. */
const MAX_RELOADS = 20;

/** What became of a file. */
export interface Loaded {
  readonly file: string;
  /** SHA-256 of the file; empty when it could not be read. */
  readonly sha256: string;
  /** Another one when the file, or one that it imports by relative path, has changed. */
  readonly version: string;
  readonly definitions: readonly Definition[];
  /** What is wrong, naming the place; the definitions are those that can be used all the same. */
  readonly problem: string | undefined;
}

/** What loading needs of its surroundings. */
export interface LoadDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly allowInsecure: boolean;
}

interface Entry {
  readonly version: string;
  readonly source: Source | undefined;
  readonly loaded: Promise<Loaded>;
  readonly reloads: number;
}

/** Imports files of extensions, each version of a file once. One that fails is a result like any other: `load` never throws. */
export class Loader {
  readonly #deps: LoadDeps;
  readonly #entries = new Map<string, Entry>();
  readonly #done = new Map<string, Loaded>();
  readonly #listeners = new Set<() => void>();

  constructor(deps: LoadDeps) {
    this.#deps = deps;
  }

  /** The file as it is on disk at this moment. */
  async load(file: string): Promise<Loaded> {
    const before = this.#entries.get(file);
    let source: Source | undefined;
    let problem = "";
    try {
      source = readSource(file, this.#deps.allowInsecure);
    } catch (error) {
      problem = errorText(error);
    }
    const version = source?.version ?? problem;
    if (before?.version === version) {
      return await before.loaded;
    }
    const reloads = before === undefined ? 0 : before.reloads + 1;
    const loaded =
      source === undefined
        ? Promise.resolve({ file, sha256: "", version, definitions: [], problem })
        : this.#import(source, before?.source);
    this.#entries.set(file, { version, source, loaded, reloads });
    if (reloads > MAX_RELOADS) {
      this.#deps.log.warn(
        "An extension was loaded many times and each version stays in memory: restart the gateway when it suits",
        { file, reloads },
      );
    }
    const result = await loaded;
    this.#done.set(file, result);
    for (const listener of this.#listeners) {
      listener();
    }
    return result;
  }

  /** Calls `listener` after each file, until the result is disposed. It must not throw. */
  onLoaded(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** Every file that was loaded, in its latest version. */
  get files(): readonly Loaded[] {
    return [...this.#done.values()];
  }

  async #import(source: Source, before: Source | undefined): Promise<Loaded> {
    const { file, sha256, version, parts } = source;
    // A gateway without extensions does not load what only they need.
    (await import("./host-modules.ts")).provideHostModules();
    if (before !== undefined) {
      // What it imports is kept by path: without this it would get the parts as they were.
      for (const part of [...before.parts, ...parts]) {
        forgetModule(part.file);
      }
      forgetModule(specifierOf(before));
    }
    const result = await this.#imported(source);
    const { definitions, problem } = result;
    const imports = Object.fromEntries(parts.map((part) => [part.file, part.sha256]));
    const facts = { file, sha256, ...(parts.length === 0 ? {} : { imports }) };
    if (problem === undefined) {
      const names = definitions.map(({ kind, name = "any class" }) => `${kind} ${name}`);
      this.#deps.log.info("Extension is loaded", { ...facts, defines: names });
    } else {
      this.#deps.log.error("Extension cannot be used", { ...facts, error: problem });
    }
    return { file, sha256, version, definitions, problem };
  }

  async #imported(source: Source): Promise<Pick<Loaded, "definitions" | "problem">> {
    const late = Promise.withResolvers<never>();
    using _timer = this.#deps.clock.timer(IMPORT_TIMEOUT_MS, () =>
      late.reject(new Error(`its top level took longer than ${IMPORT_TIMEOUT_MS} ms`)),
    );
    try {
      const importing: Promise<Record<string, unknown>> = import(specifierOf(source));
      importing.catch(() => undefined); // When it is late nobody waits for it.
      const { definitions, problems } = definitionsOf(
        await Promise.race([importing, late.promise]),
      );
      return { definitions, problem: problems.length === 0 ? undefined : problems.join("; ") };
    } catch (error) {
      return { definitions: [], problem: importErrorText(error, source) };
    }
  }
}

function specifierOf({ file, version }: Source): string {
  return `${file}?v=${version.slice(0, 16)}`;
}

/** Every message of the compiler with its place, or what the file has thrown with the line it did so. */
function importErrorText(error: unknown, { file, version }: Source): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return error.errors.map((one: unknown) => oneErrorText(one, file)).join("; ");
  }
  return oneErrorText(error, file).replaceAll(`?v=${version.slice(0, 16)}`, "");
}

function oneErrorText(error: unknown, file: string): string {
  const position: unknown = isObject(error) ? Reflect.get(error, "position") : undefined;
  const line: unknown = isObject(position) ? Reflect.get(position, "line") : undefined;
  const text = isObject(error) ? String(Reflect.get(error, "message") ?? error) : String(error);
  const place = typeof line === "number" && line > 0 ? `line ${line}: ` : thrownAt(error, file);
  const remedy = /^Cannot find (?:package|module) '[^./]/.test(text)
    ? ": bundle it into the file, or put it into a node_modules folder beside it"
    : "";
  return `${place}${text.replace(/ imported from .*$/, "")}${remedy}`;
}

/** The line of the file in the stack of an error that its top level has thrown. */
function thrownAt(error: unknown, file: string): string {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const at = stack.indexOf(file);
  const match = at < 0 ? null : /^(?:\?v=[0-9a-f]+)?:(\d+)/.exec(stack.slice(at + file.length));
  return match === null ? "" : `line ${match[1]}: `;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
