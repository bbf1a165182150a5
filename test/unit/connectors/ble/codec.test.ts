import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type ConverterType,
  compileDecode,
  oddBrackets,
  type ValueOptions,
} from "../../../../connectors/ble/codec.ts";
import { encodeJson } from "../../../../src/sdk/encode.ts";
import { DataError } from "../../../../src/sdk/errors.ts";
import type { Json } from "../../../../src/sdk/model.ts";
import { runs } from "../../../support/property-runs.ts";

const BYTES = Uint8Array.of(0x08, 0x3c, 0x08, 0x00);
const PAYLOAD = Uint8Array.of(0x01, 0x0a, 0xff, 0x38);

function decode(options: ValueOptions, bytes: Uint8Array, type: ConverterType = "bytes"): Json {
  return compileDecode(options, type)(bytes);
}

describe("bytes converter", () => {
  test.each([
    ["[0]", "8"],
    ["[1]", "60"],
    ["[:]", "86080"],
    ["[0:2]", "860"],
    ["[:2]", "860"],
    ["[2:]", "80"],
    ["[-2:]", "80"],
    ["[-1]", "0"],
    ["[2:2]", ""],
    ["[0:9]", "86080"],
    ["[0]°C [1]%", "8°C 60%"],
    ["[0:2]cm [2:]A", "860cm 80A"],
    ["All values: [:]", "All values: 86080"],
    ["[0][0]", "88"],
    ["[0:2]int", "860int"],
    ["[1:-1]", "[1:-1]"],
    ["[ 0]", "[ 0]"],
    ["[]", "[]"],
    ["[0, 1]", "[0, 1]"],
    ["plain", "plain"],
    ["$& $1 [0]", "$& $1 8"],
  ])("%p gives %p", (valueExpression, expected) => {
    expect(decode({ valueExpression }, BYTES)).toBe(expected);
  });

  test.each(["[9]", "[-5]", "[::2]", "[x]", "[-:2]"])("%p fails", (valueExpression) => {
    expect(() => decode({ valueExpression }, BYTES)).toThrow(DataError);
  });
});

describe("hex converter", () => {
  test.each<[string, string | undefined, string]>([
    ["[0:2]", undefined, "266"],
    ["[2:]", undefined, "65336"],
    ["[-2:]", undefined, "65336"],
    ["[:]", undefined, "17497912"],
    ["[2:3]", undefined, "255"],
    ["[:2]", undefined, "266"],
    ["[0]", undefined, "1"],
    ["[0:1] x [1:2]", undefined, "10"],
    ["none", undefined, '"none"'],
    ["[0:2]", "value / 10", "26.6"],
    ["[2:4]", "value - 65536 if value > 32767 else value", "-200"],
    ["[0:2]", "round(value * 0.01, 2)", "2.66"],
  ])("%p with compute %p gives %s", (valueExpression, compute, expected) => {
    expect(encodeJson(decode({ valueExpression, compute }, PAYLOAD, "hex"))).toBe(expected);
  });

  test("an empty group fails", () => {
    expect(() => decode({ valueExpression: "[1:1]" }, PAYLOAD, "hex")).toThrow(DataError);
  });

  test("more than six bytes are exact", () => {
    const value = decode({ valueExpression: "[:]" }, new Uint8Array(8).fill(0xff), "hex");
    expect(value).toBe(2n ** 64n - 1n);
  });

  test("compute that is no calculation is refused when it is compiled", () => {
    const options = { valueExpression: "[0]", compute: "__import__('os')" };
    expect(() => compileDecode(options, "hex")).toThrow(DataError);
  });
});

describe("typed values", () => {
  test.each<[ValueOptions, readonly number[], string]>([
    [{ format: "int16le", compute: "value / 100" }, [0xc8, 0x09], "25.04"],
    [{ format: "uint8", offset: 1 }, [0, 200], "200"],
    [{ format: "int8" }, [0xff], "-1"],
    [{ format: "uint32be" }, [0xff, 0xff, 0xff, 0xff], "4294967295"],
    [{ format: "int64be" }, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe], "-2"],
    [{ format: "uint64le" }, Array.from({ length: 8 }, () => 0xff), '"18446744073709551615"'],
    [{ format: "floatle" }, [0xcd, 0xcc, 0xbd, 0x41], "23.725"],
    [{ format: "utf8", offset: 2, length: 4 }, [...Buffer.from("T=23.1 H=45.6")], '"23.1"'],
    [{ format: "hex" }, [0x0a, 0x01], '"0a01"'],
    [{ format: "bool", bit: 3 }, [0b1000], "true"],
    [{ format: "bool" }, [0], "false"],
    [{ byteFrom: 2, byteTo: 6 }, [...Buffer.from("T=54.7 H=37.0")], '"54.7"'],
    [{ byteFrom: 9, byteTo: -1 }, [...Buffer.from("T=54.7 H=37.0")], '"37.0"'],
  ])("%j of %p gives %s", (options, bytes, expected) => {
    expect(encodeJson(decode(options, Uint8Array.from(bytes)))).toBe(expected);
  });

  test("bytes that end before the value does fail", () => {
    expect(() => decode({ format: "uint32le" }, BYTES.subarray(1))).toThrow("only 3 bytes");
  });
});

test("brackets that stand for no bytes are found", () => {
  expect(oddBrackets("[0] [1:-1] [0, 1] [::2] [:] [x]")).toEqual([
    "[1:-1]",
    "[0, 1]",
    "[::2]",
    "[x]",
  ]);
});

test("any bytes give a value or a DataError, whatever the item", () => {
  const options = fc.record<ValueOptions>(
    {
      valueExpression: fc.stringMatching(/^(\[[-\dx]?[\d:]{0,3}\]|[a-z ]){0,4}$/),
      format: fc.constantFrom("uint8", "int16be", "floatle", "doublebe", "utf8", "hex", "bool"),
      offset: fc.nat(6),
      length: fc.integer({ min: 1, max: 6 }),
      bit: fc.nat(7),
      byteFrom: fc.integer({ min: -3, max: 8 }),
      byteTo: fc.integer({ min: -3, max: 8 }),
      compute: fc.constantFrom("value / 10", "value // 3 if value > 2 else -value", "1 / value"),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(
      options,
      fc.constantFrom<ConverterType>("bytes", "hex"),
      fc.uint8Array({ maxLength: 24 }),
      (item, type, bytes) => {
        try {
          encodeJson(decode(item, bytes, type));
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      },
    ),
    { numRuns: runs(2000) },
  );
});
