import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  encodeJson,
  encodeNumber,
  encodeValue,
  encodeValues,
  textOf,
  ValuesWriter,
} from "#sdk/encode";
import { DataError } from "#sdk/errors";
import { Float, type Json, type Values } from "#sdk/model";
import { runs } from "../../support/property-runs.ts";

/** What plain JavaScript of an extension may hand over although its type forbids it. */
const untyped = (values: Record<string, unknown>): Values => values as Values;

/** Names a value in the title of its test. */
function label(value: Json): string {
  if (value instanceof Float) {
    return `Float ${value.text ?? value.value}`;
  }
  return typeof value === "bigint" ? `${value}n` : (JSON.stringify(value) ?? "nothing");
}

/** A decimal number, with or without an exponent, as a multiple of 10⁻⁴⁰⁰: differences of floats would be rounded themselves. */
function decimal(text: string): bigint {
  const [, sign, whole = "", fraction = "", exponent = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(text) ?? [];
  const digits =
    BigInt(`${whole}${fraction}`) * 10n ** BigInt(400 + Number(exponent) - fraction.length);
  return sign === "-" ? -digits : digits;
}

describe("encodeNumber()", () => {
  const cases: readonly (readonly [number | bigint | Float, string | undefined])[] = [
    [25, "25"],
    [0, "0"],
    [-0, "0"],
    [-7, "-7"],
    [Number.MAX_SAFE_INTEGER, "9007199254740991"],
    [2 ** 53, "9007199254740992.0"],
    [22.5, "22.5"],
    [1e21, "1000000000000000000000.0"],
    [1.5e300, `15${"0".repeat(299)}.0`],
    [Number.NaN, undefined],
    [Number.POSITIVE_INFINITY, undefined],
    [new Float(25), "25.0"],
    [new Float(0), "0.0"],
    [new Float(-0), "-0.0"],
    [new Float(0.1), "0.1"],
    [new Float(0.1 + 0.2), "0.3"],
    [new Float(7 / 30), "0.2333333333333333"],
    [new Float(Math.fround(0.1)), "0.1000000014901161"],
    [new Float(1.2345e-7), "0.00000012345"],
    [new Float(1.2345678e-10), "0.0000000001234568"],
    [Float.fromText("0.000099999999999999995"), "0.0001"],
    [new Float(2.5e-16), "0.0000000000000002"],
    [new Float(3.5e-16), "0.0000000000000004"],
    [new Float(1e-16), "0.0000000000000001"],
    [new Float(6e-17), "0.0000000000000001"],
    [new Float(5e-17), "0.0"],
    [new Float(5e-324), "0.0"],
    [new Float(-1234.5), "-1234.5"],
    [new Float(-6.0659880008723545e66), `-60659880008723545${"0".repeat(50)}.0`],
    [new Float(Number.NEGATIVE_INFINITY), undefined],
    [9007199254740993n, "9007199254740993"],
    [9223372036854775807n, "9223372036854775807"],
    [-9223372036854775808n, "-9223372036854775808"],
    [9223372036854775808n, '"9223372036854775808"'],
    [-9223372036854775809n, '"-9223372036854775809"'],
    [17275436391653061650n, '"17275436391653061650"'],
  ];
  for (const [value, text] of cases) {
    test(`writes ${label(value)} as ${text}`, () => {
      expect(encodeNumber(value)).toBe(text);
    });
  }

  test("a float is plain decimal with 1 to 16 fraction digits and within rounding of its value", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const text = encodeNumber(new Float(value)) ?? "";
        expect(text).toMatch(/^-?\d+\.\d{1,16}$/);
        expect(text).not.toMatch(/\.\d+0$/);
        const distance = decimal(text) - decimal(String(value));
        expect(2n * (distance < 0n ? -distance : distance)).toBeLessThanOrEqual(decimal("1e-16"));
      }),
    );
  });

  test("a float of at most 16 fraction digits reads back the same", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, min: 1, max: 1e300 }), (value) => {
        const text = encodeNumber(new Float(value));
        expect(Number(text)).toBe(value);
      }),
    );
  });
});

