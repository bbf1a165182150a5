import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TransientError } from "../../../src/sdk/errors.ts";
import { openEventStore } from "../../../src/storage/open.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { batchOf, failure, records, settings } from "./batches.ts";

describe("openEventStore()", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "tbgw-store-"));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  test("makes the folder and files that only the owner can read", async () => {
    const dataDir = join(folder, "a", "b");
    const deps = { clock: new FakeClock(), log: memoryLog().log, dataDir };
    await using store = await openEventStore(settings(), deps);
    const { bytes, count, values } = batchOf(records(0, 1));
    await store.append(bytes, count, { urgent: true, values }, new AbortController().signal);
    const names = readdirSync(dataDir).sort();
    expect(names).toEqual([
      "events.db",
      "events.db-shm",
      "events.db-wal",
      "events.lock",
      "events.lock.owner",
      "events.reserve",
    ]);
    for (const name of names) {
      expect(statSync(join(dataDir, name)).mode & 0o777).toBe(0o600);
    }
  });

  test("takes at most 1 GiB when no quota is set, and never less than 64 KiB", async () => {
    const deps = { clock: new FakeClock(), log: memoryLog().log, dataDir: folder };
    await using large = await openEventStore(settings({ maxBytes: undefined }), deps);
    expect(large.stats().maxBytes).toBeGreaterThan(64 * 1024);
    expect(large.stats().maxBytes).toBeLessThanOrEqual(1024 ** 3);
    await large[Symbol.asyncDispose]();
    await using small = await openEventStore(settings({ maxBytes: 1 }), deps);
    expect(small.stats().maxBytes).toBe(64 * 1024);
  });

  test("says once that memory does not survive", async () => {
    const { log, messages } = memoryLog();
    await using store = await openEventStore(settings({ kind: "memory" }), {
      clock: new FakeClock(),
      log,
      dataDir: join(folder, "none"),
    });
    expect(store.stats().durable).toBe(false);
    expect(messages("warn")).toHaveLength(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("throws TransientError when the folder cannot be used", async () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    const deps = { clock: new FakeClock(), log: memoryLog().log, dataDir: join(file, "data") };
    expect(await failure(openEventStore(settings(), deps))).toBeInstanceOf(TransientError);
  });
});
