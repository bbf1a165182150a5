import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/sdk/clock.ts";
import { ledgerImbalance } from "../../../src/sdk/ledger.ts";
import {
  type AppendOptions,
  type EventStore,
  START,
  type StorageSettings,
} from "../../../src/storage/event-store.ts";
import { openEventStore } from "../../../src/storage/open.ts";
import { takeOver } from "../../../src/storage/takeover.ts";
import { memoryLog } from "../../support/memory-log.ts";
import {
  pythonLine,
  pythonMessage,
  pythonMessages,
  writeDatabase,
  writeState,
  writeTextFile,
} from "../../support/python-storage.ts";
import { batchOf, record, settings } from "./batches.ts";

const never = new AbortController().signal;
const folders: string[] = [];

afterEach(async () => {
  await Promise.all(folders.splice(0).map((path) => rm(path, { recursive: true, force: true })));
});

/** A data folder and a folder that a Python gateway left. */
async function rig(changes: Partial<StorageSettings> = {}) {
  const dir = await mkdtemp(join(tmpdir(), "tbgw-takeover-"));
  folders.push(dir);
  const memory = memoryLog();
  const { log } = memory;
  const openStore = () =>
    openEventStore(settings(changes), { clock: systemClock, log, dataDir: join(dir, "own") });
  const run = (
    store: EventStore,
    kind: "file" | "sqlite",
    options: { folder?: string; signal?: AbortSignal } = {},
  ) =>
    takeOver(
      { kind, folder: options.folder ?? join(dir, "left/") },
      {
        store,
        clock: systemClock,
        log,
        whenFull: settings(changes).whenFull,
        pythonHome: join(dir, "home"),
      },
      options.signal ?? never,
    );
  return { dir, left: join(dir, "left"), openStore, run, memory };
}

/** The sequence numbers in the store, in order. */
async function sequence(store: EventStore): Promise<number[]> {
  const numbers: number[] = [];
  let after = START;
  while (numbers.length < store.stats().records) {
    const { records, last } = await store.next(after, { records: 5000, bytes: 1 << 30 }, never);
    numbers.push(
      ...records.map(({ json }) => Number(/"(?:seq|n)":(\d+)/.exec(json)?.[1] ?? Number.NaN)),
    );
    after = last;
  }
  return numbers;
}

const range = (first: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => first + index);

