import { type FSWatcher, watch } from "node:fs";
import { dirname, join } from "node:path";
import type { Clock } from "#sdk/clock";
import { errorText } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { Configurator } from "./configurator.ts";

/** An editor writes a file in several steps; what it says in between is nothing to be taken. */
const SETTLE_MS = 300;

/** What the watch needs of its surroundings. */
export interface ConfigWatchDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly configurator: Pick<Configurator, "reload" | "files" | "current" | "extensions">;
}

/**
 * Sees to it that changed files are taken: told by the system at once, looked for now and then where it does not tell (network
 * folders), and at SIGHUP.
 */
export class ConfigWatch implements AsyncDisposable {
  readonly #deps: ConfigWatchDeps;
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #onHangUp = (): void => this.#look({ retry: true });
  #settling: Disposable | undefined;
  #poll: Disposable | undefined;
  #looking: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(deps: ConfigWatchDeps) {
    this.#deps = deps;
    process.on("SIGHUP", this.#onHangUp);
    this.#watchFolders();
    this.#pollLater();
    // What came since the files were read has no event.
    this.#look({ retry: false });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    process.off("SIGHUP", this.#onHangUp);
    this.#settling?.[Symbol.dispose]();
    this.#poll?.[Symbol.dispose]();
    for (const watcher of this.#watchers.values()) {
      watcher.close();
    }
    await this.#looking;
  }

  #look(options: { readonly retry: boolean }): void {
    // One after the other; a reload never throws.
    this.#looking = this.#looking.then(async () => {
      if (!this.#isOver) {
        // Before the look: what comes into a fresh folder after it has its own event.
        this.#watchFolders();
        await this.#deps.configurator.reload(options);
        this.#watchFolders();
      }
    });
  }

  /** Folders, not files: a file that is replaced by another would take its watch along. */
  #watchFolders(): void {
    const { files, extensions } = this.#deps.configurator;
    const folders = new Set([
      ...files.map((file) => dirname(file)),
      ...(extensions?.folders ?? []),
    ]);
    for (const [folder, watcher] of this.#watchers) {
      if (!folders.has(folder)) {
        watcher.close();
        this.#watchers.delete(folder);
      }
    }
    for (const folder of folders) {
      if (!this.#watchers.has(folder)) {
        this.#watchFolder(folder);
      }
    }
  }

  #watchFolder(folder: string): void {
    const gone = (error: unknown): void => {
      this.#watchers.get(folder)?.close();
      this.#watchers.delete(folder);
      this.#deps.log.debug("A folder is only looked at now and then", {
        folder,
        error: errorText(error),
      });
    };
    try {
      const watcher = watch(folder, { persistent: false }, (_event, name) =>
        this.#changed(folder, name),
      );
      watcher.on("error", gone);
      this.#watchers.set(folder, watcher);
    } catch (error) {
      gone(error);
    }
  }

  /** Without a name anything may have changed. */
  #changed(folder: string, name: string | null): void {
    const { files, extensions } = this.#deps.configurator;
    const isExtension =
      extensions?.folders.includes(folder) === true ||
      (name !== null && extensions?.roots.includes(join(folder, name)) === true);
    if (name !== null && !isExtension && !files.includes(join(folder, name))) {
      return;
    }
    this.#settling ??= this.#deps.clock.timer(SETTLE_MS, () => {
      this.#settling = undefined;
      this.#look({ retry: false });
    });
  }

  #pollLater(): void {
    const { gateway } = this.#deps.configurator.current;
    const seconds = gateway.thingsboard.checkConnectorsConfigurationInSeconds;
    this.#poll = this.#deps.clock.timer(seconds * 1000, () => {
      this.#look({ retry: false });
      this.#pollLater();
    });
  }
}
