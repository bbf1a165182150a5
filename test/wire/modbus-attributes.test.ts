// Shared attributes on their way to a device: the newest value is the one that stays.
import { expect, test } from "bun:test";
import { RunningModbus } from "../support/modbus-connector.ts";
import { tcpSlave } from "../support/modbus-server.ts";
import { exceptionTo, ScriptedModbus } from "../support/scripted-modbus.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 30_000;
const NEVER = new AbortController().signal;
const setpoint = (address: number) => ({
  tag: "setpoint",
  type: "16uint",
  functionCode: 6,
  address,
});

async function update(running: RunningModbus, value: number): Promise<void> {
  const change = { deviceName: "Pump", values: { setpoint: value }, removed: [] };
  await running.connector.handleAttributes?.(change, NEVER);
}

test(
  "a value whose write has to be repeated does not come after a newer one",
  async () => {
    const written: number[] = [];
    let isBusy = true;
    await using device = await ScriptedModbus.listen((request) => {
      if (request.pdu[0] !== 6) {
        request.socket.write(request.right);
      } else if (isBusy) {
        isBusy = false;
        request.socket.write(exceptionTo(request, 6));
      } else {
        written.push(request.pdu[4] ?? 0);
        request.socket.write(request.right);
      }
    });
    const slave = tcpSlave(device.port, { attributeUpdates: [setpoint(5)] });
    await using running = await RunningModbus.withSlaves([slave]);
    await running.host.status("connected");
    await Promise.all([update(running, 1), update(running, 2)]);
    expect(written.at(-1)).toBe(2);
  },
  TIMEOUT_MS,
);

test(
  "of two registers of one attribute the one that was not written is written when the device is back",
  async () => {
    const written = new Map<number, number>();
    let isAway = false;
    await using device = await ScriptedModbus.listen((request) => {
      const address = request.pdu[2] ?? 0;
      if (isAway || (request.pdu[0] === 6 && address === 5 && !written.has(6))) {
        return;
      }
      if (request.pdu[0] === 6) {
        written.set(address, request.pdu[4] ?? 0);
      }
      request.socket.write(request.right);
    });
    const rest = { attributeUpdates: [setpoint(5), setpoint(6)], timeout: 0.1, retries: 0 };
    const timeseries = [{ tag: "a", type: "16uint", functionCode: 3, address: 0 }];
    const slave = tcpSlave(device.port, { ...rest, timeseries });
    await using running = await RunningModbus.withSlaves([slave]);
    await running.records(1);
    await update(running, 7);
    expect([...written]).toEqual([[6, 7]]);
    isAway = true;
    await until("it is down", () => !running.host.devices.has("Pump"));
    isAway = false;
    await until("it is written", () => written.get(5) === 7);
  },
  TIMEOUT_MS,
);
