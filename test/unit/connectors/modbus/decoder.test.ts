import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Orders } from "../../../../connectors/modbus/codec.ts";
import { createDecoder, type ReadSettings } from "../../../../connectors/modbus/decoder.ts";
import { encodeWrite } from "../../../../connectors/modbus/encoder.ts";
import { encodeJson } from "../../../../src/sdk/encode.ts";
import { DataError } from "../../../../src/sdk/errors.ts";
import { Float, type Json } from "../../../../src/sdk/model.ts";
import { runs } from "../../../support/property-runs.ts";

const BB: Orders = { byteOrder: "BIG", wordOrder: "BIG" };
const BL: Orders = { byteOrder: "BIG", wordOrder: "LITTLE" };
const LB: Orders = { byteOrder: "LITTLE", wordOrder: "BIG" };
const LL: Orders = { byteOrder: "LITTLE", wordOrder: "LITTLE" };
const ALL = [BB, BL, LB, LL];

/** Register words written in hexadecimal, as the bytes of a response. */
function registers(hex: string): DataView {
  const bytes = Uint8Array.fromHex(hex.replaceAll(" ", ""));
  return new DataView(bytes.buffer);
}

/** Coils written as `1` and `0`, the first one first, as the bytes of a response. */
function coils(bits: string): DataView {
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  for (const [index, bit] of Array.from(bits).entries()) {
    bytes[index >> 3] = (bytes[index >> 3] ?? 0) | (Number(bit) << (index & 7));
  }
  return new DataView(bytes.buffer);
}

type Rest = Partial<ReadSettings>;

function read(type: string, hex: string, orders: Orders = BB, rest: Rest = {}): string {
  const objectsCount = hex.replaceAll(" ", "").length / 4;
  const settings = { functionCode: 3, type, objectsCount, ...rest } as const;
  return text(createDecoder(settings, orders).decode(registers(hex), 0));
}

function readCoils(type: string, bits: string, rest: Rest = {}, orders: Orders = BB): string {
  const settings = { functionCode: 1, type, objectsCount: bits.length, ...rest } as const;
  return text(createDecoder(settings, orders).decode(coils(bits), 0));
}

const text = (value: Json | undefined): string =>
  value === undefined ? "none" : encodeJson(value);

/** A list of bits as the tables write it. */
const digits = (json: string): string =>
  json
    .replaceAll("true", "1")
    .replaceAll("false", "0")
    .replaceAll(/[[\],]/g, "");

describe("numbers in every byte and word order", () => {
  test.each([
    ["8int", "F512", ["-11", "-11", "-11", "-11"]],
    ["8uint", "F512", ["245", "245", "245", "245"]],
    ["16int", "F512", ["-2798", "-2798", "4853", "4853"]],
    ["16uint", "F512", ["62738", "62738", "4853", "4853"]],
    ["16float", "4A2C", ["12.34375", "12.34375", "0.067017", "0.067017"]],
    ["32int", "FFFE 1DC0", ["-123456", "499187710", "-16793571", "-1071776001"]],
    ["32uint", "FFFE 1DC0", ["4294843840", "499187710", "4278173725", "3223191295"]],
    ["32float", "4148 F5C3", ["12.56", null, "198415.828125", "-490.564484"]],
    ["32float", "41BC 0000", ["23.5", "0.0", "-0.01178", "0.0"]],
    [
      "64int",
      "FFFF FFFF 2152 4111",
      ["-3735928559", "4688565327435399167", "-2917068479", "1243365278113333247"],
    ],
    [
      "64uint",
      "0123 4567 89AB CDEF",
      [
        "81985529216486895",
        '"14839230665905864995"',
        "2522410815232536525",
        '"17279655951921914625"',
      ],
    ],
    [
      "64uint",
      "F123 4567 89AB CDEF",
      [
        '"17375808098319191535"',
        '"14839230665905926435"',
        "2589964809643093965",
        '"17279655951921914865"',
      ],
    ],
  ])("%s of %s", (type, hex, expected) => {
    const found = ALL.map((orders) => read(type, hex, orders));
    expect(found).toEqual(expected.map((one, index) => one ?? found[index] ?? ""));
  });

  test("a 32 bit float far outside of plain numbers", () => {
    const decoder = createDecoder({ functionCode: 3, type: "32float", objectsCount: 2 }, BL);
    const value = decoder.decode(registers("4148 F5C3"), 0);
    expect(value instanceof Float ? value.value : value).toBe(-4.9503024827452626e32);
  });

  test("64 bit floats", () => {
    const values = ALL.map((orders) => {
      const decoder = createDecoder({ functionCode: 3, type: "64float", objectsCount: 4 }, orders);
      const value = decoder.decode(registers("405E DD2F 1A9F BE77"), 0);
      return value instanceof Float ? value.value : value;
    });
    expect(values).toEqual([123.456, -0, 1.010633341382582e146, 6.319206039931876e268]);
  });

  test("names without a size take it from objectsCount", () => {
    expect(read("long", "0001 0002 0003 0004")).toBe("281483566841860");
    expect(read("double", "4148 F5C3")).toBe("12.56");
    expect(read("Double", "4A2C")).toBe("12.34375");
    expect(read("unsigned", "FFFF")).toBe("65535");
    expect(read("dword", "FFFE 1DC0")).toBe("-123456");
    expect(() => read("int", "0001 0002 0003")).toThrow(DataError);
    expect(() => read("8float", "0001")).toThrow(DataError);
  });

  test("more registers than a number needs do no harm", () => {
    expect(read("16int", "0001 0002 0003")).toBe("1");
    expect(createDecoder({ functionCode: 3, type: "32int", objectsCount: 9 }, BB).length).toBe(2);
    expect(createDecoder({ functionCode: 3, type: "32int", objectsCount: 1 }, BB).length).toBe(2);
  });

  test("NaN and the infinities are no value", () => {
    expect(read("32float", "7FC0 0000")).toBe("none");
    expect(read("32float", "7F80 0000")).toBe("none");
    expect(read("32float", "FF80 0000", BB, { multiplier: 2 })).toBe("none");
  });
});

