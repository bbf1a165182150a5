import { describe, expect, test } from "bun:test";
import {
  encodeWrite,
  type WriteCode,
  type WriteOrders,
} from "../../../../connectors/modbus/encoder.ts";
import { DataError } from "../../../../src/sdk/errors.ts";
import type { Json } from "../../../../src/sdk/model.ts";

const orders = (byteOrder: "BIG" | "LITTLE", wordOrder: "BIG" | "LITTLE"): WriteOrders => ({
  byteOrder,
  wordOrder,
  repack: false,
});
const ALL = [
  orders("BIG", "BIG"),
  orders("BIG", "LITTLE"),
  orders("LITTLE", "BIG"),
  orders("LITTLE", "LITTLE"),
];
const [BB = orders("BIG", "BIG")] = ALL;

/** What is written, as register words in hexadecimal or coils as digits. */
function write(
  value: Json,
  type: string,
  rest: { functionCode?: WriteCode; objectsCount?: number; registerBit?: number } = {},
  order: WriteOrders = BB,
): string {
  const data = encodeWrite(value, { functionCode: 16, objectsCount: 1, type, ...rest }, order);
  switch (data.functionCode) {
    case 5:
      return data.on ? "on" : "off";
    case 6:
      return `one ${hex(data.register)}`;
    case 15:
      return data.coils.map(Number).join("");
    case 16:
      return data.registers.map(hex).join(" ");
    default:
      return `bit ${data.bit} ${data.on ? "on" : "off"}`;
  }
}

const hex = (word: number): string => word.toString(16).toUpperCase().padStart(4, "0");

describe("values to registers, in every byte and word order", () => {
  test.each([
    ["8int", -2, 1, ["FE00", "FE00", "FE00", "FE00"]],
    ["8uint", 200, 1, ["C800", "C800", "C800", "C800"]],
    ["16int", -2, 1, ["FFFE", "FFFE", "FEFF", "FEFF"]],
    ["16uint", 1000, 1, ["03E8", "03E8", "E803", "E803"]],
    ["16float", 5.5, 1, ["4580", "4580", "8045", "8045"]],
    ["32int", -123_456, 2, ["FFFE 1DC0", "1DC0 FFFE", "FEFF C01D", "C01D FEFF"]],
    ["32uint", 305_419_896, 2, ["1234 5678", "5678 1234", "3412 7856", "7856 3412"]],
    ["32float", 12.56, 2, ["4148 F5C3", "F5C3 4148", "4841 C3F5", "C3F5 4841"]],
    [
      "64int",
      -3_735_928_559,
      4,
      ["FFFF FFFF 2152 4111", "4111 2152 FFFF FFFF", "FFFF FFFF 5221 1141", "1141 5221 FFFF FFFF"],
    ],
    [
      "64uint",
      81_985_529_216_486_895n,
      4,
      ["0123 4567 89AB CDEF", "CDEF 89AB 4567 0123", "2301 6745 AB89 EFCD", "EFCD AB89 6745 2301"],
    ],
    [
      "64float",
      123.456,
      4,
      ["405E DD2F 1A9F BE77", "BE77 1A9F DD2F 405E", "5E40 2FDD 9F1A 77BE", "77BE 9F1A 2FDD 5E40"],
    ],
    ["dword", 7, 2, ["0000 0007", "0007 0000", "0000 0700", "0700 0000"]],
    ["string", "ABCD", 2, ["4142 4344", "4142 4344", "4142 4344", "4142 4344"]],
    ["string", "ABC", 2, ["4142 4300", "4142 4300", "4142 4300", "4142 4300"]],
  ] as const)("%s %p", (type, value, objectsCount, expected) => {
    expect(ALL.map((order) => write(value, type, { objectsCount }, order))).toEqual([...expected]);
  });
});

