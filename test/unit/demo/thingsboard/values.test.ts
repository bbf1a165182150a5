import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseJson } from "../../../../src/demo/thingsboard/json.ts";
import {
  downlinkText,
  javaDouble,
  jsonText,
  typeValue,
} from "../../../../src/demo/thingsboard/values.ts";
import { DataError } from "../../../../src/sdk/errors.ts";
import { Float } from "../../../../src/sdk/model.ts";

function typed(text: string): string {
  const value = typeValue(parseJson(text));
  return value === undefined ? "none" : `${value.type} ${value.value}`;
}

describe("typeValue()", () => {
  test("types numbers and numeric strings as the server does", () => {
    const cases: Readonly<Record<string, string>> = {
      "7": "LONG 7",
      "-0": "LONG 0",
      "7.0": "DOUBLE 7",
      "1.00": "DOUBLE 1",
      "7e2": "LONG 700",
      "1.5e1": "LONG 15",
      "0e5": "LONG 0",
      "1.2e-10": "DOUBLE 1.2e-10",
      "1.2345678e-10": "STRING 0.00000000012345678",
      "-1.2345678e-10": "STRING -0.00000000012345678",
      "0.30000000000000004": "STRING 0.30000000000000004",
      "0.3000000000000004": "DOUBLE 0.3000000000000004",
      "0.10000000149011612": "STRING 0.10000000149011612",
      '"42"': "LONG 42",
      '"0042"': "LONG 42",
      "007": "LONG 7",
      '"3.10"': "DOUBLE 3.1",
      '".5"': "DOUBLE 0.5",
      '"-.5"': "DOUBLE -0.5",
      '"1e5"': "STRING 1e5",
      '"5."': "STRING 5.",
      '"+5"': "STRING +5",
      '" 5"': "STRING  5",
      '""': "STRING ",
      '"-"': "STRING -",
      '"1.2.3"': "STRING 1.2.3",
      '"12345678901234567890"': "STRING 12345678901234567890",
      "9223372036854775807": "LONG 9223372036854775807",
      "9223372036854775808": "STRING 9223372036854775808",
      "-9223372036854775808": "LONG -9223372036854775808",
      "9007199254740993": "LONG 9007199254740993",
      "1e+21": "STRING 1000000000000000000000",
      "-6.0659880008723545e+66": `STRING -60659880008723545${"0".repeat(50)}`,
      "1.00000000000000000000": "STRING 1.00000000000000000000",
      '"true"': "STRING true",
      true: "BOOLEAN true",
      false: "BOOLEAN false",
      null: "none",
      NaN: "STRING NaN",
    };
    for (const [text, expected] of Object.entries(cases)) {
      expect(`${text} → ${typed(text)}`).toBe(`${text} → ${expected}`);
    }
  });

  test("keeps a LONG beyond 2^53 exact", () => {
    expect(typeValue(parseJson("1311738468603649775"))?.value).toBe(1311738468603649775n);
  });

  test("stores nested JSON compact, without null members but with null elements", () => {
    expect(typed('{ "a" : {"n":null, "x":1.50}, "l":[ null, "é" ] }')).toBe(
      'JSON {"a":{"x":1.50},"l":[null,"é"]}',
    );
  });

  test("refuses an exponent nobody can write out", () => {
    expect(() => typed("1e999999999")).toThrow(DataError);
  });

  test("types every double in plain notation like Number does", () => {
    fc.assert(
      fc.property(fc.double({ min: -1e9, max: 1e9, noNaN: true }), (value) => {
        const text = value.toFixed(10);
        expect(typeValue(parseJson(text))).toMatchObject({
          type: "DOUBLE",
          value: Number(text) + 0,
        });
      }),
    );
  });
});

describe("downlinkText()", () => {
  test("shows that a DOUBLE is one", () => {
    const cases: readonly [number, string][] = [
      [5, "5.0"],
      [0, "0.0"],
      [-1.25, "-1.25"],
      [0.001, "0.001"],
      [0.0001, "1.0E-4"],
      [9_999_999, "9999999.0"],
      [10_000_000, "1.0E7"],
      [12_345_678.9, "1.23456789E7"],
      [1.5e300, "1.5E300"],
    ];
    for (const [value, expected] of cases) {
      expect(javaDouble(value)).toBe(expected);
    }
  });

  test("gives back what typeValue() read", () => {
    for (const text of ["5", "5.0", '"text"', "true", '{"a":[1,2]}', "1311738468603649775"]) {
      const value = typeValue(parseJson(text));
      expect(value === undefined ? "" : downlinkText(value)).toBe(text);
    }
  });
});

describe("jsonText()", () => {
  test("writes floats, bigints and nested values", () => {
    const value = { f: new Float(5), b: 2n ** 63n, n: [1, null, "x"], t: true };
    expect(jsonText(value)).toBe('{"f":5.0,"b":9223372036854775808,"n":[1,null,"x"],"t":true}');
  });
});