describe("text and bytes", () => {
  test.each([
    ["string", "4142 4344", '"ABCD"'],
    ["string", "FF41 4200", '"ff414200"'],
    ["bytes", "0102 FFFE", '"0102fffe"'],
  ])("%s of %s is the same in every order", (type, hex, expected) => {
    expect(ALL.map((orders) => read(type, hex, orders))).toEqual(ALL.map(() => expected));
  });

  test("text ends at the first NUL, unless trimNulls is off", () => {
    expect(read("string", "4142 0000")).toBe('"AB"');
    expect(read("string", "4142 0000", BB, { trimNulls: false })).toBe('"AB\\u0000\\u0000"');
  });
});

describe("bits", () => {
  test.each([
    ["1", "1"],
    ["011", "110"],
    ["1101001", "1001011"],
    ["11010000", "00001011"],
    ["110100101", "010010111"],
    ["1101001011001111", "0100101111110011"],
  ])("coils %s are %s", (bits, expected) => {
    expect(digits(readCoils("bits", bits))).toBe(expected);
  });

  test("element 0 first with bitOrder natural", () => {
    expect(digits(readCoils("bits", "110100101", { bitOrder: "natural" }))).toBe("110100101");
  });

  test("one bit is a scalar; bitTargetType int gives numbers; bit picks an element", () => {
    expect(readCoils("bits", "1")).toBe("true");
    expect(readCoils("bits", "1011", { bitTargetType: "int" })).toBe("[1,1,0,1]");
    expect(readCoils("bits", "00000001", { bit: 0 })).toBe("1");
    expect(readCoils("bits", "00000001", { bit: 99 })).toBe("0");
  });

  test.each([
    [16, "0100110011101000"],
    [12, "110011101000"],
    [8, "11101000"],
    [4, "1000"],
    [2, "00"],
    [1, "0"],
  ])("register 3217 with objectsCount %p", (objectsCount, expected) => {
    expect(digits(read("bits", "3217", LL, { objectsCount }))).toBe(expected);
    expect(createDecoder({ functionCode: 4, type: "bits", objectsCount }, LL).length).toBe(1);
  });

  test("a single bit of a register is bit 7, registerBit names another", () => {
    expect(read("bits", "0001", BB, { objectsCount: 1 })).toBe("false");
    expect(read("bits", "0080", BB, { objectsCount: 1 })).toBe("true");
    expect(read("bits", "0001", BB, { objectsCount: 1, registerBit: 0 })).toBe("true");
    expect(read("bits", "3217", BB, { objectsCount: 16, bit: 9 })).toBe("1");
  });

  test("other types over coils take the first coil as the highest bit", () => {
    expect(readCoils("8uint", "11010000")).toBe("208");
    expect(readCoils("16uint", "1101000010110111")).toBe("53431");
    expect(readCoils("16uint", "1101000010110111", {}, LB)).toBe("47056");
    expect(readCoils("bytes", "1101000010110111")).toBe('"d0b7"');
    expect(readCoils("8uint", "11010000", { divider: 2 })).toBe("208");
  });

  test("the place inside a larger response counts", () => {
    const decoder = createDecoder({ functionCode: 2, type: "bits", objectsCount: 3 }, BB);
    expect(text(decoder.decode(coils("0000001101000"), 6))).toBe("[false,true,true]");
  });
});