describe("values", () => {
  test("numbers are cut off, booleans are 1 and 0, text must be a number", () => {
    expect(write(12.9, "16int")).toBe("000C");
    expect(write(true, "16int")).toBe("0001");
    expect(write(" 12 ", "16int")).toBe("000C");
    expect(write("1.5", "32float", { objectsCount: 2 })).toBe("3FC0 0000");
    for (const value of ["12.9", "abc", "", null, [1], { a: 1 }] as const) {
      expect(() => write(value, "16int")).toThrow(DataError);
    }
    expect(() => write("abc", "32float", { objectsCount: 2 })).toThrow(DataError);
  });

  test("what does not fit is an error", () => {
    expect(() => write(70_000, "16uint")).toThrow("65535");
    expect(() => write(-1, "16uint")).toThrow(DataError);
    expect(() => write(1e39, "32float", { objectsCount: 2 })).toThrow(DataError);
    expect(() => write(1e6, "16float")).toThrow(DataError);
    expect(() => write(Number.NaN, "32float", { objectsCount: 2 })).toThrow(DataError);
  });

  test("text is cut between characters and filled with NUL; bytes are hexadecimal", () => {
    expect(write("héé", "string", { objectsCount: 2 })).toBe("68C3 A900");
    expect(write("A", "string", { objectsCount: 2 })).toBe("4100 0000");
    expect(write("0102fffe", "bytes", { objectsCount: 2 })).toBe("0102 FFFE");
    expect(() => write("01020", "bytes", { objectsCount: 2 })).toThrow(DataError);
    expect(() => write("010203040506", "bytes", { objectsCount: 2 })).toThrow(DataError);
  });

  test("repack swaps the bytes of each register again, with little byte order only", () => {
    const repack = { ...orders("LITTLE", "LITTLE"), repack: true };
    expect(write(1000, "16uint", {}, repack)).toBe("03E8");
    expect(write(1243, "32int", { objectsCount: 2 }, repack)).toBe("04DB 0000");
    expect(write(12.56, "32float", { objectsCount: 2 }, repack)).toBe("F5C3 4148");
    expect(write("AB", "string", {}, repack)).toBe("4241");
    expect(write(1000, "16uint", {}, { ...BB, repack: true })).toBe("03E8");
  });
});

describe("function codes", () => {
  test("5 writes the truth of a value, whatever the type", () => {
    for (const value of [1, true, "1", "true", "on", -1, "12"] as const) {
      expect(write(value, "16int", { functionCode: 5 })).toBe("on");
    }
    for (const value of [0, false, "0", "false", "off"] as const) {
      expect(write(value, "bits", { functionCode: 5 })).toBe("off");
    }
    for (const value of ["maybe", "", "  ", null]) {
      expect(() => write(value, "bits", { functionCode: 5 })).toThrow(DataError);
      expect(() => write(value, "bits", { functionCode: 15, objectsCount: 2 })).toThrow(DataError);
    }
  });

  test("6 writes one register; more become function code 16", () => {
    expect(write(77, "16int", { functionCode: 6 })).toBe("one 004D");
    expect(write(1243, "32int", { functionCode: 6, objectsCount: 2 })).toBe("0000 04DB");
  });

  test.each([
    [[1, 0, 1], 3, "0500", "101"],
    [[1, 1, 0, 1], 4, "0B00", "1011"],
    [[1, 0, 1, 0, 0, 0, 0, 0], 8, "0500", "00000101"],
    [[1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0], 16, "0503", "0000010100000011"],
    [Array.from({ length: 20 }, () => 1), 20, "FFFF 0F00", "1".repeat(20)],
    [[1], 3, "0100", "001"],
    [5, 3, "0500", "101"],
    [false, 1, "0000", "0"],
    [true, 1, "0100", "1"],
  ])("bits %p with objectsCount %p", (value, objectsCount, expected, coils) => {
    expect(write(value, "bits", { objectsCount })).toBe(expected);
    expect(write(value, "bits", { functionCode: 15, objectsCount })).toBe(coils);
  });

  test("a list that is too long, and a text that is none, are errors", () => {
    expect(() => write([1, 0], "bits")).toThrow(DataError);
    expect(() => write("abc", "bits", { objectsCount: 3 })).toThrow(DataError);
  });

  test.each([0x8000_0000_0000_0001n, "9223372036854775809"])(
    "15 writes every bit of %p, also beyond 2^53",
    (value) => {
      const coils = write(value, "bits", { functionCode: 15, objectsCount: 64 });
      expect(coils).toBe(`${"0".repeat(7)}1${"0".repeat(48)}1${"0".repeat(7)}`);
    },
  );

  test("15 writes the bits of a number, the highest first", () => {
    expect(write(5, "16int", { functionCode: 15, objectsCount: 16 })).toBe("0000000000000101");
    expect(write(5, "16int", { functionCode: 15 })).toBe("0000000000000101");
    expect(write(0x81, "8uint", { functionCode: 15, objectsCount: 8 })).toBe("10000001");
  });

  test("registerBit changes one bit", () => {
    expect(write(true, "bits", { functionCode: 6, registerBit: 3 })).toBe("bit 3 on");
  });

  test("more than one request can carry is an error", () => {
    expect(() => write("x", "string", { objectsCount: 124 })).toThrow("123");
    expect(() => write([1], "bits", { functionCode: 15, objectsCount: 1969 })).toThrow("1968");
  });
});
