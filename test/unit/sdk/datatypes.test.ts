import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { coerce, dataKind } from "#sdk/datatypes";
import { encodeJson, textOf } from "#sdk/encode";
import { DataError } from "#sdk/errors";
import { Float, type Json } from "#sdk/model";

describe("dataKind()", () => {
  test.each([
    ["string", "text"],
    ["STR", "text"],
    ["integer", "integer"],
    ["int", "integer"],
    ["long", "integer"],
    ["uint16", "integer"],
    ["print", "integer"],
    ["float", "float"],
    ["Double", "float"],
    ["float32", "float"],
    ["float64", "float"],
    ["bool", "boolean"],
    ["Boolean", "boolean"],
    ["json", "json"],
    ["raw", "text"],
    ["number", "text"],
  ] as const)("%s is %s", (type, kind) => {
    expect(dataKind(type)).toBe(kind);
  });
});

describe("coerce()", () => {
  /** `undefined` as the result: refused. */
  const cases: readonly (readonly [Json, string, string | undefined])[] = [
    ["5.9", "integer", "5"],
    ["-5.9", "integer", "-5"],
    ["1e3", "integer", "1000"],
    [" 7 ", "integer", "7"],
    ["-0.5", "integer", "0"],
    ["1.2345e2", "integer", "123"],
    ["12345e-2", "integer", "123"],
    ["5e-9", "integer", "0"],
    ["+5", "integer", "5"],
    [".9", "integer", "0"],
    ["5.", "integer", "5"],
    ["9007199254740993", "integer", "9007199254740993"],
    ["9007199254740993.7", "integer", "9007199254740993"],
    ["9223372036854775808", "long", '"9223372036854775808"'],
    ["0x10", "integer", undefined],
    ["abc", "integer", undefined],
    ["", "integer", undefined],
    [".", "integer", undefined],
    ["1_000", "double", undefined],
    ["1e999999999", "integer", undefined],
    ["Infinity", "integer", undefined],
    ["nan", "double", undefined],
    ["1e999", "double", undefined],
    [true, "integer", "1"],
    [false, "long", "0"],
    [true, "double", "1.0"],
    [true, "string", '"true"'],
    [true, "boolean", "true"],
    ["12.7", "int", "12"],
    [5, "double", "5.0"],
    [5.7, "int", "5"],
    [-5.7, "int", "-5"],
    [1e20, "int", '"100000000000000000000"'],
    [Float.fromText("5.0"), "int", "5"],
    [Float.fromText("123456789012345678.9"), "int", "123456789012345678"],
    [new Float(5.9), "int", "5"],
    [Number.NaN, "int", undefined],
    [2, "float32", "2.0"],
    ["2.50", "float64", "2.5"],
    [9007199254740993n, "double", "9007199254740992.0"],
    [9007199254740993n, "integer", "9007199254740993"],
    ["yes", "boolean", "true"],
    [" ON ", "boolean", "true"],
    ["off", "bool", "false"],
    ["1", "bool", "true"],
    [0, "boolean", "false"],
    [1, "boolean", "true"],
    [1n, "boolean", "true"],
    [Float.fromText("1.0"), "boolean", "true"],
    ["2", "boolean", undefined],
    [2, "boolean", undefined],
    ["maybe", "bool", undefined],
    ["", "bool", undefined],
    [{ a: 1 }, "string", '"{\\"a\\":1}"'],
    [{ a: 1 }, "json", '{"a":1}'],
    [[10, 20], "string", '"[10,20]"'],
    [[10, 20], "json", "[10,20]"],
    ['{"t":22.50}', "json", '{"t":22.5}'],
    ["[1,2", "json", '"[1,2"'],
    ["x", "json", '"x"'],
    ["5", "json", '"5"'],
    [5, "json", "5"],
    [Float.fromText("21.0"), "string", '"21.0"'],
    [58, "raw", '"58"'],
    [58, "number", '"58"'],
    [{ a: 1 }, "integer", undefined],
    [[1], "double", undefined],
    [{}, "boolean", undefined],
    [null, "string", undefined],
    [null, "integer", undefined],
  ];
  for (const [value, type, result] of cases) {
    test(`makes ${label(value)} as ${type} ${result ?? "a refusal"}`, () => {
      if (result === undefined) {
        expect(() => coerce(value, type)).toThrow(DataError);
      } else {
        expect(encodeJson(coerce(value, type))).toBe(result);
      }
    });
  }

  test("keeps any integer exact, from text and as itself", () => {
    fc.assert(
      fc.property(fc.bigInt(), (value) => {
        expect(BigInt(textOf(coerce(String(value), "long")))).toBe(value);
        expect(coerce(value, "integer")).toBe(value);
      }),
    );
  });

  test("truncates any number as Math.trunc does", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(Number(coerce(value, "int"))).toBe(Math.trunc(value) + 0);
        expect(Number(coerce(String(value), "int"))).toBe(Math.trunc(value) + 0);
      }),
    );
  });

  test("converts any value or throws a DataError", () => {
    const type = fc.constantFrom("string", "int", "double", "bool", "json", "raw");
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.string()), type, (value, name) => {
        try {
          coerce(value as Json, name);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
          expect(error).toHaveProperty("reason", "bad-value");
        }
      }),
    );
  });
});

function label(value: Json): string {
  if (value instanceof Float) {
    return `Float ${value.text ?? value.value}`;
  }
  return typeof value === "bigint" ? `${value}n` : JSON.stringify(value);
}
