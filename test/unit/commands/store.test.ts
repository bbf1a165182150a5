import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database } from "../../../src/platform/sqlite.ts";
import { type EventStore, START } from "../../../src/storage/event-store.ts";
import { openEventStore } from "../../../src/storage/open.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { batchOf, record, records, settings } from "../storage/batches.ts";

const { signal } = new AbortController();
const MAIN = join(import.meta.dir, "../../../src/main.ts");

describe("tbgw store", () => {
  let dataDir: string;
  let clock: FakeClock;

  const open = (): Promise<EventStore> =>
    openEventStore(settings(), { clock, log: memoryLog().log, dataDir });

  const put = async (store: EventStore, from: number, count: number): Promise<void> => {
    const { bytes, count: size, values } = batchOf(records(from, count));
    await store.append(bytes, size, { urgent: true, values }, signal);
  };

  const tbgw = (...args: readonly string[]): { code: number; out: string; err: string } => {
    const run = Bun.spawnSync([process.execPath, MAIN, "store", ...args], { stderr: "pipe" });
    return { code: run.exitCode, out: run.stdout.toString(), err: run.stderr.toString() };
  };

  beforeEach(() => {
    clock = new FakeClock(1_790_000_000_000);
    dataDir = mkdtempSync(join(tmpdir(), "tbgw-command-"));
  });

  afterEach(() => {
    rmSync(dataDir, { recursive: true, force: true });
  });

  test("info shows a running store: what waits, the ledger, the quarantine with reason and text", async () => {
    await using store = await open();
    await put(store, 0, 10);
    const { records: got } = await store.next(START, { records: 1, bytes: 1e9 }, signal);
    const [first] = got;
    expect(first).toBeDefined();
    if (first !== undefined) {
      const done = store.quarantine(first.cursor, "too-large");
      await clock.advance(250);
      await done;
    }
    const json = tbgw("info", "--json", "--data", dataDir);
    expect(json.code).toBe(0);
    const info: unknown = JSON.parse(json.out);
    expect(info).toMatchObject({
      records: 9,
      values: 9,
      maxBytes: 64 * 1024 * 1024,
      oldestTs: 1_790_000_000_000,
      ledger: { stored: 10, queued: 9, quarantined: 1 },
      quarantine: [{ reason: "too-large", values: 1 }],
    });
    const text = tbgw("info", "--data", dataDir).out;
    expect(text).toContain("9 records, 9 values");
    expect(text).toContain('too-large: T1\t"Device 1"');
  });

  test("export prints the waiting records of a stopped store with their JSON as it is", async () => {
    {
      await using store = await open();
      const { bytes, count, values } = batchOf([
        { ...record(1), json: '{"ts":1,"values":{"x":25.0}}' },
        record(2, "Other"),
      ]);
      await store.append(bytes, count, { urgent: true, values }, signal);
    }
    const { code, out } = tbgw("export", "--data", dataDir);
    expect(code).toBe(0);
    const lines = out.trimEnd().split("\n");
    expect(lines).toHaveLength(2);
    expect(lines[0]).toContain('"json":{"ts":1,"values":{"x":25.0}}}');
    expect(JSON.parse(lines[1] ?? "")).toMatchObject({ device: "Other", kind: "telemetry" });
  });

  test("verify says nothing of a sound store and names a damaged block, with exit code 1", async () => {
    {
      await using store = await open();
      await put(store, 0, 10);
      await put(store, 10, 10);
    }
    expect(tbgw("verify", "--data", dataDir).code).toBe(0);
    {
      using database = new Database(join(dataDir, "events.db"));
      database.exec("UPDATE blocks SET data = CAST(substr(data, 1, 50) AS BLOB) WHERE id = 2");
    }
    const damaged = tbgw("verify", "--data", dataDir);
    expect(damaged.code).toBe(1);
    expect(damaged.out).toContain("Damaged block 2: Cannot read a block");
    {
      await using store = await open();
      await store.next(START, { records: 1e6, bytes: 1e9 }, signal);
      await clock.advance(0);
    }
    const later = tbgw("verify", "--json", "--data", dataDir);
    expect(later.code).toBe(1);
    const verdict: unknown = JSON.parse(later.out);
    expect(verdict).toMatchObject({
      damaged: [],
      evidence: [{ block: 2, values: 10 }],
      lostValues: 10,
      imbalance: 0,
    });
  });

  test("refuses an unknown option and subcommand with exit code 2, and a missing or foreign store with 1", () => {
    expect(tbgw("info", "--nope")).toMatchObject({ code: 2 });
    expect(tbgw("nope")).toMatchObject({ code: 2 });
    expect(tbgw()).toMatchObject({ code: 2 });
    const missing = tbgw("info", "--data", dataDir);
    expect(missing.code).toBe(1);
    expect(missing.err).toContain("there is no event store");
    writeFileSync(join(dataDir, "events.db"), "no database at all, whatever one may think of it");
    expect(tbgw("verify", "--data", dataDir).code).toBe(1);
  });
});
