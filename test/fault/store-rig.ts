/**
 * Runs in a mount namespace of its own on a tmpfs of 64 MiB, as a loaded gateway would: batches come all the time, a sender releases what
 * it has read. Then the disk is full, taken by our own backlog and by somebody else, and has room again. Prints one JSON line.
 * Argument: data folder, the mount point.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/sdk/clock.ts";
import { ledgerImbalance } from "../../src/sdk/ledger.ts";
import type { Logger } from "../../src/sdk/logger.ts";
import { type Cursor, START } from "../../src/storage/event-store.ts";
import { openEventStore } from "../../src/storage/open.ts";
import { batchOf, failure, record, settings } from "../unit/storage/batches.ts";

const [dataDir = ""] = process.argv.slice(2);
const ignore = (): void => undefined;
const log: Logger = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };
const { signal } = new AbortController();
const store = await openEventStore(settings({ maxBytes: 2 ** 30 }), {
  clock: systemClock,
  log,
  dataDir,
});
const refusals = new Map<string, number>();
const accepted = new Set<number>();
const delivered = new Set<number>();
let number = 0;

/** One batch of a record that does not shrink. True when it was taken. */
async function put(): Promise<boolean> {
  number += 1;
  const mine = number;
  const noise = Buffer.from(crypto.getRandomValues(new Uint8Array(30_000))).toString("base64");
  const { bytes, count, values } = batchOf([
    { ...record(mine), json: `{"ts":1790000000000,"values":{"n":${mine},"r":"${noise}"}}` },
  ]);
  const error = await failure(store.append(bytes, count, { urgent: true, values }, signal));
  if (error === undefined) {
    accepted.add(mine);
    return true;
  }
  const name = error instanceof Error ? error.name : "no error";
  refusals.set(name, (refusals.get(name) ?? 0) + 1);
  return false;
}

/** Takes up to `count` records and releases them; resolves when that is durable. */
async function deliver(count: number): Promise<void> {
  const { records } = await store.next(START, { records: count, bytes: 1e9 }, signal);
  const cursors: readonly Cursor[] = records.map(({ cursor }) => cursor);
  for (const { json } of records) {
    delivered.add(Number(/"n":(\d+)/.exec(json)?.[1]));
  }
  await store.release(cursors);
}

async function putUntil(isEnough: (wasTaken: boolean) => boolean): Promise<number> {
  let attempts = 1;
  while (!isEnough(await put())) {
    attempts += 1;
    if (attempts > 20_000) {
      throw new Error("It does not come to an end");
    }
  }
  return attempts;
}

const sh = (command: string): void => {
  const run = Bun.spawnSync(["sh", "-c", command], { stderr: "inherit" });
  if (run.exitCode !== 0) {
    throw new Error(`Cannot run ${command}`);
  }
};

// Somebody else takes half, then our own backlog fills the disk to the last page; nobody else frees a byte.
const ballast = join(dataDir, "..", "ballast");
writeFileSync(ballast, new Uint8Array(30 * 1024 * 1024));
await putUntil((wasTaken) => !wasTaken);
const heldWhenFull = store.stats().records;
await deliver(Math.floor(heldWhenFull / 2));
const afterFull = await putUntil((wasTaken) => wasTaken);

// Somebody else takes the rest, to the last byte.
sh(`dd if=/dev/zero of='${ballast}-2' bs=64k 2>/dev/null || true`);
await putUntil((wasTaken) => !wasTaken);
await deliver(10);
rmSync(`${ballast}-2`);
await putUntil((wasTaken) => !wasTaken);
rmSync(ballast);
const afterBallast = await putUntil((wasTaken) => wasTaken);

await deliver(1e6);
const { ledger, records } = store.stats();
await store[Symbol.asyncDispose]();
console.log(
  JSON.stringify({
    heldWhenFull,
    afterFull,
    afterBallast,
    refusals: Object.fromEntries(refusals),
    lost: [...accepted].filter((one) => !delivered.has(one)).length,
    accepted: accepted.size,
    ledger,
    balance: ledgerImbalance(ledger),
    records,
  }),
);
