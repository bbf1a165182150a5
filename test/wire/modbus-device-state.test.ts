// Exceptions that are about the state of a device, not about what was asked for.
import { expect, test } from "bun:test";
import { RunningModbus } from "../support/modbus-connector.ts";
import { tcpSlave } from "../support/modbus-server.ts";
import { exceptionTo, ScriptedModbus } from "../support/scripted-modbus.ts";

const TIMEOUT_MS = 30_000;
const item = (tag: string, address: number) => ({ tag, type: "16uint", functionCode: 3, address });

test.each([4, 6, 11])(
  "exception %p is a state that passes: the values are asked for in every cycle, and are there with the first that is answered",
  async (code) => {
    await using device = await ScriptedModbus.listen((request) =>
      request.socket.write(request.index < 6 ? exceptionTo(request, code) : request.right),
    );
    const rest = { timeseries: [item("a0", 0)], pollPeriod: 20, retries: 0 };
    const slave = tcpSlave(device.port, { ...rest, connectAttemptCount: 100 });
    await using running = await RunningModbus.withSlaves([slave]);
    await running.records(1);
    expect(device.requests.length).toBeGreaterThanOrEqual(running.host.counters.get("cycles") ?? 0);
  },
  TIMEOUT_MS,
);

test(
  'a device that answers "device failure" to an address it does not have: what is read over that gap is read apart',
  async () => {
    await using device = await ScriptedModbus.listen((request) => {
      const isBad = request.pdu[2] === 0 && (request.pdu[4] ?? 0) > 5;
      request.socket.write(isBad ? exceptionTo(request, 4) : request.right);
    });
    const slave = tcpSlave(device.port, { timeseries: [item("a0", 0), item("a8", 8)] });
    await using running = await RunningModbus.withSlaves([slave]);
    await running.records(2);
    const [first] = running.host.accepted;
    expect(first?.telemetry?.[0]?.values).toEqual({ a0: 1000, a8: 1008 });
  },
  TIMEOUT_MS,
);
