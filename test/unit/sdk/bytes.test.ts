import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ByteReader, ByteWriter } from "#sdk/bytes";
import { DataError } from "#sdk/errors";

const order = fc.constantFrom("big", "little");

describe("ByteReader", () => {
  test("reads every width in both orders", () => {
    const bytes = Uint8Array.of(0x80, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07);
    const big = new ByteReader(bytes);
    expect(big.int8()).toBe(-128);
    big.seek(0);
    expect(big.uint8()).toBe(0x80);
    big.seek(0);
    expect(big.uint16()).toBe(0x8001);
    big.seek(0);
    expect(big.int16()).toBe(-0x7fff);
    big.seek(0);
    expect(big.uint32()).toBe(0x8001_0203);
    big.seek(0);
    expect(big.uint64()).toBe(0x8001_0203_0405_0607n);
    big.seek(0);
    expect(big.uint(3)).toBe(0x80_0102n);
    const little = new ByteReader(bytes, "little");
    expect(little.uint16()).toBe(0x0180);
    expect(little.uint16()).toBe(0x0302);
    expect(little.int32()).toBe(0x0706_0504);
    little.seek(0);
    expect(little.uint(3)).toBe(0x02_0180n);
    little.seek(0);
    expect(little.int64()).toBe(0x0706_0504_0302_0180n);
  });

  test("reads inside the view it was given", () => {
    const reader = new ByteReader(Uint8Array.of(1, 2, 3, 4).subarray(1, 3));
    expect(reader.uint16()).toBe(0x0203);
    expect(reader.remaining).toBe(0);
    expect(() => reader.uint8()).toThrow(DataError);
  });

  test("refuses to pass the end and consumes nothing then", () => {
    const reader = new ByteReader(Uint8Array.of(1, 2, 3));
    reader.skip(1);
    expect(() => reader.uint32()).toThrow("Cannot read 4 bytes at offset 1: 2 are left");
    expect(() => reader.bytes(-1)).toThrow(DataError);
    expect(() => reader.bytes(1.5)).toThrow(DataError);
    expect(() => reader.seek(4)).toThrow(DataError);
    expect(() => reader.seek(-1)).toThrow(DataError);
    expect(reader.offset).toBe(1);
    expect(reader.rest()).toEqual(Uint8Array.of(2, 3));
  });

  test("reads UTF-8 and refuses anything else", () => {
    const reader = new ByteReader(Uint8Array.of(0xc3, 0xa9, 0xff));
    expect(reader.text(2)).toBe("é");
    expect(() => reader.text(1)).toThrow(DataError);
    expect(reader.offset).toBe(2);
  });

  test("any sequence of reads returns or throws a DataError, and stays inside", () => {
    const step = fc.constantFrom("uint8", "int16", "uint32", "int64", "float32", "float64", "rest");
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), order, fc.array(step), (bytes, o, steps) => {
        const reader = new ByteReader(bytes, o);
        for (const name of steps) {
          try {
            reader[name]();
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
          }
          expect(reader.offset + reader.remaining).toBe(bytes.length);
        }
      }),
    );
  });
});

describe("ByteWriter", () => {
  test("a reader of the same order reads back what was written", () => {
    const values = fc.record({
      a: fc.integer({ min: 0, max: 0xff }),
      b: fc.integer({ min: -0x8000, max: 0x7fff }),
      c: fc.integer({ min: 0, max: 0xffff_ffff }),
      d: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      e: fc.float(),
      f: fc.double(),
      g: fc.string({ unit: "grapheme" }),
      h: fc.uint8Array(),
    });
    fc.assert(
      fc.property(order, values, (o, v) => {
        const size = new TextEncoder().encode(v.g).length;
        const writer = new ByteWriter(o);
        writer.uint8(v.a).int16(v.b).uint32(v.c).int64(v.d).float32(v.e).float64(v.f);
        writer.text(v.g).bytes(v.h);
        const bytes = writer.toBytes();
        expect(bytes.length).toBe(writer.size);
        const reader = new ByteReader(bytes, o);
        expect(reader.uint8()).toBe(v.a);
        expect(reader.int16()).toBe(v.b);
        expect(reader.uint32()).toBe(v.c);
        expect(reader.int64()).toBe(v.d);
        expect(reader.float32()).toBe(v.e);
        expect(reader.float64()).toBe(v.f);
        expect(reader.text(size)).toBe(v.g);
        expect(reader.rest()).toEqual(v.h);
      }),
    );
  });

  test("writes the other widths", () => {
    const bytes = new ByteWriter("little").int8(-1).uint16(0x0102).int32(-2).uint64(3n).toBytes();
    expect([...bytes]).toEqual([255, 2, 1, 254, 255, 255, 255, 3, 0, 0, 0, 0, 0, 0, 0]);
  });

  test("refuses what does not fit and writes nothing then", () => {
    const writer = new ByteWriter();
    const refused: readonly (() => unknown)[] = [
      () => writer.uint8(256),
      () => writer.uint8(-1),
      () => writer.uint8(1.5),
      () => writer.int8(128),
      () => writer.uint16(0x1_0000),
      () => writer.int16(-0x8001),
      () => writer.uint32(2 ** 32),
      () => writer.int32(2 ** 31),
      () => writer.uint64(-1n),
      () => writer.int64(2n ** 63n),
      () => writer.float32(1e39),
      () => writer.uint16(Number.NaN),
    ];
    for (const write of refused) {
      expect(write).toThrow(DataError);
    }
    expect(writer.size).toBe(0);
    expect(writer.float32(Number.NaN).size).toBe(4);
  });

  test("what was handed out does not change with later writes", () => {
    const writer = new ByteWriter().uint8(1);
    const first = writer.toBytes();
    writer.uint8(2);
    expect([...first]).toEqual([1]);
  });
});