describe("takeOver() of text files", () => {
  test("takes the unread part in the order of the names, once, and renames", async () => {
    const { left, openStore, run } = await rig();
    await writeTextFile(left, 1, pythonMessages(0, 5).map(pythonLine));
    await writeTextFile(left, 2, pythonMessages(5, 5).map(pythonLine));
    await writeTextFile(left, 3, pythonMessages(10, 5).map(pythonLine));
    await writeState(left, "data_2.txt", 2);
    await using store = await openStore();
    await run(store, "file");
    expect(await sequence(store)).toEqual(range(7, 8));
    expect((await readdir(left)).sort()).toEqual([
      "data_1.txt.imported",
      "data_2.txt.imported",
      "data_3.txt.imported",
      "state_file.txt.imported",
    ]);
    const { ledger } = store.stats();
    expect(ledger).toMatchObject({ received: 16, stored: 16, queued: 16, rejected: {} });
    await run(store, "file");
    expect(store.stats().records).toBe(8);
  });

  test("corrupt lines are counted and cost no neighbour; a torn last line too", async () => {
    const { left, openStore, run } = await rig();
    const good = pythonLine(pythonMessage(1));
    const path = await writeTextFile(left, 1, [
      pythonLine(pythonMessage(0)),
      "%%%%",
      good.slice(0, -3),
      "",
      pythonLine("no JSON"),
      Buffer.from([0xff, 0xfe, 0xfd]).toString("base64"),
      good,
      `${pythonLine(pythonMessage(2))}\r`,
    ]);
    await writeFile(path, `${await readFile(path, "utf8")}${good.slice(0, 21)}`);
    await using store = await openStore();
    await run(store, "file");
    expect(await sequence(store)).toEqual([0, 1, 2]);
    const { ledger } = store.stats();
    expect(ledger.rejected).toEqual({ corrupt: 5 });
    expect(ledgerImbalance(ledger)).toEqual({ intake: 0, delivery: 0 });
  });

  test("a last line without its line feed is a record; lines across read buffers stay whole", async () => {
    const { left, openStore, run } = await rig();
    const path = await writeTextFile(left, 1, pythonMessages(0, 4000).map(pythonLine));
    const text = await readFile(path, "utf8");
    expect(text.length).toBeGreaterThan(600_000);
    await truncate(path, text.length - 1);
    await using store = await openStore();
    await run(store, "file");
    expect(await sequence(store)).toEqual(range(0, 4000));
  });

  test("a state that cannot be read costs repeats, not records", async () => {
    const { left, openStore, run, memory } = await rig();
    await writeTextFile(left, 1, pythonMessages(0, 3).map(pythonLine));
    await writeFile(join(left, "state_file.txt"), '{"position": 2');
    await using store = await openStore();
    await run(store, "file");
    expect(await sequence(store)).toEqual([0, 1, 2]);
    expect(memory.records.some(({ level }) => level === "warn")).toBe(true);
  });

  test("an interrupted take-over goes on where it was, at every batch", async () => {
    const { left, openStore, run } = await rig();
    await writeTextFile(left, 1, pythonMessages(0, 2500).map(pythonLine));
    await writeTextFile(left, 2, pythonMessages(2500, 1500).map(pythonLine));
    let attempts = 0;
    for (let isDone = false; !isDone; attempts += 1) {
      await using store = await openStore();
      const stop = new AbortController();
      await run(stopAfter(store, attempts, stop), "file", { signal: stop.signal });
      isDone = !stop.signal.aborted;
    }
    expect(attempts).toBeGreaterThan(3);
    await using store = await openStore();
    expect(await sequence(store)).toEqual(range(0, 4000));
    expect(store.stats().ledger).toMatchObject({ received: 8000, stored: 8000 });
    await run(store, "file");
    expect([...store.stats().marks.values()].every((value) => value === 0)).toBe(true);
  });

  test("a later backlog of the same names is taken over as well", async () => {
    const { left, openStore, run } = await rig();
    await using store = await openStore();
    await writeTextFile(left, 1, pythonMessages(0, 5).map(pythonLine));
    await run(store, "file");
    await writeTextFile(left, 1, pythonMessages(5, 3).map(pythonLine));
    await run(store, "file");
    expect(await sequence(store)).toEqual(range(0, 8));
    expect((await readdir(left)).sort()).toEqual(["data_1.txt.2.imported", "data_1.txt.imported"]);
  });

  test("a relative folder is looked for in the Python gateway's home", async () => {
    const { dir, openStore, run } = await rig();
    await writeTextFile(join(dir, "home/old"), 1, pythonMessages(0, 2).map(pythonLine));
    await using store = await openStore();
    await run(store, "file", { folder: "./old/" });
    expect(await sequence(store)).toEqual([0, 1]);
  });

  test("a store that keeps what it has leaves the rest where it is", async () => {
    const { left, openStore, run, memory } = await rig({ whenFull: "wait", maxBytes: 128 * 1024 });
    await writeTextFile(left, 1, pythonMessages(0, 20_000).map(pythonLine));
    await using store = await openStore();
    await run(store, "file");
    const taken = await sequence(store);
    expect(taken.length).toBeGreaterThan(0);
    expect(taken.length).toBeLessThan(20_000);
    expect(taken).toEqual(range(0, taken.length));
    expect(await readdir(left)).toEqual(["data_1.txt"]);
    expect(memory.records.some(({ level }) => level === "error")).toBe(true);
  });
});