describe("encodeValues()", () => {
  test("writes every kind of value by its rule", () => {
    const values: Values = {
      long: 25,
      double: new Float(25),
      plain: 22.5,
      big: 9007199254740993n,
      huge: 2n ** 64n,
      text: 'line 1\n\t"2"',
      on: true,
      off: false,
      empty: "",
      list: [1, new Float(2), 3n, "a", null],
      object: { b: { c: [] }, a: {} },
    };
    expect(encodeValues(values)).toEqual({
      text:
        '{"long":25,"double":25.0,"plain":22.5,"big":9007199254740993,"huge":"18446744073709551616",' +
        '"text":"line 1\\n\\t\\"2\\"","on":true,"off":false,"empty":"","list":[1,2.0,3,"a",null],"object":{"b":{"c":[]},"a":{}}}',
      count: 11,
      rejected: 0,
    });
  });

  test("leaves null and undefined out without counting them", () => {
    expect(encodeValues(untyped({ a: null, b: undefined, c: 1 }))).toEqual({
      text: '{"c":1}',
      count: 1,
      rejected: 0,
    });
    expect(encodeValues({})).toEqual({ text: "{}", count: 0, rejected: 0 });
  });

  test("counts what has no JSON form as rejected and keeps the rest", () => {
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    const result = encodeValues(
      untyped({
        nan: Number.NaN,
        infinite: Number.NEGATIVE_INFINITY,
        float: new Float(Number.NaN),
        call: () => 1,
        symbol: Symbol("s"),
        nested: { call: () => 1 },
        hole: [1, undefined],
        // oxlint-disable-next-line no-sparse-arrays -- a hole is what is tested
        sparse: [1, , 2],
        map: new Map(),
        bytes: new Uint8Array(2),
        cycle,
        good: 1,
      }),
    );
    expect(result).toEqual({ text: '{"good":1}', count: 1, rejected: 11 });
  });

  test("writes NaN inside a structure as null", () => {
    expect(encodeValues({ list: [Number.NaN, new Float(Number.POSITIVE_INFINITY), 1] }).text).toBe(
      '{"list":[null,null,1]}',
    );
  });

  test("writes an own key __proto__ and no inherited one", () => {
    const values: Values = JSON.parse('{"__proto__":1,"a":{"__proto__":2}}');
    expect(encodeValues(values).text).toBe('{"__proto__":1,"a":{"__proto__":2}}');
    expect(encodeValues(Object.create({ inherited: 1 })).text).toBe("{}");
  });

  test("is right beyond the bound of its key cache", () => {
    for (let index = 0; index < 10_000; index += 1) {
      expect(encodeValues({ [`k"${index}`]: index }).text).toBe(`{"k\\"${index}":${index}}`);
    }
  });
});

describe("encodeJson()", () => {
  test("its text holds no control character and reads back the same", () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const text = encodeJson(value as Json);
        // oxlint-disable-next-line no-control-regex -- control characters are what is tested
        expect(text).not.toMatch(/[\u0000-\u001f]/);
        const expected: unknown = JSON.parse(JSON.stringify(value));
        expect(roundFloats(JSON.parse(text))).toEqual(roundFloats(expected));
      }),
    );
  });

  test("refuses a value of more than 256 levels", () => {
    let deep: Json = 1;
    for (let level = 0; level < 257; level += 1) {
      deep = [deep];
    }
    expect(() => encodeJson(deep)).toThrow(DataError);
  });
});

const anyNumber: fc.Arbitrary<number | bigint | Float> = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(-0, 1e21, 5e-324, Number.MAX_VALUE, 2 ** 53, 2 ** 63, -(2 ** 63)),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
  fc.constantFrom(2n ** 63n - 1n, 2n ** 63n, -(2n ** 63n), -(2n ** 63n) - 1n),
  fc.double().map((value) => new Float(value)),
);
const anyKey = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("__proto__", "constructor", "toString", "7", "\u2028", "\ud800"),
);
const { tree: anyJson } = fc.letrec<{ readonly tree: Json }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    anyNumber,
    fc.constant(null),
    fc.boolean(),
    fc.string({ unit: "binary" }),
    fc.array(tie("tree"), { maxLength: 5 }),
    fc.dictionary(anyKey, tie("tree"), { maxKeys: 5, noNullPrototype: false }),
  ),
}));

