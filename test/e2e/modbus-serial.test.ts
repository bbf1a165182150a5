// A serial line over a pair of pseudo-terminals, with what goes wrong on real ones.
import { expect, test } from "bun:test";
import { encodeRtu } from "../../connectors/modbus/frames.ts";
import type { Json } from "../../src/sdk/model.ts";
import { RunningModbus } from "../support/modbus-connector.ts";
import { PtyPair } from "../support/pty-pair.ts";
import { RtuSimulator } from "../support/rtu-simulator.ts";

const TIMEOUT_MS = 60_000;

const slave = (
  port: string,
  unitId: number,
  rest: { readonly [key: string]: Json } = {},
): Json => ({
  deviceName: `unit ${unitId}`,
  unitId,
  type: "serial",
  method: "rtu",
  port,
  baudrate: 115_200,
  byteOrder: "BIG",
  pollPeriod: 20,
  timeout: 0.3,
  timeseries: [{ tag: "r${address}", type: "16uint", functionCode: 3, address: "0-9" }],
  ...rest,
});

/** Every value is that of its unit and address. */
function expectRight(running: RunningModbus): void {
  for (const { deviceName, telemetry } of running.host.accepted) {
    const unit = Number(deviceName.split(" ")[1]);
    for (const [key, value] of Object.entries(telemetry?.[0]?.values ?? {})) {
      expect([deviceName, key, value]).toEqual([
        deviceName,
        key,
        unit * 1000 + Number(key.slice(1)),
      ]);
    }
  }
}

test(
  "wrong check sums, noise, answers of other units, and late answers never become a value",
  async () => {
    await using pair = await PtyPair.open();
    await using simulator = await RtuSimulator.open(pair.theirs);
    let count = 0;
    const noise = Uint8Array.of(0xff, 0x00, 0x01, 0x03, 0x14, 0x55);
    let late: Uint8Array | undefined;
    simulator.distort = (answer) => {
      count += 1;
      const other = Uint8Array.from(answer);
      switch (count % 6) {
        case 1:
          other[5] = (other[5] ?? 0) ^ 0x10;
          return other;
        case 2:
          return Uint8Array.from([...noise, ...answer]);
        case 3:
          // An answer of another unit, rightly framed, in front of the right one.
          return Uint8Array.from([...foreign, ...answer]);
        case 4:
          late = answer;
          return undefined;
        case 5: {
          const both = late === undefined ? answer : Uint8Array.from([...answer, ...late]);
          late = undefined;
          return both;
        }
        default:
          return answer;
      }
    };
    await using running = await RunningModbus.withSlaves([
      slave(pair.ours, 1),
      slave(pair.ours, 2),
    ]);
    await running.records(12, "unit 1");
    await running.records(12, "unit 2");
    expectRight(running);
    await running.stop();
    expect(running.host.counters.get("crcErrors")).toBeGreaterThan(0);
    expect(running.host.counters.get("foreignFrames")).toBeGreaterThan(0);
    expect(running.host.counters.get("timeouts")).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);

/** Unit 7 says that its register holds 1; the check sum is right. */
const foreign = encodeRtu({ unit: 7, pdu: Uint8Array.of(3, 2, 0, 1) });

const NOTHING_TO_READ = "unit 0 is a broadcast on a serial line: nothing can be read from it";

test(
  "a broadcast is written, carried out by all, and answered by nobody",
  async () => {
    await using pair = await PtyPair.open();
    const server = {
      type: "serial",
      method: "rtu",
      port: pair.theirs,
      baudrate: 115_200,
      unitId: 3,
    };
    await using device = await RunningModbus.start({
      slave: { ...server, deviceName: "Own", byteOrder: "BIG" },
    });
    const rpc = [
      { tag: "all", type: "16uint", functionCode: 6, address: 4 },
      { tag: "bit", type: "bit", functionCode: 6, address: 4, registerBit: 0 },
    ];
    await using running = await RunningModbus.withSlaves([
      slave(pair.ours, 0, { deviceName: "everyone", timeseries: [], rpc }),
      slave(pair.ours, 3, {
        timeseries: [{ tag: "r4", type: "16uint", functionCode: 3, address: 4 }],
      }),
    ]);
    await running.records(1, "unit 3");
    expect(await running.rpc("everyone", "all", 3004)).toEqual({
      result: { value: 3004 },
    });
    const get = "type=16uint;functionCode=3;objectsCount=1;address=4;";
    expect(await running.rpc("unit 3", "get", get)).toEqual({
      result: { value: 3004 },
    });
    // Nobody answers a read of all: no value may be made up, and no register written from it.
    const nothing = { result: { error: NOTHING_TO_READ } };
    expect(await running.rpc("everyone", "get", get)).toEqual(nothing);
    expect(await running.rpc("everyone", "bit", true)).toEqual(nothing);
    expect(await device.rpc("Own", "get", get)).toEqual({
      result: { value: 3004 },
    });
  },
  TIMEOUT_MS,
);

test(
  "a device that thinks for longer than a probe of the others waits is found and read all the same",
  async () => {
    await using pair = await PtyPair.open();
    await using simulator = await RtuSimulator.open(pair.theirs);
    simulator.slow.set(2, 450);
    simulator.echoes = true;
    await using running = await RunningModbus.withSlaves([
      slave(pair.ours, 1, { timeout: 35, handleLocalEcho: true }),
      slave(pair.ours, 2, { timeout: 35, handleLocalEcho: true }),
    ]);
    await running.records(3, "unit 2");
    expectRight(running);
    // What it needs is known from its first answer on: its echo is none.
    const downs = running.host.lines.filter(
      ({ message, fields }) => message === "Device is down" && fields["device"] === "unit 2",
    );
    expect(downs.length).toBe(1);
  },
  TIMEOUT_MS,
);
