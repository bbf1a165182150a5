import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { Database } from "../../../../src/platform/sqlite.ts";
import { type EventStore, START } from "../../../../src/storage/event-store.ts";
import { openEventStore } from "../../../../src/storage/open.ts";
import { readColumns, readVarint } from "../../../../src/storage/salvage/sqlite-cells.ts";
import { parseWal } from "../../../../src/storage/salvage/wal-image.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { type MemoryLog, memoryLog } from "../../../support/memory-log.ts";
import { batchOf, record, settings } from "../batches.ts";

const { signal } = new AbortController();
const ALL = { records: 1e6, bytes: 1e9 };

/** Records that `fill` leaves: of sixty blocks of 1 to 121 records four are done. */
const HELD = Array.from({ length: 60 }, (_, block) => 1 + (block % 7) * 20).reduce(
  (sum, count) => sum + count,
  -4,
);

describe("salvage", () => {
  let dataDir: string;
  let clock: FakeClock;
  let log: MemoryLog;
  let path: string;

  const open = (): Promise<EventStore> =>
    openEventStore(settings(), { clock, log: log.log, dataDir });

  /** Sixty blocks of different lengths, some of many pages; three records released, one in quarantine. */
  const fill = async (): Promise<void> => {
    await using store = await open();
    for (let block = 0; block < 60; block += 1) {
      const list = Array.from({ length: 1 + (block % 7) * 20 }, (_, index) => ({
        ...record(block * 1000 + index),
        json: `{"ts":1,"values":{"n":${block * 1000 + index},"r":"${crypto.randomUUID()}"}}`,
      }));
      const { bytes, count, values } = batchOf(list);
      await store.append(bytes, count, { urgent: true, values }, signal);
    }
    const { records } = await store.next(START, ALL, signal);
    const done = store.release(records.slice(1, 4).map(({ cursor }) => cursor));
    const [first] = records;
    const aside = first === undefined ? done : store.quarantine(first.cursor, "too-large");
    await clock.advance(250);
    await Promise.all([done, aside]);
  };

  const texts = async (store: EventStore): Promise<string[]> =>
    (await store.next(START, ALL, signal)).records.map(({ json }) => json);

  const errors = (): string[] => log.messages("error");

  beforeEach(() => {
    clock = new FakeClock(1_790_000_000_000);
    log = memoryLog();
    dataDir = mkdtempSync(join(tmpdir(), "tbgw-salvage-"));
    path = join(dataDir, "events.db");
  });

  afterEach(() => {
    rmSync(dataDir, { recursive: true, force: true });
  });

  test("a file SQLite cannot open gives everything back: blocks, parts, ledger and quarantine, with one ERROR", async () => {
    await fill();
    let before: string[];
    let ledger: unknown;
    {
      await using store = await open();
      before = await texts(store);
      ({ ledger } = store.stats());
    }
    const file = readFileSync(path);
    file.fill(0x55, 0, 16); // The words "SQLite format 3".
    writeFileSync(path, file);
    await using store = await open();
    expect(await texts(store)).toEqual(before);
    expect(store.stats().ledger).toEqual(ledger as ReturnType<EventStore["stats"]>["ledger"]);
    expect(errors()).toEqual([
      "The event store was damaged; set the file aside and kept what could be read",
    ]);
    using database = new Database(path, { readonly: true });
    expect(database.query("SELECT reason FROM quarantine")).toEqual([{ reason: "too-large" }]);
  });

  test("with the first page gone, what was in it is counted and the rest delivered", async () => {
    await fill();
    const file = readFileSync(path);
    file.fill(0, 0, 1024);
    writeFileSync(path, file);
    await using store = await open();
    expect((await texts(store)).length).toBe(store.stats().records);
    expect(store.stats().ledger.dropped).toEqual({});
    expect(store.stats().records).toBeGreaterThan(3000);
  });

  test("a page in the middle costs only the blocks in it, and their number is in the ledger", async () => {
    await fill();
    const file = readFileSync(path);
    const page = Math.floor(file.length / 1024 / 2);
    file.fill(0xaa, page * 1024, (page + 1) * 1024);
    file.fill(0x55, 0, 16);
    writeFileSync(path, file);
    await using store = await open();
    const held = await texts(store);
    await clock.advance(0);
    const { ledger } = store.stats();
    expect(held.length).toBeGreaterThan(2500);
    expect(ledger.stored).toBe(
      ledger.acknowledged + ledger.quarantined + held.length + (ledger.dropped["corruption"] ?? 0),
    );
  });

  test("files set aside stay at three", async () => {
    for (let round = 0; round < 5; round += 1) {
      await clock.advance(1000);
      writeFileSync(path, `this is no database ${round}`);
      await (await open())[Symbol.asyncDispose]();
    }
    expect(readdirSync(dataDir).filter((name) => /\.corrupt-\d+$/.test(name))).toHaveLength(3);
  });

  test("a file is salvaged before older ones make way, whatever the clock says", async () => {
    // Set aside when the clock was right; this time it is not.
    for (const year of ["2027", "2028", "2029"]) {
      writeFileSync(`${path}.corrupt-${Date.UTC(Number(year), 0)}`, year);
    }
    await fill();
    const bytes = readFileSync(path);
    bytes.fill(0, 0, 100); // No header: SQLite cannot open it.
    writeFileSync(path, bytes);
    clock = new FakeClock(120_000);
    await using store = await open();
    expect(store.stats().records).toBe(HELD);
    expect(readdirSync(dataDir).filter((name) => /\.corrupt-\d+$/.test(name))).toHaveLength(3);
  });

  test("a damaged block is kept as evidence", async () => {
    await fill();
    {
      using database = new Database(path);
      database.exec("UPDATE blocks SET data = CAST(substr(data, 1, 50) AS BLOB) WHERE id = 5");
    }
    await using store = await open();
    await texts(store);
    await clock.advance(0);
    using database = new Database(path, { readonly: true });
    expect(database.query("SELECT block, length(data) AS bytes FROM damaged")).toEqual([
      { block: 5, bytes: 50 },
    ]);
  });

  test("readVarint(), readColumns() and parseWal() take any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.nat(50), (bytes, at) => {
        readVarint(bytes, at);
        readColumns(bytes);
        const { committed } = parseWal(bytes);
        expect(committed.size).toBe(0);
      }),
    );
  });
});
