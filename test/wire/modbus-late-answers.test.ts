// Framings without a transaction identifier: an answer that comes late looks like that of the next request.
import { expect, test } from "bun:test";
import { systemClock } from "../../src/sdk/clock.ts";
import { RunningModbus } from "../support/modbus-connector.ts";
import { tcpSlave } from "../support/modbus-server.ts";
import { ScriptedModbus } from "../support/scripted-modbus.ts";

const TIMEOUT_MS = 30_000;
/** The slowest answer of the device, and how far the second of two answers is behind the first one. */
const SLOW_MS = 300;
const BEHIND_MS = 20;

/** Every value is that of its address. */
function expectRight(running: RunningModbus): void {
  for (const { telemetry } of running.host.accepted) {
    for (const [key, value] of Object.entries(telemetry?.[0]?.values ?? {})) {
      expect([key, value]).toEqual([key, 1000 + Number(key.slice(1))]);
    }
  }
}

const timeseries = [0, 100].map((address) => ({
  tag: `a${address}`,
  type: "16uint",
  functionCode: 3,
  address,
}));

test(
  "RTU over TCP: a device that answers a request and its repeat one after the other gives no value to another key",
  async () => {
    let held: Uint8Array | undefined;
    const stop = new AbortController();
    const later = (afterMs: number, write: () => void): void => {
      systemClock
        .sleep(afterMs, stop.signal)
        .then(write)
        .catch(() => undefined);
    };
    await using device = await ScriptedModbus.listen(({ socket, right, index }) => {
      if (index === 0) {
        later(SLOW_MS, () => socket.write(right)); // From now on it is known to be a slow one.
      } else if (index === 3) {
        held = right;
      } else if (held === undefined) {
        socket.write(right);
      } else {
        socket.write(held);
        held = undefined;
        later(BEHIND_MS, () => socket.write(right));
      }
    }, "rtu");
    const rest = { method: "rtu", timeseries, timeout: 0.6, pollPeriod: 20 };
    await using running = await RunningModbus.withSlaves([tcpSlave(device.port, rest)]);
    await running.records(4);
    stop.abort();
    expectRight(running);
    expect(running.host.counters.get("timeouts")).toBeGreaterThan(0);
    expect(running.host.counters.get("foreignFrames")).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);

test.each(["rtu", "ascii"] as const)(
  "%s over TCP: what stands behind an answer is no answer to the request after it",
  async (framing) => {
    let before: Uint8Array | undefined;
    await using device = await ScriptedModbus.listen(({ socket, right }) => {
      socket.write(Buffer.concat(before === undefined ? [right] : [right, before]));
      before = right;
    }, framing);
    const rest = { method: framing, timeseries, pollPeriod: 20 };
    await using running = await RunningModbus.withSlaves([tcpSlave(device.port, rest)]);
    await running.records(4);
    expectRight(running);
    expect(running.host.counters.get("foreignFrames")).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);
