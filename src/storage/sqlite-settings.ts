import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import type { StorageSettings } from "./event-store.ts";
import { quarantineBytes } from "./quarantine-table.ts";
import type { StoreFile } from "./recovery.ts";
import { logBytes } from "./reserve.ts";

/** With the quota worked out. */
export interface SqliteStoreSettings extends StorageSettings {
  readonly maxBytes: number;
}

/** What the store on disk needs. `path`: the database file, in a folder that exists. */
export interface SqliteStoreDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly path: string;
  /** Closed with the store. */
  readonly lock?: Disposable;
}

/** The file of a store with these settings. */
export function storeFile(path: string, settings: SqliteStoreSettings): StoreFile {
  const isDurable = settings.durability === "durable";
  const { maxBytes } = settings;
  return {
    path,
    isDurable,
    quarantineBytes: quarantineBytes(maxBytes),
    walBytes: logBytes(maxBytes),
  };
}
