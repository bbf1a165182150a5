import { describe, expect, test } from "bun:test";
import type { Line } from "../../../../connectors/modbus/line.ts";
import { parseExpected, proposeFile } from "../../../../connectors/modbus/proposal.ts";
import { readModbusConfig } from "../../../support/modbus-connector.ts";

const LINE: Line = {
  kind: "tcp",
  framing: "socket",
  host: "10.0.0.7",
  port: 502,
  tls: undefined,
};

function words(values: Readonly<Record<number, number>>): ReadonlyMap<number, number> {
  return new Map(Object.entries(values).map(([address, word]) => [Number(address), word]));
}

describe("proposeFile()", () => {
  test("takes every register that is not zero, once, when nothing is expected", () => {
    const same = words({ 0: 78, 1: 0, 2: 5 });
    const tables = [
      { unit: 1, code: 3, words: same },
      { unit: 1, code: 4, words: same },
    ] as const;
    expect(proposeFile(LINE, tables, [])).toMatchObject({
      master: {
        slaves: [
          {
            unitId: 1,
            timeseries: [
              { tag: "r_0", address: 0 },
              { tag: "r_2", address: 2 },
            ],
          },
        ],
      },
    });
  });

  test("takes the orders under which most of the expected values stand somewhere", () => {
    // 229.01 as a float in CDAB at 10, 1500 in a register at 20.
    const view = new DataView(new ArrayBuffer(4));
    view.setFloat32(0, 229.01);
    const table = words({ 10: view.getUint16(2), 11: view.getUint16(0), 20: 1500 });
    const expected = parseExpected("voltage=229.01, power=1500");
    const file = proposeFile(LINE, [{ unit: 3, code: 4, words: table }], expected);
    expect(file).toMatchObject({
      master: {
        slaves: [
          {
            unitId: 3,
            byteOrder: "BIG",
            wordOrder: "LITTLE",
            timeseries: [
              { tag: "voltage", type: "32float", functionCode: 4, address: 10 },
              { tag: "power", type: "16int", functionCode: 4, address: 20 },
            ],
          },
        ],
      },
    });
  });

  test("is a file that the connector reads without a complaint, and nothing where there is nothing", () => {
    const file = proposeFile(LINE, [{ unit: 1, code: 3, words: words({ 7: 9 }) }], []);
    expect(readModbusConfig(file ?? {}).issues).toEqual([]);
    expect(proposeFile(LINE, [{ unit: 1, code: 3, words: words({ 7: 0 }) }], [])).toBeUndefined();
  });
});

test("parseExpected() names values that have no name", () => {
  expect(parseExpected("229.01")).toEqual([{ name: "value", text: "229.01" }]);
  expect(parseExpected("a=1, 2")).toEqual([
    { name: "a", text: "1" },
    { name: "value_2", text: "2" },
  ]);
  expect(parseExpected("")).toEqual([]);
});