describe("whatever the value", () => {
  test("its text is JSON, and each number in it follows the rule of its type", () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        const text = encodeJson(value);
        expectLike(JSON.parse(text), value);
        // Strings away: what is left of digits are the numbers.
        const numbers = text
          .replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')
          .match(/[-+.\deE]*\d[-+.\deE]*/g);
        for (const number of numbers ?? []) {
          expect(number).toMatch(/^-?(?:0|[1-9]\d*)(?:\.\d{1,16})?$/);
          if (!number.includes(".")) {
            expect(BigInt.asIntN(64, BigInt(number))).toBe(BigInt(number));
          }
        }
      }),
      { numRuns: runs(500) },
    );
  });

  test("encodeValues() counts each value once, and writes what encodeValue() does", () => {
    fc.assert(
      fc.property(fc.dictionary(anyKey, anyJson, { maxKeys: 8 }), (values) => {
        const { text, count, rejected } = encodeValues(values);
        const present = Object.keys(values).filter((key) => values[key] !== null);
        expect(count + rejected).toBe(present.length);
        const writer = new ValuesWriter();
        for (const key of present) {
          const json = encodeValue(values[key] ?? null);
          if (json !== undefined) {
            writer.add(key, json);
          }
        }
        expect({ text: writer.text, count: writer.count }).toEqual({ text, count });
        expect(Object.keys(JSON.parse(text) as object)).toHaveLength(count);
      }),
    );
  });
});

/** Fails unless `read` is what the platform should make of `value`. */
function expectLike(read: unknown, value: Json): void {
  if (typeof value === "bigint") {
    const isLong = BigInt.asIntN(64, value) === value;
    expect(read).toBe(isLong ? Number(value) : String(value));
  } else if (typeof value === "number" || value instanceof Float) {
    const number = typeof value === "number" ? value : value.value;
    if (Number.isFinite(number)) {
      expect(typeof read).toBe("number");
      expect(Math.abs(Number(read) - number)).toBeLessThanOrEqual(1e-16);
    } else {
      expect(read).toBeNull();
    }
  } else if (typeof value === "object" && value !== null) {
    expect(Array.isArray(read)).toBe(Array.isArray(value));
    const members = new Map(Object.entries(read as object));
    expect([...members.keys()]).toEqual(Object.keys(value));
    for (const [key, member] of Object.entries(value)) {
      expectLike(members.get(key), member);
    }
  } else {
    expect(read).toBe(value);
  }
}

/** The sixteenth fraction digit is the last one sent. */
function roundFloats(value: unknown): unknown {
  if (typeof value === "number") {
    return (Number.isSafeInteger(value) ? value : Number(encodeNumber(value))) + 0;
  }
  if (Array.isArray(value)) {
    return value.map(roundFloats);
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, member]) => [key, roundFloats(member)]),
    );
  }
  return value;
}

describe("textOf()", () => {
  const cases: readonly (readonly [Json, string])[] = [
    ["a b", "a b"],
    [7, "7"],
    [22.5, "22.5"],
    [1e21, "1000000000000000000000.0"],
    [9007199254740993n, "9007199254740993"],
    [Float.fromText("21.0"), "21.0"],
    [Float.fromText("1e3"), "1e3"],
    [new Float(21), "21.0"],
    [true, "true"],
    [null, "null"],
    [{ a: 1 }, '{"a":1}'],
    [[10, 20], "[10,20]"],
  ];
  for (const [value, text] of cases) {
    test(`reads ${label(value)} as ${text}`, () => {
      expect(textOf(value)).toBe(text);
    });
  }
});
