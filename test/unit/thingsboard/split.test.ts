import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type PieceLimit,
  payloadLimit,
  splitAttributes,
  splitTelemetry,
} from "../../../src/thingsboard/split.ts";

/** A limit of size alone. */
function bytes(limitBytes: number): PieceLimit {
  return { bytes: limitBytes, keys: Number.POSITIVE_INFINITY };
}

describe("payloadLimit()", () => {
  test("is the Remaining Length minus 256 bytes, and less when the packet or the user says so", () => {
    const base = { remainingLength: 65_536, maximumPacketSize: undefined, configured: undefined };
    expect(payloadLimit(base)).toBe(65_280);
    expect(payloadLimit({ ...base, maximumPacketSize: 10_005 })).toBe(9744);
    expect(payloadLimit({ ...base, configured: 8196 })).toBe(8196);
    expect(payloadLimit({ ...base, configured: 1_000_000 })).toBe(65_280);
  });

  test("never falls to nothing", () => {
    expect(
      payloadLimit({ remainingLength: 10, maximumPacketSize: undefined, configured: undefined }),
    ).toBe(256);
  });
});

describe("splitTelemetry()", () => {
  test("repeats all but the values and keeps each number's text", () => {
    const json =
      '{"ts":17,"metadata":{"a":[1,{"b":"}"}]},"values":{"a":25.0,"b":9007199254740993,"c":"x\\"}"}}';
    expect(splitTelemetry(json, bytes(70))).toEqual({
      pieces: [
        '{"ts":17,"metadata":{"a":[1,{"b":"}"}]},"values":{"a":25.0}}',
        '{"ts":17,"metadata":{"a":[1,{"b":"}"}]},"values":{"c":"x\\"}"}}',
      ],
      counts: [1, 1],
      tooLarge: ["b"],
    });
  });

  test("measures UTF-8 bytes, not characters", () => {
    const json = `{"ts":1,"values":{"a":"${"汉".repeat(20)}","b":"${"汉".repeat(20)}"}}`;
    const { pieces } = splitTelemetry(json, bytes(100));
    expect(pieces.length).toBe(2);
    expect(Math.max(...pieces.map((piece) => Buffer.byteLength(piece)))).toBeLessThanOrEqual(100);
  });

  test("takes white space between tokens", () => {
    expect(
      splitTelemetry(' { "ts" : 1 , "values" : { "a" : [ 1 , 2 ] , "b" : true } } ', bytes(32)),
    ).toEqual({
      pieces: ['{"ts":1,"values":{"b":true}}'],
      counts: [1],
      tooLarge: ["a"],
    });
  });

  test("throws on what is no telemetry entry", () => {
    expect(() => splitTelemetry('{"ts":1}', bytes(10))).toThrow("no values");
    expect(() => splitTelemetry('{"ts":1', bytes(10))).toThrow("not JSON");
    expect(() => splitTelemetry('{"ts":1,"values":[1]}', bytes(10))).toThrow("not a JSON object");
  });

  test("loses no key and exceeds no limit, whatever the values", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue(), { minKeys: 1, maxKeys: 20 }),
        fc.integer({ min: 30, max: 400 }),
        fc.integer({ min: 1, max: 20 }),
        (values, limit, keys) => {
          const json = JSON.stringify({ ts: 1, values });
          const { pieces, counts, tooLarge } = splitTelemetry(json, { bytes: limit, keys });
          const merged: Record<string, unknown> = {};
          expect(Math.max(0, ...counts)).toBeLessThanOrEqual(keys);
          for (const [index, piece] of pieces.entries()) {
            expect(Buffer.byteLength(piece)).toBeLessThanOrEqual(limit);
            const members = Object.entries(JSON.parse(piece).values);
            expect(members.length).toBe(counts[index] ?? 0);
            for (const [key, value] of members) {
              Object.defineProperty(merged, key, { value, enumerable: true });
            }
          }
          const large = new Set(tooLarge.map((key) => JSON.parse(`"${key}"`) as string));
          const expected = Object.entries(JSON.parse(json).values).filter(
            ([key]) => !large.has(key),
          );
          expect(new Map(Object.entries(merged))).toEqual(new Map(expected));
        },
      ),
    );
  });
});

describe("splitAttributes()", () => {
  test("packs as many keys as fit", () => {
    expect(splitAttributes('{"a":1,"b":2,"c":3}', bytes(13))).toEqual({
      pieces: ['{"a":1,"b":2}', '{"c":3}'],
      counts: [2, 1],
      tooLarge: [],
    });
  });

  test("keeps to the number of keys", () => {
    const { pieces } = splitAttributes('{"a":1,"b":2,"c":3}', { bytes: 1000, keys: 2 });
    expect(pieces).toEqual(['{"a":1,"b":2}', '{"c":3}']);
  });
});