describe("rounding, scaling, names", () => {
  const raw = "00EB"; // 235
  test.each([
    [{ divider: 10 }, "23.5"],
    [{ multiplier: 0.1 }, "23.5"],
    [{ multiplier: 0.1, divider: 10 }, "23.5"],
    [{ divider: 0 }, "235"],
    [{ multiplier: 3 }, "705"],
    [{ divider: 30 }, "7.833333333333333"],
    [{ divider: 1 }, "235.0"],
  ])("235 with %p is %s", (rest, expected) => {
    expect(read("16int", raw, BB, rest)).toBe(expected);
  });

  test.each([
    [{ divider: 10 }, "2.35"],
    [{ round: 0 }, "24.0"],
    [{ round: -1 }, "20.0"],
  ])("float 23.5 with %p is %s", (rest, expected) => {
    expect(read("32float", "41BC 0000", BB, rest)).toBe(expected);
  });

  test("halves are rounded to even, by the exact binary value", () => {
    expect(read("32float", "3C00 0000")).toBe("0.007812"); // 0.0078125
    expect(read("32float", "4020 0000", BB, { round: 0 })).toBe("2.0"); // 2.5
    expect(read("64float", "3EA0 C6F7 A0B5 ED8D")).toBe("0.0"); // 5e-7
  });

  test("whole numbers stay exact when multiplied", () => {
    expect(read("64uint", "0123 4567 89AB CDEF", BB, { multiplier: 10 })).toBe(
      "819855292164868950",
    );
  });

  test("scaling leaves text and bits alone", () => {
    expect(read("string", "4142", BB, { multiplier: 2 })).toBe('"AB"');
    expect(digits(read("bits", "3217", BB, { objectsCount: 4, divider: 2 }))).toBe("1000");
  });

  test("names are looked up as Python spells a value, then as JSON does", () => {
    const variants = { "1": "RUN", "2": "STOP", "2.0": "two", True: "on" };
    expect(read("16uint", "0002", BB, { variants })).toBe('"STOP"');
    expect(read("16uint", "0014", BB, { variants, divider: 10 })).toBe('"two"');
    expect(read("16uint", "000A", BB, { variants, divider: 10 })).toBe('"RUN"');
    expect(read("16uint", "0063", BB, { variants })).toBe("99");
    expect(readCoils("bits", "1", { variants })).toBe('"on"');
    expect(readCoils("bits", "1", { variants: { true: "yes" } })).toBe('"yes"');
    expect(readCoils("bits", "1", { variants, bitTargetType: "int" })).toBe('"RUN"');
  });
});

describe("write and read again", () => {
  const sized = {
    "8int": fc.integer({ min: -128, max: 127 }),
    "8uint": fc.integer({ min: 0, max: 255 }),
    "16int": fc.integer({ min: -32_768, max: 32_767 }),
    "16uint": fc.integer({ min: 0, max: 65_535 }),
    "32int": fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    "32uint": fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    "64int": fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    "64uint": fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    "32float": fc.float({ noNaN: true, noDefaultInfinity: true }),
    "64float": fc.double({ noNaN: true, noDefaultInfinity: true }),
  };
  for (const [type, values] of Object.entries(sized)) {
    test(`${type} comes back in every order`, () => {
      fc.assert(
        fc.property(
          values as fc.Arbitrary<number | bigint>,
          fc.constantFrom(...ALL),
          (value, orders) => {
            const written = encodeWrite(
              value,
              { functionCode: 16, type, objectsCount: 4 },
              { ...orders, repack: false },
            );
            if (written.functionCode !== 16) {
              throw new Error("not function code 16");
            }
            const view = new DataView(new ArrayBuffer(8));
            for (const [index, word] of written.registers.entries()) {
              view.setUint16(2 * index, word);
            }
            const settings = { functionCode: 3, type, objectsCount: 4, round: 400 } as const;
            const back = createDecoder(settings, orders).decode(view, 0);
            const number = back instanceof Float ? back.value : back;
            expect(typeof number === "bigint" ? number : Number(number) + 0).toBe(
              typeof value === "bigint" && typeof number !== "bigint"
                ? Number(value)
                : value === 0
                  ? 0
                  : value,
            );
          },
        ),
        { numRuns: runs(300) },
      );
    });
  }

  test("bits come back from coils whatever their number", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 2, maxLength: 200 }), (bits) => {
        const written = encodeWrite(
          bits,
          { functionCode: 15, type: "bits", objectsCount: bits.length },
          { ...BB, repack: false },
        );
        const sent = written.functionCode === 15 ? written.coils : [];
        const back = readCoils("bits", sent.map(Number).join(""));
        expect(back).toBe(JSON.stringify(bits));
      }),
    );
  });

  test("any bytes decode to a value or to none, whatever the item", () => {
    const types = [
      "8int",
      "16uint",
      "16float",
      "32float",
      "64uint",
      "64float",
      "string",
      "bytes",
      "bits",
    ];
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.constantFrom(...types),
        fc.constantFrom(1 as const, 2 as const, 3 as const, 4 as const),
        fc.integer({ min: 1, max: 8 }),
        (bytes, type, functionCode, objectsCount) => {
          const settings = { functionCode: functionCode, type, objectsCount };
          const value = createDecoder(settings, BL).decode(new DataView(bytes.buffer), 3);
          expect(value === undefined || encodeJson(value).length > 0).toBe(true);
        },
      ),
    );
  });
});
