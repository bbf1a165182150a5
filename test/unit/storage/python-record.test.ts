import { describe, expect, test } from "bun:test";
import { DataError } from "../../../src/sdk/errors.ts";
import { epochMs } from "../../../src/sdk/model.ts";
import { convertPythonRecord } from "../../../src/storage/python-record.ts";

const STORED = epochMs(1_700_000_000_000);
const convert = (text: string) => convertPythonRecord(text, STORED);

describe("convertPythonRecord()", () => {
  test("keeps numbers as they were written", () => {
    const text =
      '{"deviceName": "A", "deviceType": "t", "telemetry": [{"ts": 5, "values": {"f": 25.0, "i": 9007199254740993, "s": "x", "n": null}}], "attributes": {}}';
    expect(convert(text)).toEqual({
      records: [
        {
          kind: "telemetry",
          device: "A",
          deviceType: "t",
          json: '{"ts":5,"values":{"f":25.0,"i":9007199254740993,"s":"x"}}',
          values: 3,
        },
      ],
      values: 3,
      badValues: 0,
    });
  });

  test("attributes come first, as one record, also when they are a list", () => {
    const { records, values } = convert(
      '{"deviceName":"A","telemetry":[{"ts":1,"values":{"a":1}}],"attributes":[{"x":1},{"y":true}]}',
    );
    expect(records.map(({ kind, json, deviceType }) => [kind, json, deviceType])).toEqual([
      ["attributes", '{"x":1,"y":true}', "default"],
      ["telemetry", '{"ts":1,"values":{"a":1}}', "default"],
    ]);
    expect(values).toBe(3);
  });

  test("currentThingsBoardGateway is the gateway itself", () => {
    const { records } = convert(
      '{"deviceName":"currentThingsBoardGateway","deviceType":"x","telemetry":{"cpu":1},"attributes":{"v":2}}',
    );
    expect(records.map(({ kind, device, deviceType }) => [kind, device, deviceType])).toEqual([
      ["gateway-attributes", "", ""],
      ["gateway-telemetry", "", ""],
    ]);
  });

  test.each([
    ['{"a":1,"ts":7}', '{"ts":7,"values":{"a":1}}'],
    ['{"a":1}', `{"ts":${STORED},"values":{"a":1}}`],
    ['{"values":{"a":1}}', `{"ts":${STORED},"values":{"a":1}}`],
    ['{"ts":"12","values":{"a":1}}', '{"ts":12,"values":{"a":1}}'],
    ['{"ts":12.7,"values":{"a":1}}', '{"ts":12,"values":{"a":1}}'],
    ['{"ts":"soon","values":{"a":1}}', `{"ts":${STORED},"values":{"a":1}}`],
  ])("entry %s becomes %s", (entry, json) => {
    expect(convert(`{"deviceName":"A","telemetry":[${entry}]}`).records[0]?.json).toBe(json);
  });

  test.each([
    ["not JSON", "deviceName"],
    ["a list", "[]"],
    ["no name", '{"telemetry":[{"ts":1,"values":{"a":1}}]}'],
    ["an empty name", '{"deviceName":" ","telemetry":[]}'],
    ["too long a name", `{"deviceName":"${"n".repeat(256)}","telemetry":[]}`],
    ["telemetry of another type", '{"deviceName":"A","telemetry":"x"}'],
    ["NaN, which is not JSON", '{"deviceName":"A","telemetry":[{"ts":1,"values":{"a":NaN}}]}'],
  ])("%s is refused", (_what, text) => {
    expect(() => convert(text)).toThrow(DataError);
  });
});
