/**
 * The process that the fault tests of the store kill: appends one numbered record after another and prints the number when `append`
 * has resolved; releases every third record and prints `-number` when that has. Arguments: data folder, first number.
 */
import { systemClock } from "../../src/sdk/clock.ts";
import type { Logger } from "../../src/sdk/logger.ts";
import { START } from "../../src/storage/event-store.ts";
import { openEventStore } from "../../src/storage/open.ts";
import { batchOf, records, settings } from "../unit/storage/batches.ts";

const [dataDir = "", first = "0"] = process.argv.slice(2);
const say = (message: string): void => console.error(message);
const log: Logger = { trace: say, debug: say, info: say, warn: say, error: say };
const { signal } = new AbortController();
const store = await openEventStore(settings(), { clock: systemClock, log, dataDir });

/** Reads what was appended and releases every third record, as the sender would. */
async function send(): Promise<void> {
  for (let after = START; ; ) {
    const { records: got, last } = await store.next(after, { records: 50, bytes: 1e6 }, signal);
    after = last;
    const gone = got.filter((one) => numberOf(one.json) % 3 === 0);
    await store.release(gone.map(({ cursor }) => cursor));
    process.stdout.write(gone.map((one) => `-${numberOf(one.json)}\n`).join(""));
  }
}

/** Appends for ever, several at a time. */
async function collect(): Promise<void> {
  for (let number = Number(first); ; number += 8) {
    const batches = Array.from({ length: 8 }, async (_, index) => {
      const { bytes, count, values } = batchOf(records(number + index, 1));
      await store.append(bytes, count, { urgent: index % 2 === 0, values }, signal);
      return `${number + index}\n`;
    });
    process.stdout.write((await Promise.all(batches)).join(""));
  }
}

function numberOf(json: string): number {
  return Number(/"n":(\d+)/.exec(json)?.[1]);
}

await Promise.all([send(), collect()]);
