// What lines and devices do wrong: the right value or a counted failure comes of it, never a value under the wrong key.
import { describe, expect, test } from "bun:test";
import type { Json } from "../../src/sdk/model.ts";
import { RunningModbus } from "../support/modbus-connector.ts";
import { tcpSlave } from "../support/modbus-server.ts";
import { exceptionTo, ScriptedModbus, type ScriptedRequest } from "../support/scripted-modbus.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 30_000;
const item = (tag: string, address: number | string, rest: object = {}): Json => ({
  tag,
  type: "16uint",
  functionCode: 3,
  address,
  ...rest,
});

/** Every value of every record is that of its unit and address. */
function expectRight(running: RunningModbus, unit = 1): void {
  for (const { telemetry } of running.host.accepted) {
    for (const [key, value] of Object.entries(telemetry?.[0]?.values ?? {})) {
      expect([key, value]).toEqual([key, unit * 1000 + Number(key.slice(1))]);
    }
  }
}

const counted = (running: RunningModbus, name: string): number =>
  running.host.counters.get(name) ?? 0;

/** Reads two blocks far apart from a device that answers by `script`, until `count` records are there. */
async function readFrom(
  script: (request: ScriptedRequest) => void,
  rest: { readonly [key: string]: Json } = {},
  count = 3,
): Promise<{ readonly running: RunningModbus; readonly device: ScriptedModbus }> {
  const device = await ScriptedModbus.listen(script);
  const timeseries = [item("a0", 0), item("a100", 100)];
  const slave = tcpSlave(device.port, { timeseries, timeout: 0.15, pollPeriod: 20, ...rest });
  const running = await RunningModbus.withSlaves([slave]);
  await running.records(count);
  return { running, device };
}

async function close(parts: {
  readonly running: RunningModbus;
  readonly device: ScriptedModbus;
}): Promise<void> {
  await parts.running[Symbol.asyncDispose]();
  await parts.device[Symbol.asyncDispose]();
}

describe("answers over TCP", () => {
  test(
    "one that comes after its time is not taken for the next one",
    async () => {
      let late:
        | { readonly socket: ScriptedRequest["socket"]; readonly right: Uint8Array }
        | undefined;
      const parts = await readFrom(({ socket, right, index }) => {
        if (index === 3) {
          late = { socket, right };
          return;
        }
        if (late !== undefined) {
          late.socket.write(late.right);
          late = undefined;
        }
        socket.write(right);
      });
      expectRight(parts.running);
      expect(counted(parts.running, "timeouts")).toBe(1);
      expect(counted(parts.running, "retries")).toBe(1);
      await close(parts);
    },
    TIMEOUT_MS,
  );

  test(
    "of another unit, transaction, function or length are dropped, and the wait goes on",
    async () => {
      const parts = await readFrom(({ socket, right, index }) => {
        const wrong = Uint8Array.from(right);
        const change = [
          () => (wrong[6] = 9),
          () => (wrong[1] = (wrong[1] ?? 0) + 7),
          () => (wrong[7] = 4),
          () => (wrong[8] = 1),
        ];
        change[index % 4]?.();
        socket.write(wrong);
        socket.write(right);
      });
      expectRight(parts.running);
      expect(counted(parts.running, "timeouts")).toBe(0);
      expect(counted(parts.running, "foreignFrames")).toBeGreaterThanOrEqual(4);
      await close(parts);
    },
    TIMEOUT_MS,
  );

  test(
    "split into single bytes, or behind a foreign one in the same segment, are read",
    async () => {
      const parts = await readFrom(({ socket, right, index }) => {
        if (index % 2 === 0) {
          for (const byte of right) {
            socket.write(Uint8Array.of(byte));
          }
          return;
        }
        const foreign = Uint8Array.from(right);
        foreign[0] = 0x77;
        socket.write(Buffer.concat([foreign, right]));
      });
      expectRight(parts.running);
      await close(parts);
    },
    TIMEOUT_MS,
  );

  test(
    "a connection that is reset in the middle of one is opened again",
    async () => {
      const parts = await readFrom(({ socket, right, index }) => {
        if (index === 2) {
          socket.write(right.subarray(0, 5), () => socket.resetAndDestroy());
          return;
        }
        socket.write(right);
      });
      expectRight(parts.running);
      expect(parts.device.connections).toBe(2);
      await close(parts);
    },
    TIMEOUT_MS,
  );

  test.each([1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 99])(
    "exception %p costs the item alone and is counted",
    async (code) => {
      const parts = await readFrom(
        (request) => {
          const isBad = request.pdu[2] === 100;
          request.socket.write(isBad ? exceptionTo(request, code) : request.right);
        },
        { retries: 0 },
      );
      expectRight(parts.running);
      const keys = parts.running.host.accepted.map(({ telemetry }) =>
        Object.keys(telemetry?.[0]?.values ?? {}),
      );
      expect(new Set(keys.flat())).toEqual(new Set(["a0"]));
      expect(counted(parts.running, `exception${code}`)).toBeGreaterThan(0);
      await close(parts);
    },
    TIMEOUT_MS,
  );

  test(
    "busy is asked again after a pause",
    async () => {
      let busy = 0;
      const parts = await readFrom((request) => {
        busy += 1;
        request.socket.write(busy % 3 === 1 ? exceptionTo(request, 6) : request.right);
      });
      expectRight(parts.running);
      expect(counted(parts.running, "retries")).toBeGreaterThan(0);
      await close(parts);
    },
    TIMEOUT_MS,
  );
});

