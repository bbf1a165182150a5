import { isDeepStrictEqual } from "node:util";
import type { Clock } from "#sdk/clock";
import { ConfigError, errorText } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { type StagedFile, stageFile } from "../config/atomic-file.ts";
import type { FileIssue } from "../config/issue.ts";
import type { LoadedConfiguration } from "../config/load.ts";
import type { Revisions } from "../config/revisions.ts";
import type { Overlay } from "../config/text-file.ts";
import type { StartFailure } from "../connector/reload.ts";
import type { ConnectorSetup } from "../connector/supervisor.ts";
import type { SessionSettings } from "../thingsboard/settings.ts";
import { ConfigFiles } from "./config-files.ts";
import type { GatewaySetup } from "./gateway-setup.ts";

/** Where the configuration comes from. */
export interface ConfigurationSource {
  /** Reads the files, or what a change would make of them. */
  load(overlay?: Overlay): Promise<LoadedConfiguration>;
  /** What a gateway is made from. */
  setup(loaded: LoadedConfiguration): GatewaySetup;
  /** The files of extensions, which are no configuration but change what a load comes to. Default: there are none. */
  readonly extensions?: ExtensionFolders | undefined;
  /** Their fingerprint before the first load: what came into them since has not been seen. Default: that of this moment. */
  readonly extensionsBefore?: string | undefined;
}

/** Folders with files of extensions. */
export interface ExtensionFolders {
  /** Where extensions are looked for; the folders need not exist. */
  readonly roots: readonly string[];
  /** Those that are there, with the ones inside. */
  readonly folders: readonly string[];
  /** Another text when anything in them has changed. */
  fingerprint(): string;
}

/** What can be changed while the gateway runs. */
export interface Actuators {
  /** @throws TransientError when the session does not prove itself: the one before goes on */
  swapSession(from: SessionSettings, to: SessionSettings): Promise<void>;
  /** @throws TransientError when the store cannot be used so: it is as before */
  changeStorage(to: GatewaySetup["storage"]): Promise<void>;
  /** A connector that does not start is as before. */
  replaceConnectors(setups: readonly ConnectorSetup[]): Promise<readonly StartFailure[]>;
  /** Takes everything that needs no trial. Must not throw. */
  takeSettings(setup: GatewaySetup, loaded: LoadedConfiguration): void;
}

/** What the configurator needs of its surroundings. */
export interface ConfiguratorDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly source: ConfigurationSource;
  /** Aborts when the gateway stops. */
  readonly stopping: AbortSignal;
  readonly revisions: Revisions;
  readonly actuators: Actuators;
  /** Told after each change that took effect, with who made it. */
  readonly onChanged: (source: "local" | "remote") => void;
  /** Secrets that no line of the log may hold. */
  readonly learnSecrets: (secrets: readonly string[]) => void;
}

/** Files of a change with their next content, by absolute path. */
export type ChangedFiles = ReadonlyMap<string, string>;

/**
 * The configuration that is in force, and the only way to change it. A change from elsewhere is a transaction: checked, tried, then
 * saved, or nothing of it happens. A change of the files by a person is taken as far as it can be used. One at a time.
 */
export class Configurator {
  readonly #deps: ConfiguratorDeps;
  readonly #files = new ConfigFiles();
  #current: LoadedConfiguration;
  /** What runs; it differs from the files where these could not be used. */
  #running: GatewaySetup;
  /** A connection that a person asked for in the files and that did not prove itself. */
  #refused: SessionSettings | undefined;
  /** The files of extensions as they were when the configuration was loaded. */
  #code: string | undefined;
  #changes: Promise<unknown> = Promise.resolve();

  constructor(loaded: LoadedConfiguration, running: GatewaySetup, deps: ConfiguratorDeps) {
    this.#deps = deps;
    this.#current = loaded;
    this.#running = running;
    this.#files.note(loaded);
    const { extensions, extensionsBefore } = deps.source;
    this.#code = extensionsBefore ?? extensions?.fingerprint();
    this.#keepAll("local");
  }

  /** The configuration as the files have it. */
  get current(): LoadedConfiguration {
    return this.#current;
  }

  /** The connection that is in use. */
  get session(): SessionSettings | undefined {
    return this.#running.session;
  }

  /** Absolute paths of all files the configuration was read from, also of those that are missing. */
  get files(): readonly string[] {
    return this.#files.names;
  }

  /** Where the extensions are. */
  get extensions(): ExtensionFolders | undefined {
    return this.#deps.source.extensions;
  }

