/**
 * Fills a store as a loaded gateway does and is then killed: batches of all sizes, releases, quarantine, half of it in
 * the file and half in its log. Prints `+number` when a record is durable and `-number` when its release is. Arguments: data folder, records.
 */
import { systemClock } from "../../src/sdk/clock.ts";
import type { Logger } from "../../src/sdk/logger.ts";
import { START } from "../../src/storage/event-store.ts";
import { openEventStore } from "../../src/storage/open.ts";
import { batchOf, records, settings } from "../unit/storage/batches.ts";

const [dataDir = "", total = "0"] = process.argv.slice(2);
const say = (message: string): void => console.error(message);
const log: Logger = { trace: say, debug: say, info: say, warn: say, error: say };
const { signal } = new AbortController();
let store = await openEventStore(settings(), { clock: systemClock, log, dataDir });
const SIZES = [1, 3, 200, 7, 1200, 1, 40];
const lines: string[] = [];
for (let number = 0, turn = 0; number < Number(total); turn += 1) {
  const size = SIZES[turn % SIZES.length] ?? 1;
  const { bytes, count, values } = batchOf(
    records(number, size).map((one, index) => ({
      ...one,
      // Text that does not shrink, so that blocks span several pages.
      json: `{"ts":1790000000000,"values":{"n":${number + index},"r":"${crypto.randomUUID()}"}}`,
    })),
  );
  await store.append(bytes, count, { urgent: true, values }, signal);
  lines.push(...Array.from({ length: size }, (_, index) => `+${number + index}`));
  number += size;
  if (number > Number(total) / 2 && number - size <= Number(total) / 2) {
    await store[Symbol.asyncDispose](); // Writes the log back, so that the file holds one half and the log the other.
    store = await openEventStore(settings(), { clock: systemClock, log, dataDir });
  }
  if (turn === 20) {
    const { records: got } = await store.next(START, { records: 500, bytes: 1e9 }, signal);
    const gone = got.filter((_one, index) => index % 2 === 0 || index < 300);
    await store.release(gone.map(({ cursor }) => cursor));
    const [first] = got.filter((one) => !gone.includes(one));
    if (first !== undefined) {
      await store.quarantine(first.cursor, "too-large");
      gone.push(first);
    }
    lines.push(...gone.map(({ json }) => `-${/"n":(\d+)/.exec(json)?.[1]}`));
  }
}
process.stdout.write(`${lines.join("\n")}\n`, () => process.kill(process.pid, "SIGKILL"));
