// An OPC UA server that is killed, frozen and started again, again and again: data flows soon after, each time, and once. `TBGW_FAULT=full`: 20 times, strictly.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/sdk/clock.ts";
import { RunningOpcua } from "../support/opcua-connector.ts";
import { freePort } from "../support/ports.ts";
import { ReadyProcess } from "../support/ready-process.ts";
import { until } from "../support/until.ts";
import { isFull, shortOrFull } from "./harness.ts";

/** Data flows again after an outage of up to 7 s, and after a longer one or on a machine that is busy. */
const SHORT_OUTAGE_MS = 7000;
const SOON_MS = 10_000;
const LATE_MS = 25_000;
const POLL_MS = 100;

async function start(port: number, settings: object = {}): Promise<RunningOpcua> {
  return await RunningOpcua.start({
    server: { url: `opc.tcp://127.0.0.1:${port}/plant`, timeoutInMillis: 4000, ...settings },
    mapping: [
      {
        deviceNodePattern: "Root\\.Objects\\.Boiler1",
        deviceInfo: { deviceNameExpression: "${Name}" },
        timeseries: [{ key: "n", value: "${Counter}" }],
      },
    ],
  });
}

/** Milliseconds until another value arrives. */
async function nextValue(running: RunningOpcua): Promise<number> {
  const startMs = systemClock.monotonicMs();
  const { length } = running.host.accepted;
  await until("data again", () => running.host.accepted.length > length, 30_000);
  return systemClock.monotonicMs() - startMs;
}

/** Values of the counter that were accepted, in order. */
function numbers(running: RunningOpcua): readonly number[] {
  return running.host.accepted.flatMap(({ telemetry = [] }) =>
    telemetry.map(({ values }) => Number(values["n"])),
  );
}

test("a server that is killed again and again", async () => {
  const dir = mkdtempSync(join(tmpdir(), "tbgw-peer-"));
  const port = await freePort();
  let peer = await ReadyProcess.python("opcua-peer.py", String(port), dir);
  await using running = await start(port);
  await running.said("B-1", "n");
  const recoveriesMs: number[] = [];
  for (let round = 0; round < shortOrFull(1, 20); round += 1) {
    const startMs = systemClock.monotonicMs();
    await peer[Symbol.asyncDispose]();
    await running.host.status("disconnected");
    peer = await ReadyProcess.python("opcua-peer.py", String(port), dir);
    const isShort = isFull && systemClock.monotonicMs() - startMs <= SHORT_OUTAGE_MS;
    const recoveryMs = Math.round(await nextValue(running));
    recoveriesMs.push(recoveryMs);
    expect(recoveryMs).toBeLessThan(isShort ? SOON_MS : LATE_MS);
  }
  console.log(JSON.stringify({ recoveriesMs }));
  await peer[Symbol.asyncDispose]();
  // The device was never told to be away.
  expect(running.host.devices.get("B-1")?.connected).toBe(true);
  rmSync(dir, { recursive: true, force: true });
}, 600_000);

// Most of it is waiting for the loss.
test.concurrent.each([
  ["subscriptions", true],
  ["polling", false],
])(
  "a server that is frozen, with %s",
  async (_name, enableSubscriptions) => {
    const dir = mkdtempSync(join(tmpdir(), "tbgw-peer-"));
    const port = await freePort();
    await using peer = await ReadyProcess.python("opcua-peer.py", String(port), dir);
    await using running = await start(port, { enableSubscriptions, pollPeriodInMillis: POLL_MS });
    await running.said("B-1", "n");
    peer.pause(true);
    const lost = (): number =>
      running.host.statuses.filter(({ status }) => status === "disconnected").length;
    await until("the loss, and a new attempt in vain", () => lost() >= 2, 60_000);
    expect(await running.rpc("B-1", "set", "Temperature; 5")).toEqual({
      result: { error: "OPC UA server is not connected" },
    });
    peer.pause(false);
    expect(await nextValue(running)).toBeLessThan(LATE_MS);
    // Whatever was built anew, nothing runs twice.
    const before = numbers(running).length;
    const startMs = systemClock.monotonicMs();
    await until("it goes on", () => numbers(running).length > before + 10);
    const after = numbers(running).slice(before);
    if (enableSubscriptions) {
      expect(after).toEqual([...new Set(after)]);
    } else {
      // A poll says again what has not changed: their number is what tells one poller from two.
      const polls = (systemClock.monotonicMs() - startMs) / POLL_MS;
      expect(after.length).toBeLessThanOrEqual(polls * 1.5 + 2);
    }
    rmSync(dir, { recursive: true, force: true });
  },
  120_000,
);
