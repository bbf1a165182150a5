import { systemClock } from "../../src/sdk/clock.ts";
import { RunningModbus } from "../../test/support/modbus-connector.ts";
import { PtyPair } from "../../test/support/pty-pair.ts";
import { RtuSimulator } from "../../test/support/rtu-simulator.ts";

const FOREVER = new AbortController().signal;
const UNITS = 10;
const REGISTERS = 60;
const BAUD = 9600;
const DEAD_UNIT = 5;

/**
 * A serial line at 9,600 8E1 with ten slaves of 60 registers, asked for as often as it can: registers a second against the line's own limit,
 * what the others keep while one is dead, and how long that one takes to come back.
 */
export async function modbusLine(healthyS: number, deadS: number): Promise<object> {
  await using pair = await PtyPair.open();
  await using simulator = await RtuSimulator.open(pair.theirs, BAUD);
  const slaves = Array.from({ length: UNITS }, (_, index) => ({
    deviceName: `unit ${index + 1}`,
    unitId: index + 1,
    type: "serial",
    method: "rtu",
    port: pair.ours,
    baudrate: BAUD,
    parity: "E",
    byteOrder: "BIG",
    pollPeriod: 500,
    timeseries: [
      { tag: "r_${address}", type: "16uint", functionCode: 3, address: `0-${REGISTERS - 1}` },
    ],
  }));
  await using running = await RunningModbus.withSlaves(slaves);
  const { host } = running;
  const counts = (): number[] => {
    const byUnit = Array.from({ length: UNITS }, () => 0);
    for (const { deviceName } of host.accepted) {
      const unit = Number(deviceName.split(" ")[1]) - 1;
      byUnit[unit] = (byUnit[unit] ?? 0) + 1;
    }
    return byUnit;
  };
  const measure = async (seconds: number): Promise<number[]> => {
    const before = counts();
    const startMs = systemClock.monotonicMs();
    await systemClock.sleep(seconds * 1000, FOREVER);
    const tookS = (systemClock.monotonicMs() - startMs) / 1000;
    return counts().map((count, index) => ((count - (before[index] ?? 0)) * REGISTERS) / tookS);
  };
  await running.records(3, `unit ${UNITS}`);
  const healthy = await measure(healthyS);
  const total = sum(healthy);
  simulator.silent.add(DEAD_UNIT);
  await systemClock.sleep(20_000, FOREVER);
  const withDead = await measure(deadS);
  // The line is full: without the dead one the others would share its time. What they must keep is what they had.
  const kept = withDead
    .map((rate, index) => rate / (healthy[index] ?? 1))
    .filter((_, index) => index !== DEAD_UNIT - 1);
  simulator.silent.delete(DEAD_UNIT);
  const before = counts()[DEAD_UNIT - 1];
  const revivedMs = systemClock.monotonicMs();
  while (counts()[DEAD_UNIT - 1] === before) {
    await systemClock.sleep(50, FOREVER);
  }
  const limit = lineLimit();
  return {
    registersPerSecond: round(total),
    limit: round(limit),
    share: round(total / limit),
    withOneDead: round(sum(withDead)),
    leastKept: round(Math.min(...kept)),
    meanKept: round(sum(kept) / kept.length),
    // Of the line's own limit when the dead one is not there at all.
    withOneDeadOfLimit: round(sum(withDead) / limit),
    backAfterS: round((systemClock.monotonicMs() - revivedMs) / 1000),
    timeouts: host.counters.get("timeouts") ?? 0,
  };
}

/** 8 characters of request, 3.5 of silence, 125 of answer, 3.5 of silence. */
function lineLimit(): number {
  const charS = 11 / BAUD;
  return REGISTERS / (charS * (8 + 3.5 + 5 + 2 * REGISTERS + 3.5));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
