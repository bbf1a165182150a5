// One record that the platform will never take: it is set aside, alone, and everything behind it flows.
import { expect, test } from "bun:test";
import type { PublishFault } from "../../src/demo/thingsboard/faults.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { until } from "../support/until.ts";
import { COMPLETE, FaultLine, isFull } from "./harness.ts";

const TIMEOUT_MS = 180_000;
/** By then the poison must be out of the way. */
const SET_ASIDE_MS = 60_000;
const VALUES_PER_SECOND = 200;
const POISON = { device: "dev-3", seq: 57 };
const POISON_NUMBER = `${POISON.device}/${POISON.seq}`;
/** MQTT 5 §2.4 "Unsupported Protocol Version": the gateway goes back to 3.1.1. */
const UNSUPPORTED_VERSION = 0x84;

interface Case {
  readonly name: string;
  readonly fault: PublishFault;
  readonly oldProtocol?: boolean;
  /** Takes many reconnects, most of a minute alone on the machine: part of the full mode. */
  readonly slow?: boolean;
  readonly reason: RegExp;
}

const CASES: readonly Case[] = [
  {
    name: "is refused with 0x99",
    fault: { action: "refuse", code: 0x99 },
    reason: /^(payload|code|invalid|bad)/,
  },
  {
    name: "is refused with 0x99, then the connection ends",
    fault: { action: "refuse", code: 0x99, close: true },
    reason: /./,
  },
  {
    name: "ends the connection",
    fault: { action: "cut" },
    slow: true,
    reason: /^closes-connection$/,
  },
  {
    name: "ends the connection over MQTT 3.1.1",
    fault: { action: "cut" },
    oldProtocol: true,
    slow: true,
    reason: /^closes-connection$/,
  },
];

/** Whether the text of a telemetry publish carries the poison. */
function isPoisoned(text: string): boolean {
  const body: Readonly<Record<string, readonly { values: { seq?: number } }[]>> = JSON.parse(text);
  return body[POISON.device]?.some(({ values }) => values.seq === POISON.seq) === true;
}

/** Declares the tests: beside the other faults of the platform, so that the long waits of all of them pass together. */
export function declarePoisonTests(): void {
  for (const { name, fault, oldProtocol = false, reason } of CASES.filter(
    ({ slow = false }) => isFull || !slow,
  )) {
    test.concurrent(
      `always ${name} is set aside within ${SET_ASIDE_MS / 1000} s, alone, and the others flow`,
      async () => {
        await using line = await FaultLine.open({
          name: `a record that ${name}`,
          valuesPerSecond: VALUES_PER_SECOND,
        });
        const { faults } = line.platform;
        if (oldProtocol) {
          faults.refuseConnect(UNSUPPORTED_VERSION, 1);
        }
        faults.publish(fault, {
          topic: "v1/gateway/telemetry",
          when: ({ text }) => isPoisoned(text),
        });
        await line.run();
        const isSent = (): boolean => line.source.sent > (POISON.seq + 1) * 10;
        await until("the poison is on its way", isSent);
        const startMs = systemClock.monotonicMs();
        await until(
          `${line.name}: set aside`,
          () => line.setAside().has(POISON_NUMBER),
          SET_ASIDE_MS,
        );
        const setAsideMs = systemClock.monotonicMs() - startMs;
        const behindMs = await line.untilFlows(30_000, VALUES_PER_SECOND);
        line.note("poison", {
          setAsideMs: Math.round(setAsideMs),
          behindMs: Math.round(behindMs),
          setAside: [...line.setAside()],
          connections: line.platform.counters().connections,
        });
        const account = await line.finish(60_000);
        expect([...line.setAside().keys()]).toEqual([POISON_NUMBER]);
        expect(line.setAside().get(POISON_NUMBER)).toMatch(reason);
        expect(account).toEqual(COMPLETE);
        expect(line.ledger().quarantined).toBe(1);
      },
      TIMEOUT_MS,
    );
  }
}
