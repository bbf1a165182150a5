import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { DEFAULT_QUOTA_BYTES, FREE_SPACE_SHARE, freeBytes } from "#platform/disk";
import { SqliteError } from "#platform/sqlite";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import { EMPTY_LEDGER } from "#sdk/ledger";
import type { Logger } from "#sdk/logger";
import { Account } from "./account.ts";
import type { EventStore, StorageSettings } from "./event-store.ts";
import { LedgerFile } from "./ledger-file.ts";
import { DEFAULT_MAX_BYTES as MEMORY_BYTES, MemoryStore } from "./memory-store.ts";
import { addLedgerToDisk, isOnDisk, joinLedgers, takeFromDisk } from "./migrate.ts";
import { storeFile } from "./sqlite-settings.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { StoreLock } from "./store-lock.ts";

/** Name of the store's file in the data folder. */
export const STORE_FILE = "events.db";

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
  const path = join(deps.dataDir, STORE_FILE);
  if (settings.kind === "memory" && !existsSync(deps.dataDir)) {
    return openFresh(settings, deps); // Nothing to share with anybody.
  }
  makeFolder(deps.dataDir);
  const lock = StoreLock.take(deps.dataDir);
  try {
    if (settings.kind === "memory") {
      const store = openInMemory(settings, { ...deps, path, lock });
      if (store !== undefined) {
        return store;
      }
    }
    const maxBytes = prepareFile(path, deps.dataDir, settings.maxBytes);
    const file = storeFile(path, { ...settings, maxBytes });
    guarded(path, () => addLedgerToDisk(file, deps, deps.dataDir));
    const { clock, log } = deps;
    return SqliteStore.open({ ...settings, maxBytes }, { clock, log, path, lock });
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/** A store in memory that has nothing before it. */
function openFresh(settings: StorageSettings, deps: OpenStoreDeps): EventStore {
  const { clock, log, dataDir } = deps;
  warnMemory(log, settings);
  return new MemoryStore(settings, { clock, log, ledgerFile: new LedgerFile(dataDir) });
}

function warnMemory(log: Logger, { maxRecords }: StorageSettings): void {
  log.warn("Records wait in memory: what the platform has not acknowledged is lost at a stop", {
    maxRecords,
  });
}

/** The store in memory with what a store on disk has left; `undefined` when that does not fit. */
function openInMemory(
  settings: StorageSettings,
  deps: OpenStoreDeps & { readonly path: string; readonly lock: StoreLock },
): EventStore | undefined {
  const { clock, log, dataDir, path, lock } = deps;
  const { maxRecords } = settings;
  const maxBytes = settings.maxBytes ?? MEMORY_BYTES;
  const onDisk = isOnDisk(path)
    ? guarded(path, () =>
        takeFromDisk(storeFile(path, { ...settings, maxBytes }), deps, { maxRecords, maxBytes }),
      )
    : { account: new Account(), batches: [] };
  if (onDisk === undefined) {
    log.warn(
      "More records wait on disk than fit into memory: the store stays on disk until the next start",
      {
        maxRecords,
      },
    );
    return undefined;
  }
  warnMemory(log, settings);
  const ledgerFile = new LedgerFile(dataDir);
  const account = onDisk.account.draft();
  account.ledger = joinLedgers(account.ledger, ledgerFile.read()?.ledger ?? EMPTY_LEDGER);
  const inherited = { account, batches: onDisk.batches };
  return new MemoryStore(settings, { clock, log, ledgerFile, inherited, lock });
}

/** @throws TransientError for what the disk refuses */
function guarded<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof SqliteError) {
      throw new TransientError(`Cannot use ${path} for the event store`, { cause: error });
    }
    throw error;
  }
}

function makeFolder(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new TransientError(`Cannot use ${dataDir} for the event store`, { cause: error });
  }
}

/** Makes the folder and the file, readable by the owner alone; SQLite gives its other files the same mode. Returns the quota. */
function prepareFile(path: string, dataDir: string, maxBytes: number | undefined): number {
  try {
    closeSync(openSync(path, "a", 0o600));
    chmodSync(path, 0o600);
    syncFolder(dataDir);
    const usableBytes = usableSpace(path, dataDir);
    return Math.max(MIN_MAX_BYTES, Math.min(maxBytes ?? DEFAULT_QUOTA_BYTES, usableBytes));
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
  return Math.floor((freeBytes(dataDir) + statSync(path).size) * FREE_SPACE_SHARE);
}
