import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/sdk/clock.ts";
import { ledgerImbalance } from "../../src/sdk/ledger.ts";
import { START } from "../../src/storage/event-store.ts";
import { openEventStore } from "../../src/storage/open.ts";
import { memoryLog } from "../support/memory-log.ts";
import { settings } from "../unit/storage/batches.ts";

const KILLS = 10;
const WRITER = join(import.meta.dir, "store-writer.ts");

test("a store whose process is killed has everything that was appended, and nothing that was released", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "tbgw-kill-"));
  const appended = new Set<number>();
  const released = new Set<number>();
  try {
    for (let kill = 0; kill < KILLS; kill += 1) {
      await writeUntilKilled(dataDir, kill, (line) => {
        const number = Number(line);
        (line.startsWith("-") ? released : appended).add(Math.abs(number));
      });
      const held = await readNumbers(dataDir);
      expect([...appended].filter((number) => !held.has(number) && number % 3 !== 0)).toEqual([]);
      expect([...released].filter((number) => held.has(number))).toEqual([]);
    }
    expect(appended.size).toBeGreaterThan(KILLS * 50);
    expect(released.size).toBeGreaterThan(KILLS * 10);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}, 120_000);

/** Lets a process write, and kills it in the middle: after a number of lines that differs each time. */
async function writeUntilKilled(
  dataDir: string,
  kill: number,
  onLine: (line: string) => void,
): Promise<void> {
  const writer = Bun.spawn([process.execPath, WRITER, dataDir, String(kill * 1_000_000)], {
    stdout: "pipe",
    stderr: "inherit",
  });
  let rest = "";
  let lines = 0;
  const decoder = new TextDecoder();
  for await (const chunk of writer.stdout) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      lines += 1;
      onLine(part);
    }
    if (lines > 150 + kill * 37) {
      writer.kill("SIGKILL");
    }
  }
  await writer.exited;
  expect(writer.signalCode).toBe("SIGKILL");
}

/** The numbers of all records the store holds after a restart; its ledger must be right. */
async function readNumbers(dataDir: string): Promise<Set<number>> {
  const { log, messages } = memoryLog();
  await using store = await openEventStore(settings(), { clock: systemClock, log, dataDir });
  const stats = store.stats();
  expect(ledgerImbalance(stats.ledger)).toEqual({ intake: 0, delivery: 0 });
  expect(messages("error")).toEqual([]);
  const { records } = await store.next(
    START,
    { records: 1e9, bytes: 1e9 },
    new AbortController().signal,
  );
  expect(records).toHaveLength(stats.records);
  return new Set(records.map(({ json }) => Number(/"n":(\d+)/.exec(json)?.[1])));
}
