import { resolve } from "node:path";
import { isJsonObject } from "#sdk/model";
import { canonical, fileText, type JsonRecord, without } from "../config/canonical.ts";
import type { LoadedConfiguration } from "../config/load.ts";
import { readDocument } from "../config/text-file.ts";
import type { LogSettings } from "../logging/settings.ts";
import type { Configurator } from "./configurator.ts";

/** What the platform shows where there is no file; its form needs the formatter. */
const DEFAULT_LOGS: JsonRecord = {
  version: 1,
  disable_existing_loggers: false,
  formatters: {
    LogFormatter: {
      class: "logging.Formatter",
      format:
        "%(asctime)s.%(msecs)03d - |%(levelname)s| - [%(filename)s] - %(module)s - %(funcName)s - %(lineno)d - %(message)s",
      datefmt: "%Y-%m-%d %H:%M:%S",
    },
  },
  handlers: {
    consoleHandler: {
      class: "logging.StreamHandler",
      formatter: "LogFormatter",
      level: 0,
      stream: "ext://sys.stdout",
    },
  },
  loggers: {},
  root: { level: "INFO", handlers: ["consoleHandler"] },
  ts: 0,
};

/** `logs.json` as the platform sees and changes it. */
export class RemoteLogs {
  readonly #settings: Pick<LogSettings, "apply">;

  constructor(settings: Pick<LogSettings, "apply">) {
    this.#settings = settings;
  }

  /** Absolute path of the file. */
  file({ configDir }: LoadedConfiguration): string {
    return resolve(configDir, "logs.json");
  }

  /** `logs_configuration` without `ts`. */
  published(loaded: LoadedConfiguration): JsonRecord {
    const value = readDocument(this.file(loaded)).document?.value;
    return without(isJsonObject(value) ? value : DEFAULT_LOGS, "ts");
  }

  /** Takes the file as a person has changed it. @throws ConfigError for what cannot be used: nothing has changed then */
  async reload(loaded: LoadedConfiguration): Promise<void> {
    await this.#settings.apply(this.published(loaded));
  }

  /** Resolves with whether something has changed. @throws ConfigError for what cannot be used: nothing has changed then */
  async apply(configurator: Configurator, value: JsonRecord): Promise<boolean> {
    const before = this.published(configurator.current);
    if (canonical(value) === canonical(before)) {
      return false;
    }
    await this.#settings.apply(value);
    try {
      return await configurator.change(
        (current) => new Map([[this.file(current), fileText(value)]]),
      );
    } catch (error) {
      await this.#settings.apply(before);
      throw error;
    }
  }
}
