import { existsSync, renameSync } from "node:fs";
import { resolve } from "node:path";
import { SqliteError } from "#platform/sqlite";
import { BatchWriter } from "#sdk/batch";
import type { Clock } from "#sdk/clock";
import { DataError, InvariantError, TransientError } from "#sdk/errors";
import { addReason, type ReasonCounts } from "#sdk/ledger";
import type { Logger } from "#sdk/logger";
import type { LeftBehind } from "../config/storage.ts";
import type { EventStore, WhenFull } from "./event-store.ts";
import { findDatabases } from "./python-database.ts";
import { findTextFiles } from "./python-files.ts";
import { convertPythonRecord } from "./python-record.ts";
import type { LeftBacklog, LeftFile, LeftRecord } from "./python-source.ts";

/** Where the Python gateway's package keeps its data; a relative folder is looked for there too. */
const PYTHON_HOME = "/var/lib/thingsboard_gateway";
const BATCH_RECORDS = 1000;
const BATCH_CHARACTERS = 1024 * 1024;

/** What the names of our marks begin with. */
const MARK = "take-over/";

/** What a take-over needs. `store` has no other writer meanwhile. */
export interface TakeOverDeps {
  readonly store: EventStore;
  readonly whenFull: WhenFull;
  readonly clock: Clock;
  readonly log: Logger;
  /** Default: the folder of the Python gateway's package. */
  readonly pythonHome?: string;
}

/**
 * Moves the records that a Python gateway left into the store, in order, and sets its files aside as `*.imported`. The folder is
 * looked for from the working directory, then from the Python gateway's home; the first that holds files counts. Each
 * batch is stored together with its place in the file, so that an interrupted take-over goes on where it was. What
 * cannot be read is counted `rejected(corrupt)`. A failure is logged and leaves the files for the next start.
 * Resolves when it is over; @throws InvariantError alone.
 */
export async function takeOver(
  leftBehind: LeftBehind | undefined,
  deps: TakeOverDeps,
  signal: AbortSignal,
): Promise<void> {
  if (leftBehind === undefined) {
    return;
  }
  try {
    const backlog = findBacklog(leftBehind, deps.pythonHome ?? PYTHON_HOME);
    await forgetOthers(backlog?.files ?? [], deps.store, signal);
    if (backlog !== undefined) {
      await moveAll(backlog, deps, signal);
    }
  } catch (error) {
    if (error instanceof InvariantError) {
      throw error;
    }
    if (!signal.aborted) {
      deps.log.error(
        "Cannot take over the records of a Python gateway; the next start goes on with it",
        { folder: leftBehind.folder, error },
      );
    }
  }
}

function findBacklog({ kind, folder }: LeftBehind, pythonHome: string): LeftBacklog | undefined {
  for (const place of new Set([resolve(folder), resolve(pythonHome, folder)])) {
    const backlog = kind === "file" ? findTextFiles(place) : findDatabases(place);
    if (backlog !== undefined) {
      return backlog;
    }
  }
  return undefined;
}

/** A crash right after a file was set aside leaves its mark behind, which must not count for a later file. */
async function forgetOthers(
  files: readonly LeftFile[],
  store: EventStore,
  signal: AbortSignal,
): Promise<void> {
  const names = new Set(files.map(markName));
  for (const [name, value] of store.stats().marks) {
    if (name.startsWith(MARK) && value !== 0 && !names.has(name)) {
      const collected = { received: 0, filtered: {}, rejected: {} };
      const mark = { name, value: 0 };
      await store.append(new Uint8Array(), 0, { urgent: true, values: 0, collected, mark }, signal);
    }
  }
}

async function moveAll(
  backlog: LeftBacklog,
  deps: TakeOverDeps,
  signal: AbortSignal,
): Promise<void> {
  const { log, clock } = deps;
  const { folder } = backlog;
  for (const warning of backlog.warnings) {
    log.warn("Odd files of a Python gateway", { warning });
  }
  const startMs = clock.monotonicMs();
  const total: Moved = { records: 0, values: 0, corrupt: 0 };
  for (const file of backlog.files) {
    const importer = new Importer(file, deps, total);
    await importer.run(signal);
    if (setAside(file.path, log)) {
      await importer.forget(signal);
    }
  }
  for (const path of backlog.others) {
    setAside(path, log);
  }
  const ms = Math.round(clock.monotonicMs() - startMs);
  log.info("Took over the records of a Python gateway", { folder, ...total, ms });
}

interface Moved {
  records: number;
  values: number;
  corrupt: number;
}

function markName(file: LeftFile): string {
  return MARK + file.identity;
}