describe("takeOver() of databases", () => {
  test.each(["current", "older"] as const)(
    "takes all rows of the %s schema in order, data.db first",
    async (schema) => {
      const { left, openStore, run } = await rig();
      await writeDatabase(left, "data_1700000000000.db", {
        messages: pythonMessages(500, 500),
        schema,
      });
      await writeDatabase(left, "data.db", {
        messages: pythonMessages(0, 500),
        schema,
        firstId: 77,
      });
      await using store = await openStore();
      const own = batchOf([record(5000)]);
      await run(store, "sqlite");
      await store.append(own.bytes, own.count, { urgent: true, values: own.values }, never);
      expect(await sequence(store)).toEqual([...range(0, 1000), 5000]);
      expect((await readdir(left)).filter((name) => !name.includes("imported"))).toEqual([]);
      expect(store.stats().ledger).toMatchObject({ received: 2001, stored: 2001 });
    },
  );

  test("rows of a write-ahead log that was never written back are taken", async () => {
    const { left, openStore, run } = await rig();
    const path = await writeDatabase(left, "data.db", { messages: [] });
    const child = Bun.spawn(
      [
        process.execPath,
        "-e",
        `const { Database } = require("bun:sqlite");
         const db = new Database(${JSON.stringify(path)});
         db.run("INSERT INTO messages(timestamp, message) VALUES(1, ?)", [${JSON.stringify(pythonMessage(3))}]);
         process.kill(process.pid, "SIGKILL");`,
      ],
      { stdout: "inherit", stderr: "inherit" },
    );
    await child.exited;
    expect(await readdir(left)).toContain("data.db-wal");
    await using store = await openStore();
    await run(store, "sqlite");
    expect(await sequence(store)).toEqual([3]);
  });

  test("an entry without a time gets that of its row", async () => {
    const { left, openStore, run } = await rig();
    await writeDatabase(left, "data.db", {
      messages: ['{"deviceName":"A","telemetry":[{"seq":4}]}'],
      timestamp: 1_600_000_000_000,
    });
    await using store = await openStore();
    await run(store, "sqlite");
    const { records } = await store.next(START, { records: 1, bytes: 1000 }, never);
    expect(records[0]?.json).toBe('{"ts":1600000000000,"values":{"seq":4}}');
  });

  test("rows that are no messages are counted and cost no neighbour", async () => {
    const { left, openStore, run } = await rig();
    await writeDatabase(left, "data.db", {
      messages: [
        pythonMessage(0),
        "{",
        new Uint8Array([1, 2]),
        '{"deviceName":"A","telemetry":[]}',
        pythonMessage(1),
      ],
    });
    await using store = await openStore();
    await run(store, "sqlite");
    expect(await sequence(store)).toEqual([0, 1]);
    expect(store.stats().ledger.rejected).toEqual({ corrupt: 2, "no-value": 1 });
  });

  test("damaged pages cost their own rows, which are counted", async () => {
    const { left, openStore, run, memory } = await rig();
    const path = await writeDatabase(left, "data.db", { messages: pythonMessages(0, 1000) });
    const bytes = await readFile(path);
    const needle = Buffer.from('"seq": 500,');
    const pageStart = Math.floor(bytes.indexOf(needle) / 4096) * 4096;
    bytes.fill(0xff, pageStart, pageStart + 4096);
    await writeFile(path, bytes);
    await using store = await openStore();
    await run(store, "sqlite");
    const taken = await sequence(store);
    const lost = store.stats().ledger.rejected["corrupt"] ?? 0;
    expect(taken).not.toContain(500);
    expect(lost).toBeGreaterThan(1);
    expect(lost).toBeLessThan(50);
    expect(taken.length + lost).toBe(1000);
    expect(taken).toEqual([...taken].sort((left_, right) => left_ - right));
    expect(memory.records.some(({ level }) => level === "error")).toBe(false);
  });

  test("a file that is no database is counted, set aside and stops nothing", async () => {
    const { left, openStore, run } = await rig();
    await writeDatabase(left, "data_2.db", { messages: pythonMessages(0, 3) });
    await writeFile(join(left, "data.db"), "no database".repeat(1000));
    await using store = await openStore();
    await run(store, "sqlite");
    expect(await sequence(store)).toEqual([0, 1, 2]);
    expect(store.stats().ledger.rejected).toEqual({ corrupt: 1 });
    expect((await readdir(left)).sort()).toEqual(["data.db.imported", "data_2.db.imported"]);
  });

  test("a database that is still in use is left alone", async () => {
    const { left, openStore, run, memory } = await rig();
    const path = await writeDatabase(left, "data.db", { messages: pythonMessages(0, 3) });
    await using store = await openStore();
    {
      using other = new Database(path);
      expect(other.query("SELECT count(*) AS rows FROM messages").get()).toEqual({ rows: 3 });
      await run(store, "sqlite");
    }
    expect(store.stats().records).toBe(0);
    expect(await readdir(left)).toContain("data.db");
    expect(JSON.stringify(memory.records)).toContain("in use");
    await run(store, "sqlite");
    expect(await sequence(store)).toEqual([0, 1, 2]);
  });
});

/** The store, with an abort instead of the append after `appends` ones. */
function stopAfter(store: EventStore, appends: number, stop: AbortController): EventStore {
  let left = appends;
  return {
    append: (batch: Uint8Array, count: number, options: AppendOptions, signal: AbortSignal) => {
      if (left === 0) {
        stop.abort(new Error("killed"));
      }
      left -= 1;
      return store.append(batch, count, options, signal);
    },
    next: (after, limit, signal) => store.next(after, limit, signal),
    release: (cursors) => store.release(cursors),
    quarantine: (cursor, reason) => store.quarantine(cursor, reason),
    stats: () => store.stats(),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}
