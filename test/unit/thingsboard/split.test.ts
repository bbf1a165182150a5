import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { payloadLimit, splitAttributes, splitTelemetry } from "../../../src/thingsboard/split.ts";

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
    expect(splitTelemetry(json, 70)).toEqual({
      pieces: [
        '{"ts":17,"metadata":{"a":[1,{"b":"}"}]},"values":{"a":25.0}}',
        '{"ts":17,"metadata":{"a":[1,{"b":"}"}]},"values":{"c":"x\\"}"}}',
      ],
      tooLarge: ["b"],
    });
  });

  test("measures UTF-8 bytes, not characters", () => {
    const json = `{"ts":1,"values":{"a":"${"汉".repeat(20)}","b":"${"汉".repeat(20)}"}}`;
    const { pieces } = splitTelemetry(json, 100);
    expect(pieces.length).toBe(2);
    expect(Math.max(...pieces.map((piece) => Buffer.byteLength(piece)))).toBeLessThanOrEqual(100);
  });

  test("takes white space between tokens", () => {
    expect(
      splitTelemetry(' { "ts" : 1 , "values" : { "a" : [ 1 , 2 ] , "b" : true } } ', 32),
    ).toEqual({
      pieces: ['{"ts":1,"values":{"b":true}}'],
      tooLarge: ["a"],
    });
  });

  test("throws on what is no telemetry entry", () => {
    expect(() => splitTelemetry('{"ts":1}', 10)).toThrow("no values");
    expect(() => splitTelemetry('{"ts":1', 10)).toThrow("not JSON");
    expect(() => splitTelemetry('{"ts":1,"values":[1]}', 10)).toThrow("not a JSON object");
  });

  test("loses no key and exceeds no limit, whatever the values", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue(), { minKeys: 1, maxKeys: 20 }),
        fc.integer({ min: 30, max: 400 }),
        (values, limit) => {
          const json = JSON.stringify({ ts: 1, values });
          const { pieces, tooLarge } = splitTelemetry(json, limit);
          const merged: Record<string, unknown> = {};
          for (const piece of pieces) {
            expect(Buffer.byteLength(piece)).toBeLessThanOrEqual(limit);
            for (const [key, value] of Object.entries(JSON.parse(piece).values)) {
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
    expect(splitAttributes('{"a":1,"b":2,"c":3}', 13)).toEqual({
      pieces: ['{"a":1,"b":2}', '{"c":3}'],
      tooLarge: [],
    });
  });
});
