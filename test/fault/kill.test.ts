// The process is killed at random moments under load; what it promised its source must arrive.
import { describe, expect, test } from "bun:test";
import { systemClock } from "../../src/sdk/clock.ts";
import { until } from "../support/until.ts";
import { COMPLETE, FaultLine, isFull, shortOrFull } from "./harness.ts";

const VALUES_PER_SECOND = 1000;
/** Data publishes in flight at most. */
const WINDOW = 16;
/** MQTT 5 §2.4 "Unsupported Protocol Version": the gateway goes back to 3.1.1. */
const UNSUPPORTED_VERSION = 0x84;
const TIMEOUT_MS = isFull ? 600_000 : 120_000;

/** What one kill may send twice, and what it did. */
interface Kill {
  /** After the process was gone, before the next began. */
  readonly atMs: number;
  readonly allowed: number;
  repeats: number;
}

/** Kills the gateway again and again, starting it at once; each kill with what it may repeat. */
async function killMany(
  line: FaultLine,
  { times, graceMs }: { readonly times: number; readonly graceMs: number },
  beforeStart: () => void,
): Promise<Kill[]> {
  const kills: Kill[] = [];
  for (let count = 0; count < times; count += 1) {
    // From "it has hardly begun" to "it has been at work for some time".
    await line.pass(80 + line.random() * (line.random() < 0.3 ? 400 : 2200));
    await line.gateway.stop("SIGKILL");
    const atMs = systemClock.monotonicMs();
    // What the kernel still held of the dead process reaches the platform before anybody can look.
    await line.pass(30);
    const { arrivals } = line;
    const allowed = arrivals.inLastPublishes(WINDOW) + arrivals.valuesSince(atMs - graceMs);
    kills.push({ atMs: systemClock.monotonicMs(), allowed, repeats: 0 });
    beforeStart();
    line.startGateway();
  }
  return kills;
}

/** Puts each repeat down to the kill after which the gateway no longer knew that the value had arrived. */
function attribute(line: FaultLine, kills: readonly Kill[]): void {
  for (const { previousAtMs } of line.arrivals.repeats) {
    const kill = kills.find(({ atMs }) => previousAtMs <= atMs);
    if (kill === undefined) {
      throw new Error("A value came twice, both times after the last kill");
    }
    kill.repeats += 1;
  }
}

describe(`kill -9 under ${VALUES_PER_SECOND} values/s`, () => {
  const cases = [
    { name: "MQTT 5", graceMs: 250, refusals: 0, times: shortOrFull(20, 100) },
    { name: "MQTT 3.1.1", graceMs: 1000, refusals: 1, times: shortOrFull(8, 40) },
  ];
  for (const { name, graceMs, refusals, times } of cases) {
    test(
      `${times} times over ${name}: nothing is missing and no more than the window and the last ${graceMs} ms come twice`,
      async () => {
        await using line = await FaultLine.open({
          name: `kill over ${name}`,
          valuesPerSecond: VALUES_PER_SECOND,
        });
        const refuse = (): void => {
          if (refusals > 0) {
            line.platform.faults.refuseConnect(UNSUPPORTED_VERSION, refusals);
          }
        };
        refuse();
        await line.run();
        expect(line.platform.sessions()[0]?.level).toBe(refusals > 0 ? 4 : 5);
        const kills = await killMany(line, { times, graceMs }, refuse);
        // The moments are random: however early they were, the account is of a real load.
        await until("enough has arrived", () => line.arrivals.count > times * 300);
        expect(await line.finish(60_000)).toEqual(COMPLETE);
        attribute(line, kills);
        const worst = kills.toSorted((a, b) => b.repeats - a.repeats)[0];
        line.note("kills", {
          kills: kills.length,
          worst: { repeats: worst?.repeats, allowed: worst?.allowed },
          repeats: kills.map(({ repeats }) => repeats),
        });
        expect(kills.filter(({ repeats, allowed }) => repeats > allowed)).toEqual([]);
      },
      TIMEOUT_MS,
    );
  }
});