  /**
   * Changes files: all or nothing. `build` says how, from the configuration in force at that moment; nothing to change is no change.
   * Resolves with whether there was one. @throws ConfigError when the result would hold a mistake that was not there before, or a
   * connector does not start; TransientError when a connection or the store cannot be used, or the disk refuses
   */
  async change(build: (current: LoadedConfiguration) => ChangedFiles): Promise<boolean> {
    return await this.#exclusively(async () => {
      await this.#catchUp();
      const files = changedOnly(build(this.#current));
      if (files.size === 0) {
        return false;
      }
      const staged: StagedFile[] = [];
      try {
        for (const [file, text] of files) {
          staged.push(stageFile(file, text));
        }
        // A certificate is named after its content: it must be there for the trial, and is in nobody's way.
        for (const file of staged.filter((one) => one.file.endsWith(".pem"))) {
          file.commit();
        }
        const candidate = await this.#deps.source.load(files);
        this.#deps.learnSecrets(candidate.secrets);
        refuseMistakes(candidate, this.#current);
        await this.#apply(this.#deps.source.setup(candidate));
        for (const file of staged) {
          file.commit();
        }
      } finally {
        for (const file of staged) {
          file.discard();
        }
      }
      await this.#taken("remote");
      return true;
    });
  }

  /** Takes what a person has changed in the files. `retry`: also what could not be used before. Never throws. */
  async reload({ retry = false } = {}): Promise<void> {
    try {
      await this.#exclusively(async () => {
        if (retry) {
          this.#refused = undefined;
        }
        await this.#catchUp(retry);
      });
    } catch (error) {
      // A stop breaks off what is under way; the next start reads the files.
      if (!this.#deps.stopping.aborted) {
        this.#deps.log.error("The configuration files could not be taken", { error });
      }
    }
  }

  /** Uses another connection than the files say, without touching them. @throws TransientError when it does not prove itself */
  async useSession(session: SessionSettings): Promise<void> {
    await this.#exclusively(async () => {
      const before = this.#running.session;
      if (before !== undefined) {
        this.#refused = before;
        await this.#deps.actuators.swapSession(before, session);
        this.#running = { ...this.#running, session };
      }
    });
  }

  async #exclusively<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#changes.then(change);
    this.#changes = done.catch(() => undefined); // Whoever asked for the change hears of it.
    return await done;
  }

  /** Everything of a setup, or nothing. */
  async #apply(next: GatewaySetup): Promise<void> {
    const { actuators } = this.#deps;
    const before = this.#running;
    const undo: (() => Promise<unknown>)[] = [];
    try {
      const { session } = before;
      // What is known not to work stands in the file, and is not what this change is about.
      const to = same(next.session, this.#refused) ? session : next.session;
      if (to !== undefined && session !== undefined && !same(to, session)) {
        await actuators.swapSession(session, to);
        undo.push(() => actuators.swapSession(to, session));
      }
      if (!same(next.storage, before.storage)) {
        await actuators.changeStorage(next.storage);
        undo.push(() => actuators.changeStorage(before.storage));
      }
      undo.push(() => actuators.replaceConnectors(before.connectors));
      const [failure] = await actuators.replaceConnectors(next.connectors);
      if (failure !== undefined) {
        const message = `does not start, so everything is as before: ${errorText(failure.error)}`;
        throw new ConfigError(`connector "${failure.name}"`, [{ path: "$", message }]);
      }
      this.#running = { ...next, session: to };
    } catch (error) {
      for (const step of undo.toReversed()) {
        await step().catch((failed: unknown) =>
          this.#deps.log.error("A change cannot be taken back", { error: failed }),
        );
      }
      throw error;
    }
  }

  /** Looks whether a person has changed a file, and takes it as far as it can be used. */
  async #catchUp(always = false): Promise<void> {
    const { source, log } = this.#deps;
    const code = source.extensions?.fingerprint();
    if (!always && !this.#files.haveChanged() && code === this.#code) {
      return;
    }
    this.#code = code;
    const changed = this.#files.haveChanged();
    const snapshot = this.#files.snapshot();
    const loaded = await source.load();
    this.#files.note(loaded, snapshot);
    this.#reportIssues(loaded);
    if (loaded.fatal) {
      log.error(
        "The changed configuration cannot be used: the gateway goes on with the one before",
        {
          file: loaded.mainFile,
        },
      );
      return;
    }
    this.#deps.learnSecrets(loaded.secrets);
    await this.#applyWhatWorks(loaded);
    this.#current = loaded;
    if (changed) {
      this.#keepAll("local");
      log.info("Configuration files were read again");
      this.#deps.onChanged("local");
    }
  }

  /** Each part by itself; one that cannot be used goes on as before. */
  async #applyWhatWorks(loaded: LoadedConfiguration): Promise<void> {
    const { actuators, log } = this.#deps;
    const next = this.#deps.source.setup(loaded);
    const running = this.#running;
    let { session, storage } = running;
    const wanted = next.session;
    if (wanted !== undefined && session !== undefined && !same(wanted, session)) {
      if (!same(wanted, this.#refused)) {
        session = await actuators.swapSession(session, wanted).then(
          () => wanted,
          (error: unknown) => {
            this.#refused = wanted;
            log.error("The connection in the changed file cannot be used: the one before goes on", {
              file: loaded.mainFile,
              error,
            });
            return running.session;
          },
        );
      }
    }
    if (!same(next.storage, storage)) {
      storage = await actuators.changeStorage(next.storage).then(
        () => next.storage,
        (error: unknown) => {
          log.error("The storage in the changed file cannot be used: it stays as it was", {
            file: loaded.mainFile,
            error,
          });
          return running.storage;
        },
      );
    }
    const connectors = withRunning(next.connectors, loaded, running.connectors);
    const failures = await actuators.replaceConnectors(connectors);
    this.#running = { ...next, session, storage, connectors: kept(connectors, failures, running) };
    actuators.takeSettings(this.#running, loaded);
  }

  /** After a transaction: the files say what runs. */
  async #taken(by: "remote"): Promise<void> {
    const loaded = await this.#deps.source.load();
    this.#current = loaded;
    this.#files.note(loaded);
    this.#keepAll(by);
    this.#deps.actuators.takeSettings(this.#running, loaded);
    this.#deps.onChanged(by);
  }

  #keepAll(source: "local" | "remote"): void {
    const { clock, log, revisions } = this.#deps;
    for (const [file, text] of this.#files.texts()) {
      try {
        revisions.keep(file, text, { source, time: clock.now() });
      } catch (error) {
        log.warn("Cannot keep a revision of a configuration file", { file, error });
      }
    }
  }

  /** What was not wrong before. */
  #reportIssues(loaded: LoadedConfiguration): void {
    const known = new Set(this.#current.issues.map(issueKey));
    for (const issue of loaded.issues) {
      if (!known.has(issueKey(issue))) {
        const { severity, file, line, path, message } = issue;
        const level = severity === "error" ? "error" : "warn";
        this.#deps.log[level]("Configuration", { file, line, path, message });
      }
    }
  }
}

