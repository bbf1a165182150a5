// A platform that misbehaves for a time: nothing is lost, and values flow again soon after.
import { describe, expect, test } from "bun:test";
import { switchesBetween, voluntarySwitches } from "../support/context-switches.ts";
import { until } from "../support/until.ts";
import { COMPLETE, FaultLine, isFull, shortOrFull } from "./harness.ts";
import { declarePoisonTests } from "./poison.ts";
import { allowedSilenceMs, type UplinkFault, uplinkFaults } from "./uplink-faults.ts";

const VALUES_PER_SECOND = 50;
const TIMEOUT_MS = isFull ? 900_000 : 180_000;
/** MQTT 5 §2.4 "Unsupported Protocol Version": the gateway goes back to 3.1.1. */
const UNSUPPORTED_VERSION = 0x84;

async function suffer(fault: UplinkFault): Promise<void> {
  await using line = await FaultLine.open({
    name: `the platform ${fault.name}`,
    valuesPerSecond: VALUES_PER_SECOND,
  });
  const { arrivals, platform } = line;
  if (fault.oldProtocol === true) {
    platform.faults.refuseConnect(UNSUPPORTED_VERSION, 1);
  }
  await line.run();
  expect(platform.sessions()[0]?.level).toBe(fault.oldProtocol === true ? 4 : 5);
  await line.pass(300 + 700 * line.random());
  await fault.inflict(line);
  const before = line.missing().length;
  arrivals.watchGaps();
  const flowsMs = await line.untilFlows(allowedSilenceMs(fault) + 10_000);
  await line.pass(2000);
  const account = await line.finish(60_000);
  const silenceMs = arrivals.longestDeviceGapMs;
  line.note("recovery", {
    waitingAtEnd: before,
    flowsMs: Math.round(flowsMs),
    silenceMs: Math.round(silenceMs),
    setAside: line.setAside().size,
    connections: platform.counters().connections,
  });
  expect(account).toEqual(COMPLETE);
  // Of each device, not only of one of them.
  expect(silenceMs).toBeLessThan(allowedSilenceMs(fault));
  if (fault.setsAside !== true) {
    expect(line.setAside().size).toBe(0);
  }
}

describe("a record that", declarePoisonTests);

describe("a platform that", () => {
  for (const fault of uplinkFaults()) {
    test.concurrent(
      `${fault.name} loses nothing, and values flow again within ${allowedSilenceMs(fault) / 1000} s`,
      async () => {
        await suffer(fault);
      },
      TIMEOUT_MS,
    );
  }
});

/**
 * Times a thread may give up the processor in a minute of quiet: after 60 s over all threads; in a normal run, sooner and beside
 * others, over those that run our code.
 */
const SWITCHES_A_MINUTE = shortOrFull(400, 300);
/** The allocator's own thread. */
const ALLOCATOR = "mi-scavenger/";

describe("a gateway after a fault", () => {
  test.concurrent(
    `that has nothing to do wakes up ${SWITCHES_A_MINUTE} times a minute at most`,
    async () => {
      await using line = await FaultLine.open({ name: "quiet", valuesPerSecond: 200 });
      const { platform } = line;
      await line.run();
      for (let count = 0; count < 3; count += 1) {
        await platform.down();
        await platform.up();
        await line.untilFlows(30_000, 50);
      }
      await line.source.stop();
      await until("everything has arrived", () => line.missing().length === 0);
      await line.pass(shortOrFull(20_000, 60_000));
      const measureMs = shortOrFull(20_000, 60_000);
      const before = voluntarySwitches(line.gateway.pid);
      await line.pass(measureMs);
      const threads = switchesBetween(before, voluntarySwitches(line.gateway.pid));
      const total = threads
        .filter(([thread]) => isFull || !thread.startsWith(ALLOCATOR))
        .reduce((sum, [, count]) => sum + count, 0);
      const aMinute = Math.round((total / measureMs) * 60_000);
      line.note("quiet", { switchesAMinute: aMinute, measureMs, threads });
      expect(await line.finish(30_000)).toEqual(COMPLETE);
      expect(aMinute).toBeLessThanOrEqual(SWITCHES_A_MINUTE);
    },
    TIMEOUT_MS,
  );
});
