// The life of a store on disk against a model: kills, restarts with other limits, age, a full quota, merged blocks, and
// acknowledgements in any order. What is given out is in order and comes once; what is missing was dropped and is counted.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { ledgerImbalance, total } from "../../src/sdk/ledger.ts";
import {
  type Cursor,
  type EventStore,
  START,
  type StoredRecord,
} from "../../src/storage/event-store.ts";
import { openEventStore } from "../../src/storage/open.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { memoryLog } from "../support/memory-log.ts";
import { batchOf, record, settings } from "../unit/storage/batches.ts";

const ALL = { records: 1_000_000, bytes: 1e9 };
const HOUR_MS = 3_600_000;
const { signal } = new AbortController();

const commands = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      count: fc.integer({ min: 1, max: 60 }),
    }),
  },
  // So many small blocks are merged.
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("trickle" as const),
      count: fc.constantFrom(1, 260, 520),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      count: fc.integer({ min: 1, max: 200 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("release" as const),
      every: fc.integer({ min: 1, max: 4 }),
      from: fc.nat(3),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("quarantine" as const), at: fc.nat(50) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("wait" as const), hours: fc.constantFrom(0.1, 5, 30) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("restart" as const, "kill" as const),
      maxBytes: fc.constantFrom(64 * 1024, 96 * 1024, 8_000_000),
    }),
  },
);
type Command = typeof commands extends fc.Arbitrary<infer T> ? T : never;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tbgw-life-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const numberOf = ({ json }: StoredRecord): number => Number(/"n":(\d+)/.exec(json)?.[1]);

/** A store through all its lives, and what has to become of each record. */
class Life {
  readonly #clock = new FakeClock(1_790_000_000_000);
  #dataDir = folder;
  #lives = 0;
  #maxBytes = 8_000_000;
  #store: EventStore | undefined;
  #stored = 0;
  #position: Cursor = START;
  /** Given out since the start and not finished, by number. */
  readonly #given = new Map<number, Cursor>();
  /** Acknowledged or set aside: must not come again. */
  readonly #finished = new Set<number>();

  get store(): EventStore {
    if (this.#store === undefined) {
      throw new Error("not open");
    }
    return this.#store;
  }

  async open(): Promise<void> {
    // The next life of a killed one reads through the same operating system, which forgets nothing.
    const durability = "relaxed" as const;
    const changes = { maxBytes: this.#maxBytes, ttlMs: 24 * HOUR_MS, durability };
    const deps = { clock: this.#clock, log: memoryLog().log, dataDir: this.#dataDir };
    this.#store = await openEventStore(settings(changes), deps);
    this.#position = START;
    this.#given.clear();
    await this.#clock.advance(0);
  }

  async do(command: Command): Promise<void> {
    switch (command.do) {
      case "append":
        await this.#append(command.count);
        break;
      case "trickle":
        for (let left = command.count; left > 0; left -= 1) {
          await this.#append(1);
        }
        break;
      case "read":
        await this.#read(command.count);
        break;
      case "release":
        await this.#release(command);
        break;
      case "quarantine":
        await this.#quarantine(command.at);
        break;
      case "wait":
        await this.#clock.advance(command.hours * HOUR_MS);
        break;
      case "restart":
      case "kill":
        await this.#begin(command);
        break;
    }
    this.#check();
  }

  /** Everything that is held, from the start: in order, and none of it finished. */
  async end(): Promise<void> {
    this.#check();
    this.#position = START;
    this.#given.clear();
    await this.#read(ALL.records);
    expect(this.#given.size).toBe(this.store.stats().records);
    await this.store[Symbol.asyncDispose]();
    expect(this.#clock.waiting).toBe(0);
  }

  async #append(count: number): Promise<void> {
    const list = Array.from({ length: count }, (_, index) => ({
      ...record(this.#stored + index),
      json: `{"n":${this.#stored + index},"r":"${crypto.randomUUID()}"}`,
    }));
    const { bytes, values } = batchOf(list);
    await this.store.append(bytes, count, { urgent: true, values }, signal);
    this.#stored += count;
  }

  async #read(count: number): Promise<void> {
    if (this.store.stats().records === 0) {
      return;
    }
    const stop = new AbortController();
    const reading = this.store.next(this.#position, { records: count, bytes: 1e9 }, stop.signal);
    await this.#clock.advance(0);
    stop.abort(new Error("nothing after this position"));
    const found = await reading.catch(() => undefined);
    let before = Math.max(-1, ...this.#given.keys());
    for (const one of found?.records ?? []) {
      const number = numberOf(one);
      expect(number).toBeGreaterThan(before);
      expect(this.#finished.has(number)).toBe(false);
      this.#given.set(number, one.cursor);
      before = number;
    }
    this.#position = found?.last ?? this.#position;
  }

  async #release({ every, from }: Command & { readonly do: "release" }): Promise<void> {
    const done = [...this.#given].filter((_, index) => index % every === from % every);
    const released = this.store.release(done.map(([, cursor]) => cursor).toReversed());
    await this.#finish(
      released,
      done.map(([number]) => number),
    );
  }

  async #quarantine(at: number): Promise<void> {
    const [number, cursor] = [...this.#given][at] ?? [];
    if (number !== undefined && cursor !== undefined) {
      await this.#finish(this.store.quarantine(cursor, "test"), [number]);
    }
  }

  async #finish(work: Promise<void>, numbers: readonly number[]): Promise<void> {
    await this.#clock.advance(250);
    await work;
    for (const number of numbers) {
      this.#finished.add(number);
      this.#given.delete(number);
    }
  }

  /** After a kill the next life finds the files as they were at that moment. */
  async #begin({
    do: how,
    maxBytes,
  }: Command & { readonly do: "restart" | "kill" }): Promise<void> {
    const before = this.store;
    if (how === "kill") {
      this.#lives += 1;
      const next = join(folder, `life-${this.#lives}`);
      mkdirSync(next);
      for (const name of ["events.db", "events.db-wal"]) {
        if (existsSync(join(this.#dataDir, name))) {
          copyFileSync(join(this.#dataDir, name), join(next, name));
        }
      }
      this.#dataDir = next;
    }
    await before[Symbol.asyncDispose]();
    this.#maxBytes = maxBytes;
    await this.open();
  }

  /** The ledger is whole at every moment, and without a reason nothing was dropped. */
  #check(): void {
    const { ledger, records } = this.store.stats();
    expect(ledgerImbalance(ledger)).toEqual({ intake: 0, delivery: 0 });
    expect([ledger.stored, ledger.queued]).toEqual([this.#stored, records]);
    const { quota = 0, ttl = 0 } = ledger.dropped;
    expect(total(ledger.dropped)).toBe(quota + ttl);
  }
}

test("whatever happens to a store, what it gives out is in order, comes once, and what is missing is counted", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(commands, { size: "max", maxLength: 30 }), async (list) => {
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder);
      const life = new Life();
      await life.open();
      for (const command of list) {
        await life.do(command);
      }
      await life.end();
    }),
    { numRuns: Number(process.env["TBGW_STORE_LIVES"] ?? 12) },
  );
}, 600_000);
