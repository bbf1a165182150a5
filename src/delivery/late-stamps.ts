import type { Clock } from "#sdk/clock";
import type { Cursor, EventStore, StoredRecord } from "../storage/event-store.ts";
import { type Boots, hasJournal, readJournal, realTime } from "./boot-journal.ts";

/** How often somebody who waits for the time looks whether it has come. */
const LOOK_EVERY_MS = 1000;
/** How a record with a time before 1970 begins, and so every one with a provisional time. */
const EARLY = '{"ts":-';
const TS_START = '{"ts":'.length;

/** A store for the sender. */
export interface StampedStore {
  readonly store: EventStore;
  /** Whether records wait for the time at this moment. */
  readonly isHeld: boolean;
}

/**
 * The store as the sender reads it: records taken before the clock was set come out with their real time, and not before it is
 * known. On a machine that never lacked the time this is the store itself.
 */
export function lateStamps(store: EventStore, dataDir: string, clock: Clock): StampedStore {
  return hasJournal(dataDir) ? new LateStamps(store, dataDir, clock) : { store, isHeld: false };
}

class LateStamps implements EventStore, StampedStore {
  isHeld = false;
  readonly #store: EventStore;
  readonly #dataDir: string;
  readonly #clock: Clock;
  #boots: Boots;

  constructor(store: EventStore, dataDir: string, clock: Clock) {
    this.#store = store;
    this.#dataDir = dataDir;
    this.#clock = clock;
    this.#boots = readJournal(dataDir);
  }

  get store(): EventStore {
    return this;
  }

  async next(
    after: Cursor,
    limit: { readonly records: number; readonly bytes: number },
    signal: AbortSignal,
  ): Promise<{ readonly records: readonly StoredRecord[]; readonly last: Cursor }> {
    const found = await this.#store.next(after, limit, signal);
    for (;;) {
      const records = this.#stamped(found.records);
      const last = records.at(-1);
      if (last !== undefined) {
        return { records, last: last.cursor };
      }
      this.isHeld = true;
      try {
        await this.#clock.sleep(LOOK_EVERY_MS, signal);
      } finally {
        this.isHeld = false;
      }
      this.#boots = readJournal(this.#dataDir);
    }
  }

  append: EventStore["append"] = (batch, count, options, signal) =>
    this.#store.append(batch, count, options, signal);

  release: EventStore["release"] = (cursors) => this.#store.release(cursors);

  quarantine: EventStore["quarantine"] = (cursor, reason) => this.#store.quarantine(cursor, reason);

  stats: EventStore["stats"] = () => this.#store.stats();

  /** The store belongs to whoever opened it. */
  async [Symbol.asyncDispose](): Promise<void> {}

  /** The records before the first one whose time is not known. */
  #stamped(records: readonly StoredRecord[]): readonly StoredRecord[] {
    if (!records.some(({ json }) => json.startsWith(EARLY))) {
      return records;
    }
    const stamped: StoredRecord[] = [];
    for (const record of records) {
      const json = this.#resolve(record.json);
      if (json === undefined) {
        break;
      }
      stamped.push(json === record.json ? record : { ...record, json });
    }
    return stamped;
  }

  /** The text with its real time; `undefined` when that is not known. An attribute named `ts` has no such place. */
  #resolve(json: string): string | undefined {
    if (!json.startsWith(EARLY)) {
      return json;
    }
    const end = json.indexOf(",", TS_START);
    const ts = Number(json.slice(TS_START, end));
    const real = Number.isFinite(ts) && end > 0 ? realTime(ts, this.#boots) : ts;
    if (real === undefined || real === ts) {
      return real === undefined ? undefined : json;
    }
    return json.slice(0, TS_START) + real + json.slice(end);
  }
}
