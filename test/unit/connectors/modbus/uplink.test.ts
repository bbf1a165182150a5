import { describe, expect, test } from "bun:test";
import { AnswerReader } from "../../../../connectors/modbus/answer-reader.ts";
import { encodeRtu, type Frame } from "../../../../connectors/modbus/frames.ts";
import { compileItems } from "../../../../connectors/modbus/items.ts";
import { planReads } from "../../../../connectors/modbus/plan.ts";
import { CycleResult, type PolledDevice } from "../../../../connectors/modbus/uplink.ts";
import type { ModbusRead } from "../../../../src/sdk/converter.ts";
import { epochMs } from "../../../../src/sdk/model.ts";
import { readModbusConfig } from "../../../support/modbus-connector.ts";

const DEVICE: PolledDevice = {
  deviceName: "Pump",
  deviceType: "default",
  unitId: 7,
  byteOrder: "BIG",
  wordOrder: "BIG",
  strategy: undefined,
  keyStrategies: undefined,
  convert: undefined,
};

function targetsOf(items: readonly object[]) {
  const slaves = [{ deviceName: "A", unitId: 7, port: 502, timeseries: items }];
  const { config } = readModbusConfig({ master: { slaves: JSON.parse(JSON.stringify(slaves)) } });
  const orders = { byteOrder: "BIG", wordOrder: "BIG" } as const;
  const context = { device: 0, unitId: 7, orders, decoders: new Map() };
  return compileItems(config.master.slaves[0]?.timeseries ?? [], "telemetry", context);
}

describe("compileItems()", () => {
  test.each([
    [
      { tag: "r_${address}", type: "16int", objectsCount: 1, address: "0-3" },
      ["r_0", "r_1", "r_2", "r_3"],
    ],
    [
      { tag: "${unitId}.${type}.${address}", type: "32uint", objectsCount: 2, address: "10-14" },
      ["7.32uint.10", "7.32uint.12", "7.32uint.14"],
    ],
    [{ tag: "x", type: "16int", objectsCount: 1, address: "0-2" }, ["x_0", "x_1", "x_2"]],
    [
      { tag: "tank address", type: "16int", objectsCount: 1, address: "0-1" },
      ["tank address_0", "tank address_1"],
    ],
    [{ tag: "w${address}", type: "32uint", objectsCount: 2, address: "0-3" }, ["w0", "w2"]],
    [{ tag: "one", type: "16int", objectsCount: 1, address: "5" }, ["one"]],
  ])("%p has the keys %p", (item, keys) => {
    expect(targetsOf([{ functionCode: 3, ...item }]).map(({ key }) => key)).toEqual(keys);
  });

  test("a range of coils has one key for each of its pieces", () => {
    const item = { tag: "c${address}", type: "bits", functionCode: 1, address: "0-9" };
    expect(targetsOf([item])).toHaveLength(10);
  });
});

describe("CycleResult", () => {
  test("an extension gets registers and bits as they were read", () => {
    const reads: ModbusRead[] = [];
    const convert = (raw: ModbusRead) => {
      reads.push(raw);
      return [{ deviceName: "converted", telemetry: [{ values: { n: 1 } }] }];
    };
    const targets = targetsOf([
      { tag: "a", type: "32int", objectsCount: 2, functionCode: 3, address: 4 },
    ]);
    const [block] = planReads(targets, { merge: true, maxLength: 125, maxGap: 8, cuts: [] });
    const result = new CycleResult([{ ...DEVICE, convert }]);
    if (block !== undefined) {
      const bytes = Uint8Array.of(0, 1, 0, 2);
      result.take(block, targets, { bytes, receivedTs: epochMs(5) });
    }
    expect(result.finish().map(({ deviceName }) => deviceName)).toEqual(["converted"]);
    expect(reads).toEqual([
      {
        deviceName: "Pump",
        unitId: 7,
        byteOrder: "BIG",
        wordOrder: "BIG",
        receivedTs: epochMs(5),
        items: [{ key: "a", section: "telemetry", registers: Uint16Array.of(1, 2) }],
      },
    ]);
  });

  test("a value that is none is counted and left out", () => {
    const targets = targetsOf([
      { tag: "a", type: "32float", objectsCount: 2, functionCode: 3, address: 0 },
    ]);
    const [block] = planReads(targets, { merge: true, maxLength: 125, maxGap: 8, cuts: [] });
    const result = new CycleResult([DEVICE]);
    if (block !== undefined) {
      result.take(block, targets, {
        bytes: Uint8Array.of(0x7f, 0xc0, 0, 0),
        receivedTs: epochMs(5),
      });
    }
    expect(result.finish()).toEqual([]);
    expect(result.noValues).toBe(1);
  });
});

describe("AnswerReader", () => {
  const request = { unit: 1, pdu: Uint8Array.of(3, 0, 0, 0, 1), slot: 1, transaction: 1 };
  const pending = new Map([[1, request]]);
  const answer = encodeRtu({ unit: 1, pdu: Uint8Array.of(3, 2, 0, 9) });
  const reader = () =>
    new AnswerReader({
      framing: "rtu",
      datagrams: false,
      counters: { crcErrors: 0, foreignFrames: 0 },
    });

  test("drops what a line repeats of the request, in pieces of any size", () => {
    const echo = encodeRtu(request);
    for (let cut = 0; cut <= echo.length; cut += 1) {
      const frames: Frame[] = [];
      const one = reader();
      one.expectEcho(echo);
      for (const part of [echo.subarray(0, cut), echo.subarray(cut), answer]) {
        one.push(part, pending, (_, frame) => frames.push(frame));
      }
      expect(frames.map(({ pdu }) => [...pdu])).toEqual([[3, 2, 0, 9]]);
    }
  });

  test("reads on when no echo comes", () => {
    const frames: Frame[] = [];
    const one = reader();
    one.expectEcho(encodeRtu(request));
    one.push(answer, pending, (_, frame) => frames.push(frame));
    expect(frames).toHaveLength(1);
  });
});
