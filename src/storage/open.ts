import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  statfsSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { EventStore, StorageSettings } from "./event-store.ts";
import { MemoryStore } from "./memory-store.ts";
import { SqliteStore } from "./sqlite-store.ts";

/** Name of the store's file in the data folder. */
export const STORE_FILE = "events.db";

const DEFAULT_MAX_BYTES = 1024 ** 3;
const FREE_SPACE_SHARE = 0.8;

/** The tables alone take a few pages; a smaller quota could never hold anything. */
const MIN_MAX_BYTES = 64 * 1024;

/** What opening a store needs. `dataDir` is created when it is missing. */
export interface OpenStoreDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly dataDir: string;
}

/**
 * Opens the event store that `settings` ask for. A damaged file is repaired or set aside, never a reason to fail. The caller disposes
 * the store. @throws TransientError when the folder or file cannot be used at this time.
 */
export async function openEventStore(
  settings: StorageSettings,
  deps: OpenStoreDeps,
): Promise<EventStore> {
  if (settings.kind === "memory") {
    deps.log.warn(
      "Records wait in memory: what the platform has not acknowledged is lost at a stop",
      {
        maxRecords: settings.maxRecords,
      },
    );
    return new MemoryStore(settings, deps);
  }
  const path = join(deps.dataDir, STORE_FILE);
  const maxBytes = prepareFile(path, deps.dataDir, settings.maxBytes);
  return SqliteStore.open({ ...settings, maxBytes }, { clock: deps.clock, log: deps.log, path });
}

/** Makes the folder and the file, readable by the owner alone; SQLite gives its other files the same mode. Returns the quota. */
function prepareFile(path: string, dataDir: string, maxBytes: number | undefined): number {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    closeSync(openSync(path, "a", 0o600));
    chmodSync(path, 0o600);
    syncFolder(dataDir);
    const usableBytes = usableSpace(path, dataDir);
    return Math.max(MIN_MAX_BYTES, Math.min(maxBytes ?? DEFAULT_MAX_BYTES, usableBytes));
  } catch (error) {
    throw new TransientError(`Cannot use ${path} for the event store`, { cause: error });
  }
}

/** Without it a power cut may forget that the file was ever made. */
function syncFolder(dataDir: string): void {
  const folder = openSync(dataDir, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** 80 % of what is free, what the store holds already counted as free: a quota beyond it would be a promise the disk breaks. */
function usableSpace(path: string, dataDir: string): number {
  const { bavail, bsize } = statfsSync(dataDir);
  return Math.floor((bavail * bsize + statSync(path).size) * FREE_SPACE_SHARE);
}
