import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/sdk/clock.ts";
import { openEventStore } from "../../src/storage/open.ts";
import { memoryLog } from "../support/memory-log.ts";

test("a collection thread that hangs for a minute is named, and the process ends with the store committed", async () => {
  const dir = await mkdtemp(join(tmpdir(), "tbgw-hang-"));
  const child = Bun.spawn(
    [process.execPath, join(import.meta.dir, "../support/hanging-collection.ts"), dir],
    { stdout: "pipe", stderr: "pipe" },
  );
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  expect(out).toBe("stored\n");
  expect(child.signalCode).toBe("SIGKILL");
  expect(err).toContain('the collection thread hangs, last in connector "Endless converter"');
  await using store = await openEventStore(
    {
      kind: "sqlite",
      maxRecords: 1000,
      maxBytes: undefined,
      ttlMs: 0,
      whenFull: "drop-oldest",
      durability: "durable",
      commitIntervalMs: 250,
      drain: "fifo",
    },
    { clock: systemClock, log: memoryLog().log, dataDir: dir },
  );
  expect(store.stats().ledger.queued).toBe(1);
  await rm(dir, { recursive: true });
}, 120_000);
