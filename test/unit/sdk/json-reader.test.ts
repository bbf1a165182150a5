import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { encodeJson } from "#sdk/encode";
import { DataError } from "#sdk/errors";
import { decodePayload, readJson } from "#sdk/json-reader";
import { Float, type Json } from "#sdk/model";
import { runs } from "../../support/property-runs.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Makes Floats comparable: their value is private. */
function plain(value: Json): unknown {
  if (value instanceof Float) {
    return { float: value.value, text: value.text };
  }
  if (Array.isArray(value)) {
    return value.map((item: Json) => plain(item));
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
}

/** The same with every number as a JavaScript number, as `JSON.parse` gives them. */
function native(value: Json): unknown {
  if (value instanceof Float) {
    return value.value + 0;
  }
  if (typeof value === "bigint" || typeof value === "number") {
    return Number(value) + 0;
  }
  if (Array.isArray(value)) {
    return value.map((item: Json) => native(item));
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, native(item)]));
  }
  return value;
}

describe("readJson()", () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ["0", 0],
    ["-0", 0],
    ["42", 42],
    ["9007199254740991", 9007199254740991],
    ["9007199254740992", 9007199254740992n],
    ["9007199254740993", 9007199254740993n],
    ["-9007199254740993", -9007199254740993n],
    ["1234567890123456", 1234567890123456],
    ["21.0", { float: 21, text: "21.0" }],
    ["-0.0", { float: -0, text: "-0.0" }],
    ["1e3", { float: 1000, text: "1e3" }],
    ["1E+3", { float: 1000, text: "1E+3" }],
    ["0.12345678901234567", { float: Number("0.12345678901234567"), text: "0.12345678901234567" }],
    ['"a.1"', "a.1"],
    ['"\\u00e9\\n\\\\ 1.5"', "é\n\\ 1.5"],
    [' [ 1 , 1.5 ,\t"x"\r\n] ', [1, { float: 1.5, text: "1.5" }, "x"]],
    ['{"a":1,"a":2.5}', { a: { float: 2.5, text: "2.5" } }],
    ['{"a":1,"a":2}', { a: 2 }],
    ["[]", []],
    ["{}", {}],
    ['{"a":[],"b":{},"c":1.0}', { a: [], b: {}, c: { float: 1, text: "1.0" } }],
    ["[true,false,null,1.0]", [true, false, null, { float: 1, text: "1.0" }]],
  ];
  test.each(cases)("reads %s exactly", (text, value) => {
    expect(plain(readJson(text))).toEqual(value);
  });

  const refused = [
    "",
    " ",
    "NaN",
    "Infinity",
    "-Infinity",
    "[1.5,NaN]",
    "01",
    "-01.5",
    "1.",
    ".5",
    "1.5.5",
    "1e",
    "1e+",
    "+1",
    "-",
    "[1.5,]",
    "[1.5",
    '{"a":1.5,}',
    '{"a" 1.5}',
    '{"a":1.5',
    "{a:1.5}",
    '{"a":1.5]',
    '"1.5',
    '"1.5\\"',
    '"1.5\\x"',
    '"1.5\n"',
    "1.5 x",
    "[1.5]]",
    "tru1.5",
    "[1.5,truth]",
    "\ufeff1",
    "\ufeff1.5",
    "'1.5'",
  ];
  test.each(refused)("refuses %p as not JSON", (text) => {
    expect(() => readJson(text)).toThrow(DataError);
    try {
      readJson(text);
    } catch (error) {
      expect(error).toHaveProperty("reason", "not-json");
    }
  });

  test.each(["1", "1.5"])("takes __proto__ as a name like any other (%s)", (number) => {
    const value = readJson(`{"__proto__":{"polluted":${number}},"a":1}`);
    expect(Object.keys(value as object)).toEqual(["__proto__", "a"]);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(value).not.toHaveProperty("polluted");
  });

  test.each(["1", "1.5"])("takes 128 levels and refuses 129 (%s)", (number) => {
    const nested = (levels: number): string => "[".repeat(levels) + number + "]".repeat(levels);
    expect(() => readJson(nested(128))).not.toThrow();
    expect(() => readJson(nested(129))).toThrow("more than 128 levels");
    expect(() => readJson("[".repeat(1_000_000))).toThrow(DataError);
    expect(() => readJson('{"a":'.repeat(200))).toThrow(DataError);
  });

  test("agrees with JSON.parse on any JSON", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), (text) => {
        expect(native(readJson(text))).toEqual(native(JSON.parse(text) as Json));
      }),
    );
  });

  test("accepts and refuses what JSON.parse does", () => {
    const piece = fc.constantFrom(
      ...'[ ] { } , : " 0 1 -1 1.5 -0.5e3 e . - + true null a \\ \\n \\u00e9 \t '.split(" "),
      '"a"',
      '"k":',
      " ",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join("");
        expect(accepts(() => readJson(text))).toBe(accepts(() => JSON.parse(text)));
        const marked = `[1.5,${text}]`;
        expect(accepts(() => readJson(marked))).toBe(accepts(() => JSON.parse(marked)));
      }),
      { numRuns: runs(3000) },
    );
  });

  test("reads back what encodeJson() wrote", () => {
    const number = fc.oneof(
      fc.maxSafeInteger(),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc
        .double({ noNaN: true, noDefaultInfinity: true, min: 1e-3, max: 1e18 })
        .map((v) => new Float(v)),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.string(), number), (values) => {
        const text = encodeJson(values);
        expect(encodeJson(readJson(text))).toBe(text);
      }),
    );
  });
});

function accepts(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch {
    return false;
  }
}

describe("decodePayload()", () => {
  test("gives JSON for JSON", () => {
    expect(plain(decodePayload(bytes('{"t":21.0}')) as Json)).toEqual({
      t: { float: 21, text: "21.0" },
    });
    expect(decodePayload(bytes("4148"))).toBe(4148);
    expect(decodePayload(bytes("null"))).toBeNull();
  });

  test("gives text for what is not JSON, a byte order mark included", () => {
    expect(decodePayload(bytes("on"))).toBe("on");
    expect(decodePayload(bytes(""))).toBe("");
    expect(decodePayload(bytes("NaN"))).toBe("NaN");
    expect(decodePayload(bytes('\ufeff{"a":1}'))).toBe('\ufeff{"a":1}');
  });

  test("reads JSON although some bytes in it are not UTF-8", () => {
    const payload = Uint8Array.of(...bytes('{"a":"x'), 0xff, 0xfe, ...bytes('y","b":1.5}'));
    expect(plain(decodePayload(payload) as Json)).toEqual({
      a: "xy",
      b: { float: 1.5, text: "1.5" },
    });
  });

  test("keeps a replacement character that was really sent", () => {
    const payload = Uint8Array.of(...bytes('"\ufffda'), 0xc3, ...bytes('b\ufffd"'));
    expect(decodePayload(payload)).toBe("\ufffdab\ufffd");
  });

  test("gives the same bytes for what is neither JSON nor UTF-8", () => {
    const payload = Uint8Array.of(0xff, 0x00, 0x41);
    expect(decodePayload(payload)).toBe(payload);
  });

  test("never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (payload) => {
        decodePayload(payload);
      }),
    );
  });
});
