import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type EventStore, START, type StoredRecord } from "../../src/storage/event-store.ts";
import { openEventStore } from "../../src/storage/open.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { memoryLog } from "../support/memory-log.ts";
import { runs } from "../support/property-runs.ts";
import { batchOf, records, settings } from "../unit/storage/batches.ts";

const ALL = { records: 1_000_000, bytes: 1e9 };
const { signal } = new AbortController();
const json = (list: readonly { readonly json: string }[]): string[] => list.map((one) => one.json);

let dataDir: string;

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "tbgw-store-"));
});

afterEach(() => {
  rmSync(dataDir, { recursive: true, force: true });
});

test.each(["sqlite", "memory"] as const)(
  "event store (%s) behaves as a plain array, whatever is done to it",
  async (kind) => {
    await fc.assert(
      fc.asyncProperty(fc.array(commands, { maxLength: 25 }), async (list) => {
        rmSync(dataDir, { recursive: true, force: true });
        const clock = new FakeClock(1_790_000_000_000);
        const open = (): Promise<EventStore> =>
          openEventStore(settings({ kind }), { clock, log: memoryLog().log, dataDir });
        await runAgainstModel(kind === "sqlite", open, list, clock);
      }),
      { numRuns: runs(60) },
    );
  },
);

const commands = fc.oneof(
  fc.record({ do: fc.constant("append" as const), count: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ do: fc.constant("read" as const), limit: fc.integer({ min: 1, max: 30 }) }),
  fc.record({ do: fc.constant("release" as const), every: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ do: fc.constant("quarantine" as const), at: fc.nat({ max: 20 }) }),
  fc.record({ do: fc.constant("restart" as const) }),
);
type Command = typeof commands extends fc.Arbitrary<infer T> ? T : never;

/** Does the same to the store and to an array, and compares what they hold after each step. */
async function runAgainstModel(
  survives: boolean,
  open: () => Promise<EventStore>,
  list: readonly Command[],
  clock: FakeClock,
): Promise<void> {
  let store = await open();
  let model: string[] = [];
  let number = 0;
  let acknowledged = 0;
  let quarantined = 0;
  const held = async (limit = ALL): Promise<readonly StoredRecord[]> =>
    model.length === 0 ? [] : (await store.next(START, limit, signal)).records;
  const finish = async (work: Promise<void>): Promise<void> => {
    await clock.advance(250);
    await work;
  };
  for (const command of list) {
    if (command.do === "append") {
      const added = records(number, command.count);
      number += command.count;
      model.push(...json(added));
      const { bytes, count, values } = batchOf(added);
      await store.append(bytes, count, { urgent: true, values }, signal);
    } else if (command.do === "read") {
      const got = await held({ records: command.limit, bytes: 1e9 });
      expect(json(got)).toEqual(model.slice(0, command.limit));
    } else if (command.do === "release") {
      const gone = (await held()).filter((_, index) => index % command.every === 0);
      acknowledged += gone.length;
      model = model.filter((_, index) => index % command.every !== 0);
      await finish(store.release(gone.toReversed().map(({ cursor }) => cursor)));
    } else if (command.do === "quarantine") {
      const one = (await held())[command.at];
      quarantined += one === undefined ? 0 : 1;
      model = model.filter((_, index) => one === undefined || index !== command.at);
      await finish(store.quarantine(one?.cursor ?? START, "test"));
    } else if (survives) {
      await store[Symbol.asyncDispose]();
      store = await open();
    }
    expect(json(await held())).toEqual(model);
    expect(store.stats().ledger).toMatchObject({
      stored: number,
      acknowledged,
      quarantined,
      queued: model.length,
    });
  }
  await store[Symbol.asyncDispose]();
  expect(clock.waiting).toBe(0);
}
