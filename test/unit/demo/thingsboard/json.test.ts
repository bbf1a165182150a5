import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type JsonNode, parseJson } from "../../../../src/demo/thingsboard/json.ts";
import { DataError } from "../../../../src/sdk/errors.ts";

/** What `JSON.parse` would give. */
function plain(node: JsonNode): unknown {
  switch (node.kind) {
    case "array":
      return node.items.map(plain);
    case "object":
      return Object.fromEntries([...node.members].map(([key, member]) => [key, plain(member)]));
    case "string":
      return node.content;
    default:
      return JSON.parse(node.text);
  }
}

describe("parseJson()", () => {
  test("reads all strict JSON like JSON.parse, compact or spaced", () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(undefined, 2), (text, space) => {
        const value: unknown = JSON.parse(text);
        // Both readers let a repeated name win; __proto__ is no ordinary name for JSON.parse.
        fc.pre(!text.includes("__proto__"));
        expect(plain(parseJson(JSON.stringify(value, null, space)))).toEqual(value);
      }),
    );
  });

  test("returns or throws DataError on any text", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(..."{}[]:,;=>\"'\\u0a1-.e#/* \nnul".split("")) }),
        (text) => {
          try {
            parseJson(text);
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
          }
        },
      ),
    );
  });

  test("keeps the literal text of every value", () => {
    const node = parseJson('{"a": [5, 5.0, "5", 1e3] , "b":{ "c":null}}');
    const a = node.kind === "object" ? node.members.get("a") : undefined;
    const b = node.kind === "object" ? node.members.get("b") : undefined;
    expect(a?.kind === "array" ? a.items.map((item) => item.text) : []).toEqual([
      "5",
      "5.0",
      '"5"',
      "1e3",
    ]);
    expect(b?.text).toBe('{ "c":null}');
  });

  test("is as lenient as the server", () => {
    const cases: readonly [string, string, string?][] = [
      ["", "null"],
      [" \n", "null"],
      ["\ufeff1", "number"],
      ["NaN", "string", "NaN"],
      ["-Infinity", "string", "-Infinity"],
      ["007", "string", "007"],
      ["TRUE", "boolean"],
      ["'a\"b'", "string", 'a"b'],
      ["word", "string", "word"],
      ["// comment\n1", "number"],
      ["/* comment */ 1 # more", "number"],
      ['"\\u00e9\\n\\/"', "string", "é\n/"],
      ['"line\nbreak"', "string", "line\nbreak"],
    ];
    for (const [text, kind, content] of cases) {
      const node = parseJson(text);
      expect<string>(node.kind).toBe(kind);
      if (content !== undefined) {
        expect(node).toMatchObject({ content });
      }
    }
    expect(plain(parseJson("{a=1;'b'=>2,c:[1,,2;]}"))).toEqual({
      a: 1,
      b: 2,
      c: [1, null, 2, null],
    });
  });

  test("lets the last of equal names win at the place of the first", () => {
    const node = parseJson('{"a":1,"b":2,"a":3}');
    expect(
      node.kind === "object" ? [...node.members].map(([key, { text }]) => key + text) : [],
    ).toEqual(["a3", "b2"]);
  });

  test("refuses what is cut off, followed by text, or too deep", () => {
    for (const text of [
      "{",
      '{"a"',
      '{"a":',
      "[1",
      '"a',
      "1 2",
      '{"a":1,}',
      "{}x",
      "/* x",
      '"\\x"',
      "}",
      ",",
    ]) {
      expect(() => parseJson(text)).toThrow(DataError);
    }
    expect(parseJson("[".repeat(255) + "]".repeat(255)).kind).toBe("array");
    expect(() => parseJson("[".repeat(256) + "]".repeat(256))).toThrow("255 levels");
    expect(() => parseJson("[".repeat(60_000))).toThrow("255 levels");
  });
});