function same(left: unknown, right: unknown): boolean {
  return isDeepStrictEqual(left, right);
}

/** Without the files whose content stays. */
function changedOnly(files: ChangedFiles): ChangedFiles {
  return new Map([...files].filter(([file, text]) => ConfigFiles.textOf(file) !== text));
}

/** Places in lists move when an element goes, so they do not count. */
function issueKey({ file, path, message }: FileIssue): string {
  return `${file}\n${path.replaceAll(/\[\d+\]/g, "[]")}\n${message}`;
}

/** @throws ConfigError with the mistakes that were not there before */
function refuseMistakes(candidate: LoadedConfiguration, current: LoadedConfiguration): void {
  const known = new Set(current.issues.map(issueKey));
  const mistakes = candidate.issues.filter(
    (issue) => issue.severity === "error" && !known.has(issueKey(issue)),
  );
  const [first] = mistakes;
  if (first !== undefined) {
    throw new ConfigError(first.file, mistakes);
  }
  if (candidate.fatal) {
    const message = "there would be no host or no credentials";
    throw new ConfigError(candidate.mainFile, [{ path: "thingsboard", message }]);
  }
}

/** A connector whose file is broken goes on as it runs. */
function withRunning(
  ready: readonly ConnectorSetup[],
  loaded: LoadedConfiguration,
  running: readonly ConnectorSetup[],
): readonly ConnectorSetup[] {
  return loaded.connectors.flatMap((connector) => {
    const usable = ready.find(({ name }) => name === connector.name);
    const before = running.find(({ name }) => name === connector.name);
    const setup = connector.state === "invalid" ? before : usable;
    return setup === undefined ? [] : [setup];
  });
}

/** What runs after a replacement: of those that did not start, what was there before. */
function kept(
  wanted: readonly ConnectorSetup[],
  failures: readonly StartFailure[],
  { connectors: before }: GatewaySetup,
): readonly ConnectorSetup[] {
  return wanted.flatMap((setup) => {
    if (!failures.some(({ id }) => id === setup.id)) {
      return [setup];
    }
    const old = before.find(({ id }) => id === setup.id);
    return old === undefined ? [] : [old];
  });
}
