import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  exactText,
  fieldsText,
  fromWireError,
  pack,
  packValues,
  toWireError,
  unpack,
  unpackValues,
} from "../../../../src/connector/isolation/wire.ts";
import { encodeValues } from "../../../../src/sdk/encode.ts";
import {
  ConfigError,
  DataError,
  RejectedError,
  RpcError,
  TransientError,
} from "../../../../src/sdk/errors.ts";
import { readJson } from "../../../../src/sdk/json-reader.ts";
import { epochMs, Float, type Json, type Values } from "../../../../src/sdk/model.ts";

/** Every kind of value, those without a JSON form included. */
const anyValue = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.double().map((value) => new Float(value)),
  fc.bigInt(),
  fc.string(),
  fc.boolean(),
  fc.constant(null),
  fc.jsonValue({ maxDepth: 3 }).map((value) => value as Json),
);
const anyValues = fc.dictionary(fc.string(), anyValue) as fc.Arbitrary<Values>;

describe("values through the port", () => {
  test("are written as they would have been without it, digit by digit", () => {
    fc.assert(
      fc.property(anyValues, (values) => {
        const crossed = unpackValues(structuredClone(packValues(values)));
        expect(encodeValues(crossed)).toEqual(encodeValues(values));
      }),
    );
  });

  test("25.0 stays a DOUBLE and 2^53 + 1 keeps its last digit", () => {
    const values = { level: new Float(25), count: 2n ** 53n + 1n, bad: Number.NaN };
    const crossed = unpackValues(structuredClone(packValues(values)));
    expect(encodeValues(crossed)).toEqual({
      text: '{"level":25.0,"count":9007199254740993}',
      count: 2,
      rejected: 1,
    });
  });

  test("a key named __proto__ is a key", () => {
    const values: Values = JSON.parse('{"__proto__":1,"a":2}');
    expect(encodeValues(unpackValues(packValues(values))).text).toBe('{"__proto__":1,"a":2}');
  });
});

describe("pack() and unpack()", () => {
  test("keep all of a record but what is no part of one", () => {
    const record = {
      deviceName: "D",
      deviceType: "T",
      attributes: { a: 1 },
      telemetry: [{ ts: epochMs(5), values: { b: "x" } }, { values: { c: true } }],
      receivedTs: epochMs(7),
      strategy: { type: "ON_CHANGE" as const, callback: () => undefined },
      keyStrategies: { b: { type: "DISABLED" as const } },
      extra: () => undefined,
    };
    const { data, values, bad } = pack(record);
    expect({ values, bad }).toEqual({ values: 3, bad: 0 });
    const crossed = unpack(structuredClone(data));
    expect(encodeValues(crossed.attributes ?? {}).text).toBe('{"a":1}');
    expect(crossed.telemetry?.map((entry) => [entry.ts, encodeValues(entry.values).text])).toEqual([
      [epochMs(5), '{"b":"x"}'],
      [undefined, '{"c":true}'],
    ]);
    expect({ ...crossed, attributes: undefined, telemetry: undefined }).toEqual({
      deviceName: "D",
      deviceType: "T",
      attributes: undefined,
      telemetry: undefined,
      receivedTs: epochMs(7),
      strategy: { type: "ON_CHANGE" },
      keyStrategies: { b: { type: "DISABLED" } },
    });
  });
});

describe("exactText()", () => {
  test("keeps large integers and the spelling of numbers that were read", () => {
    const text = '{"a":1e3,"b":21.0,"c":9007199254740993,"d":99999999999999999999,"e":[null,"x"]}';
    expect(exactText(readJson(text))).toBe(text);
  });

  test("refuses what is no JSON", () => {
    expect(() => exactText({ when: new Date(0) })).toThrow(DataError);
    expect(() => exactText(() => 1)).toThrow(DataError);
  });

  test("writes a made-up spelling as the number it is", () => {
    expect(exactText(new Float(2, '1,"x":2'))).toBe("2.0");
  });
});

describe("fieldsText()", () => {
  test("takes whatever a connector puts into a line of its log", () => {
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    const text = fieldsText({
      cycle,
      call: () => 1,
      n: 2n,
      error: new Error("bad"),
      no: undefined,
    });
    expect(Object.keys(JSON.parse(text))).toEqual(["cycle", "call", "n", "error"]);
  });

  test("cuts off what is too long", () => {
    expect(fieldsText({ long: "x".repeat(1_000_000) }).length).toBeLessThan(20_000);
  });
});

describe("errors through the port", () => {
  const errors: readonly Error[] = [
    new RejectedError("no", { reason: "store-full" }),
    new DataError("no", { reason: "not-json" }),
    new TransientError("later", { retryAfterMs: 5 }),
    new RpcError("no such method", 404),
    new ConfigError("a.json", [{ path: "b", message: "c" }]),
    new Error("bug"),
  ];
  test.each(errors.map((error) => [error.name, error] as const))(
    "%s stays what it is",
    (_name, error) => {
      const crossed = fromWireError(structuredClone(toWireError(error)));
      expect(crossed).toBeInstanceOf(error.constructor);
      expect(Object.entries(crossed)).toEqual(Object.entries(error));
      expect(crossed.message).toBe(error.message);
    },
  );

  test("anything can be thrown", () => {
    expect(fromWireError(toWireError("text")).message).toBe("text");
    expect(fromWireError(toWireError(undefined)).message).toBe("undefined");
  });
});