/** Moves one file into the store. */
class Importer {
  readonly #file: LeftFile;
  readonly #deps: TakeOverDeps;
  readonly #total: Moved;
  readonly #mark: string;
  #batch = new BatchWriter();
  #position: number;
  #storedPosition: number;
  #rejected: ReasonCounts = {};
  #rejectedCount = 0;

  constructor(file: LeftFile, deps: TakeOverDeps, total: Moved) {
    this.#file = file;
    this.#deps = deps;
    this.#total = total;
    this.#mark = markName(file);
    const mark = deps.store.stats().marks.get(this.#mark);
    this.#position = Math.max(file.startAt, mark ?? file.startAt);
    this.#storedPosition = this.#position;
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      for (const record of this.#file.records(this.#position)) {
        this.#take(record);
        const { records, length } = this.#batch;
        if (records + this.#rejectedCount >= BATCH_RECORDS || length >= BATCH_CHARACTERS) {
          await this.#store(signal);
        }
      }
    } catch (error) {
      if (!isUnreadable(error)) {
        throw error;
      }
      this.#deps.log.error("A file of a Python gateway cannot be read", {
        file: this.#file.path,
        error,
      });
      this.#reject("corrupt", 1);
    }
    await this.#store(signal);
  }

  /** The file is set aside: its place is of no use any more. */
  async forget(signal: AbortSignal): Promise<void> {
    await this.#append({ name: this.#mark, value: 0 }, signal);
  }

  #take(record: LeftRecord): void {
    this.#position = record.position;
    if (record.text === undefined) {
      this.#reject("corrupt", record.count);
      return;
    }
    try {
      const { records, values, badValues } = convertPythonRecord(record.text, record.storedMs);
      for (const one of records) {
        this.#batch.add(one);
      }
      this.#reject("bad-value", badValues);
      if (values + badValues === 0) {
        this.#reject("no-value", 1);
      }
    } catch (error) {
      if (!(error instanceof DataError)) {
        throw error;
      }
      this.#reject("corrupt", 1);
    }
  }

  #reject(reason: string, count: number): void {
    this.#rejected = addReason(this.#rejected, reason, count);
    this.#rejectedCount += count;
    this.#total.corrupt += reason === "corrupt" ? count : 0;
  }

  async #store(signal: AbortSignal): Promise<void> {
    if (this.#position === this.#storedPosition && this.#rejectedCount === 0) {
      return;
    }
    // Position 0 would forget the mark; the first line is 1, and SQLite counts ids from 1.
    await this.#append({ name: this.#mark, value: this.#position }, signal);
    this.#storedPosition = this.#position;
  }

  async #append(
    mark: { readonly name: string; readonly value: number },
    signal: AbortSignal,
  ): Promise<void> {
    const { store } = this.#deps;
    const { records, values } = this.#batch;
    const rejected = this.#rejected;
    const received = values + this.#rejectedCount;
    const batch = this.#batch.take();
    this.#requireRoom(batch.length);
    this.#batch = new BatchWriter();
    this.#rejected = {};
    this.#rejectedCount = 0;
    const collected = { received, filtered: {}, rejected };
    await store.append(batch, records, { urgent: true, values, collected, mark }, signal);
    this.#total.records += records;
    this.#total.values += values;
  }

  /** Nothing is sent yet, so nobody would make room: a store that keeps what it has must not be waited for. */
  #requireRoom(bytes: number): void {
    const { store, whenFull } = this.#deps;
    const stats = store.stats();
    if (whenFull !== "drop-oldest" && bytes > 0 && stats.bytes + bytes > stats.maxBytes) {
      throw new TransientError(`The store is full: ${stats.bytes} of ${stats.maxBytes} bytes`);
    }
  }
}

/** The file itself is damaged, as opposed to being locked or out of reach. */
function isUnreadable(error: unknown): boolean {
  return error instanceof DataError || (error instanceof SqliteError && error.isCorrupt);
}

/** Renames a file and what SQLite keeps beside it; false when the folder does not let us. */
function setAside(path: string, log: Logger): boolean {
  try {
    const target = freeName(path);
    renameSync(path, target);
    for (const suffix of ["-wal", "-shm"]) {
      if (existsSync(path + suffix)) {
        // SQLite finds them by this name.
        renameSync(path + suffix, target + suffix);
      }
    }
    return true;
  } catch (error) {
    log.warn("Cannot rename a file that was taken over; please remove it", { file: path, error });
    return false;
  }
}

/** `<path>.imported`, or `<path>.2.imported` and so on when there has been one before. */
function freeName(path: string): string {
  for (let number = 1; ; number += 1) {
    const target = number === 1 ? `${path}.imported` : `${path}.${number}.imported`;
    if (!existsSync(target)) {
      return target;
    }
  }
}
