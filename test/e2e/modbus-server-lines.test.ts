// Two-wire lines that repeat what is sent, and masters that misbehave.
import { expect, test } from "bun:test";
import { encodeRtu } from "../../connectors/modbus/frames.ts";
import { RequestReader } from "../../connectors/modbus/request-reader.ts";
import { openSerialPort, type SerialPortOptions } from "../../src/platform/serial-port.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { RunningModbus } from "../support/modbus-connector.ts";
import { PtyPair } from "../support/pty-pair.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 30_000;

function lineTo(path: string): SerialPortOptions {
  return { path, baudRate: 115_200, dataBits: 8, parity: "N", stopBits: 1 };
}

test(
  "with handleLocalEcho a write is not answered by its own echo",
  async () => {
    await using pair = await PtyPair.open();
    await using device = await openSerialPort(lineTo(pair.theirs), systemClock);
    const reader = new RequestReader("rtu");
    device.onData = (bytes) => {
      device.write(Uint8Array.from(bytes));
      for (const { unit, pdu } of reader.push(bytes) ?? []) {
        device.write(encodeRtu({ unit, pdu: Uint8Array.of((pdu[0] ?? 0) | 0x80, 2) }));
      }
    };
    const line = { type: "serial", method: "rtu", port: pair.ours, baudrate: 115_200 };
    const slave = { ...line, deviceName: "Pump", unitId: 3, pollPeriod: 1000, timeout: 5 };
    await using running = await RunningModbus.withSlaves([{ ...slave, handleLocalEcho: true }]);
    await running.host.status("connected");
    const write = "type=16int;functionCode=6;objectsCount=1;address=5;value=1;";
    expect(await running.rpc("Pump", "set", write)).toEqual({
      result: { error: "illegal data address (exception 2)" },
    });
  },
  TIMEOUT_MS,
);

test(
  "with handleLocalEcho its own answers are no requests: a write is answered once",
  async () => {
    await using pair = await PtyPair.open();
    await using master = await openSerialPort(lineTo(pair.theirs), systemClock);
    const heard: number[] = [];
    // The line repeats what is sent: whatever the server says comes back to it.
    master.onData = (bytes) => {
      heard.push(...bytes);
      if (heard.length < 1000) {
        master.write(Uint8Array.from(bytes));
      }
    };
    const slave = { type: "serial", method: "rtu", port: pair.ours, baudrate: 115_200, unitId: 3 };
    await using running = await RunningModbus.start({
      slave: { ...slave, deviceName: "Own", byteOrder: "BIG", handleLocalEcho: true },
    });
    const requests = (): number => running.host.counters.get("serverRequests") ?? 0;
    const send = async (pdu: readonly number[]): Promise<void> => {
      const before = heard.length;
      master.write(encodeRtu({ unit: 3, pdu: Uint8Array.from(pdu) }));
      await until("it is answered", () => heard.length >= before + 7);
    };
    await until("the server listens", () =>
      running.host.lines.some(({ message }) => message === "Link is up"),
    );
    await send([6, 0, 4, 0, 77]);
    await send([5, 0, 4, 0xff, 0]);
    await send([3, 0, 4, 0, 1]);
    expect(heard.slice(-7, -2)).toEqual([3, 3, 2, 0, 77]);
    expect(requests()).toBe(3);
  },
  TIMEOUT_MS,
);
