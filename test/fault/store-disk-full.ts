/**
 * Runs in a mount namespace of its own, where the data folder is a file system of 8 MiB: somebody else takes most of it, the store
 * takes the rest, then there is room again. Prints one JSON line. Arguments: data folder.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/sdk/clock.ts";
import type { Logger } from "../../src/sdk/logger.ts";
import { type Cursor, START } from "../../src/storage/event-store.ts";
import { openEventStore } from "../../src/storage/open.ts";
import { batchOf, failure, record, settings } from "../unit/storage/batches.ts";

const [dataDir = ""] = process.argv.slice(2);
const said: string[] = [];
const say = (message: string): void => {
  said.push(message);
};
const log: Logger = { trace: say, debug: say, info: say, warn: say, error: say };
const { signal } = new AbortController();
const store = await openEventStore(settings(), { clock: systemClock, log, dataDir });
const put = (number: number): Promise<unknown> => {
  const noise = Buffer.from(crypto.getRandomValues(new Uint8Array(6000))).toString("base64");
  const { bytes, count, values } = batchOf([{ ...record(number), json: `"${number} ${noise}"` }]);
  return failure(store.append(bytes, count, { urgent: true, values }, signal));
};

const ballast = join(dataDir, "ballast");
writeFileSync(ballast, new Uint8Array(6 * 1024 * 1024));
let stored = 0;
let refusal: unknown;
for (let number = 0; number < 1000 && refusal === undefined; number += 1) {
  refusal = await put(number);
  stored += refusal === undefined ? 1 : 0;
}
const secondRefusal = await put(1000);

const { records } = await store.next(START, { records: 1e6, bytes: 1e9 }, signal);
const cursors: readonly Cursor[] = records.map(({ cursor }) => cursor);
const released = store.release(cursors);
rmSync(ballast);
await released;
let afterwards: unknown = "not tried";
for (let attempt = 0; attempt < 3 && afterwards !== undefined; attempt += 1) {
  afterwards = await put(2000 + attempt);
}
const { ledger } = store.stats();
await store[Symbol.asyncDispose]();
console.log(
  JSON.stringify({
    stored,
    refusal: refusal instanceof Error ? refusal.name : refusal,
    secondRefusal: secondRefusal instanceof Error ? secondRefusal.name : secondRefusal,
    read: records.length,
    works: afterwards === undefined,
    ledger,
    said: [...new Set(said)],
  }),
);