test(
  "with maxInFlight requests to several units are on their way together, and each gets its own answer",
  async () => {
    const waiting: ScriptedRequest[] = [];
    let together = 0;
    await using device = await ScriptedModbus.listen((request) => {
      waiting.push(request);
      if (waiting.length === 2) {
        together += 1;
        // The second one is answered first.
        for (const { socket, right } of waiting.splice(0).reverse()) {
          socket.write(right);
        }
      }
    });
    const slave = (unitId: number): Json =>
      tcpSlave(device.port, {
        deviceName: `unit ${unitId}`,
        unitId,
        maxInFlight: 2,
        pollPeriod: 20,
        timeseries: [item("a0", 0)],
      });
    await using running = await RunningModbus.withSlaves([slave(1), slave(2)]);
    await running.records(3, "unit 1");
    await running.records(3, "unit 2");
    expect(together).toBeGreaterThanOrEqual(3);
    for (const { deviceName, telemetry } of running.host.accepted) {
      expect(telemetry?.[0]?.values["a0"]).toBe(1000 * Number(deviceName.split(" ")[1]));
    }
  },
  TIMEOUT_MS,
);

describe("a device that refuses parts of what is read", () => {
  test(
    "a range around addresses that are not there: the others arrive, under their own keys, at once and from then on",
    async () => {
      const isRefused = ({ pdu }: ScriptedRequest): boolean => {
        const first = ((pdu[1] ?? 0) << 8) | (pdu[2] ?? 0);
        const last = first + (pdu[4] ?? 0) - 1;
        return [17, 18].some((missing) => first <= missing && missing <= last);
      };
      await using device = await ScriptedModbus.listen((request) =>
        request.socket.write(isRefused(request) ? exceptionTo(request, 2) : request.right),
      );
      const timeseries = [item("r${address}", "0-39")];
      const slave = tcpSlave(device.port, { timeseries, pollPeriod: 20 });
      await using running = await RunningModbus.withSlaves([slave]);
      await running.records(6);
      expectRight(running);
      const sizes = running.host.accepted.map(
        ({ telemetry }) => Object.keys(telemetry?.[0]?.values ?? {}).length,
      );
      expect(new Set(sizes)).toEqual(new Set([38]));
      // Once it is known, what is not there is asked for in every tenth cycle only.
      const before = device.requests.length;
      await running.records(running.host.accepted.length + 8);
      const after = running.host.accepted.length;
      expect(device.requests.length - before).toBeLessThan((after - 6) * 9);
    },
    TIMEOUT_MS,
  );

  test(
    "one that takes short requests only: its limit is found and kept over a restart",
    async () => {
      await using device = await ScriptedModbus.listen((request) =>
        request.socket.write((request.pdu[4] ?? 0) > 40 ? exceptionTo(request, 3) : request.right),
      );
      const slave = tcpSlave(device.port, {
        timeseries: [item("r${address}", "0-99")],
        pollPeriod: 20,
      });
      const first = await RunningModbus.withSlaves([slave]);
      await first.records(8);
      expectRight(first);
      const lengths = device.requests.slice(-4).map(({ pdu }) => pdu[4] ?? 0);
      expect(Math.max(...lengths)).toBeLessThanOrEqual(40);
      await first.stop();
      const before = device.requests.length;
      await using second = await RunningModbus.withSlaves([slave], first.host);
      await second.records(first.host.accepted.length + 2);
      const refused = device.requests.slice(before).filter(({ pdu }) => (pdu[4] ?? 0) > 40);
      expect(refused).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    "one that does not answer long requests at all is read with short ones",
    async () => {
      await using device = await ScriptedModbus.listen((request) => {
        if ((request.pdu[4] ?? 0) <= 20) {
          request.socket.write(request.right);
        }
      });
      const timeseries = [item("r${address}", "0-59"), item("s200", 200)];
      const slave = tcpSlave(device.port, {
        timeseries,
        pollPeriod: 20,
        timeout: 0.05,
        retries: 0,
      });
      await using running = await RunningModbus.withSlaves([slave]);
      await until("all values", () =>
        running.host.accepted.some(
          ({ telemetry }) => Object.keys(telemetry?.[0]?.values ?? {}).length === 61,
        ),
      );
      expectRight(running);
    },
    TIMEOUT_MS,
  );
});

describe("a device that is silent", () => {
  test(
    "is said to be down once, costs the others nothing but probes, and comes back by itself",
    async () => {
      let isSilent = false;
      await using device = await ScriptedModbus.listen((request) => {
        if (!(isSilent && request.unit === 2)) {
          request.socket.write(request.right);
        }
      });
      const one = { deviceName: "one", unitId: 1, timeseries: [item("a0", 0)], pollPeriod: 50 };
      const two = {
        deviceName: "two",
        unitId: 2,
        timeseries: [item("a0", 0)],
        pollPeriod: 50,
        timeout: 0.1,
        retries: 0,
      };
      await using running = await RunningModbus.withSlaves([
        tcpSlave(device.port, one),
        tcpSlave(device.port, two),
      ]);
      await running.records(2, "two");
      isSilent = true;
      await until("it is down", () => !running.host.devices.has("two"));
      const downs = () =>
        running.host.lines.filter(({ message }) => message === "Device is down").length;
      expect(downs()).toBe(1);
      const before = running.host.accepted.length;
      await running.records(before + 20, "one");
      expect(downs()).toBe(1);
      expect(
        await running.rpc("two", "get", "type=16uint;functionCode=3;objectsCount=1;address=0;"),
      ).toEqual({
        result: { error: "device is not responding" },
      });
      isSilent = false;
      await until("it is back", () => running.host.devices.get("two")?.connected === true);
      expect(running.host.devices.get("one")?.connected).toBe(true);
    },
    TIMEOUT_MS,
  );

  test(
    "a command for it fails in its own time and stops nobody; commands go before reads",
    async () => {
      await using device = await ScriptedModbus.listen((request) => {
        if (request.unit !== 2) {
          request.socket.write(request.right);
        }
      });
      const reads = Array.from({ length: 20 }, (_, index) => item(`a${index * 50}`, index * 50));
      await using running = await RunningModbus.withSlaves([
        tcpSlave(device.port, {
          deviceName: "one",
          timeseries: reads,
          pollPeriod: 1,
          readOptimization: false,
        }),
        tcpSlave(device.port, { deviceName: "two", unitId: 2, responseTimeoutMs: 200 }),
      ]);
      await running.records(2, "one");
      const write = "type=16int;functionCode=6;objectsCount=1;address=5;value=1;";
      for (let round = 0; round < 10; round += 1) {
        const before = device.requests.length;
        await running.rpc("one", "set", write);
        const place = device.requests.slice(before).findIndex(({ pdu }) => pdu[0] === 6);
        expect(place).toBeLessThanOrEqual(2);
      }
      const records = running.host.accepted.length;
      expect(await running.rpc("two", "set", write, { timeoutMs: 1000 })).toEqual({
        result: { error: "no answer within 200 ms" },
      });
      await running.records(records + 5, "one");
    },
    TIMEOUT_MS,
  );
});
