import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DataError } from "#sdk/errors";
import { compileJsonPath, memberOf } from "#sdk/json-path";
import type { Json } from "#sdk/model";
import { runs } from "../../support/property-runs.ts";

const MESSAGE: Json = {
  temp: 22.5,
  hum: 58,
  s: "h\u{1F600}o",
  none: null,
  nested: { a: { b: 7 } },
  arr: [10, 20, 30],
  list: [
    { id: "a", v: 1 },
    { id: "b", v: 2, w: { v: 9 } },
  ],
  room: { "air temp": 19.5, "where (x)": 3 },
  x: { "1": 5, "b-c": 6, "e:f": 8, ключ: 9, 'q"q': 10, "it's": 11, $ref: 12 },
  "@id": 4,
};

describe("compileJsonPath()", () => {
  const cases: readonly (readonly [string, readonly Json[]])[] = [
    ["$", [MESSAGE]],
    ["temp", [22.5]],
    ["$.temp", [22.5]],
    ["none", [null]],
    ["missing", []],
    ["nested.a.b", [7]],
    ["$.nested.a.zz", []],
    ["temp.a", []],
    ["arr[0]", [10]],
    ["arr[-1]", [30]],
    ["arr[9]", []],
    ["arr[-9]", []],
    ["arr[1:]", [20, 30]],
    ["arr[:1]", [10]],
    ["arr[0:-1]", [10, 20]],
    ["arr[:]", [10, 20, 30]],
    ["arr[*]", [10, 20, 30]],
    ["arr.[1]", [20]],
    ["arr.1", []],
    ["list[1].v", [2]],
    ["list[*].id", ["a", "b"]],
    ["list.id", []],
    ["$..v", [1, 2, 9]],
    ["list..v", [1, 2, 9]],
    ["$..list[0].id", ["a"]],
    ["$..w.v", [9]],
    ["nested.*.b", [7]],
    ["nested.*", [{ b: 7 }]],
    ["temp[*]", [22.5]],
    ["nested[:]", [{ a: { b: 7 } }]],
    ["none[*]", []],
    ["s[0]", ["h"]],
    ["s[1]", ["\u{1F600}"]],
    ["s[-1]", ["o"]],
    ["nested[0]", []],
    ['nested["a"].b', [7]],
    ["nested['a'].b", [7]],
    ["$['nested']['a']['b']", [7]],
    ["nested[a].b", [7]],
    ['list[0]["id","v"]', ["a", 1]],
    ["list[0].id,v", ["a", 1]],
    ["room.air temp", [19.5]],
    ['room."air temp"', [19.5]],
    ["room.where (x)", [3]],
    ["x.1", [5]],
    ['x."1"', [5]],
    ["x.b-c", [6]],
    ["x.e:f", [8]],
    ['x."e:f"', [8]],
    ["x.ключ", [9]],
    ['x."q\\"q"', [10]],
    ["x.it's", [11]],
    ["x.$ref", [12]],
    ["@id", [4]],
    ["temp|hum", [22.5, 58]],
    ["zz | hum", [58]],
    ["nested.a.$.temp", [22.5]],
    ["nested.(a|zz).b", [7]],
    ["(nested.a).b", [7]],
    ["list[*].(id where v)", []],
    ["$.list[*] where w", [{ id: "b", v: 2, w: { v: 9 } }]],
    ["nested where a", [{ a: { b: 7 } }]],
    ["nested where zz", []],
    [" temp ", [22.5]],
  ];
  test.each(cases)("%s finds its matches in document order", (path, matches) => {
    const compiled = compileJsonPath(path);
    expect(compiled.all(MESSAGE)).toEqual(matches);
    expect(compiled.first(MESSAGE)).toEqual(matches[0] as Json);
  });

  const refused: readonly (readonly [string, number])[] = [
    ["", 1],
    ["a..", 4],
    ["a.", 3],
    [".a", 1],
    ["a[", 3],
    ["a[1", 4],
    ["a[]", 3],
    ["a[0:1:2", 8],
    ['a."b', 5],
    ["(a", 3],
    ["a)", 2],
    ["a|", 3],
    ["a]b", 2],
  ];
  test.each(refused)("%p is refused at character %d", (path, position) => {
    expect(() => compileJsonPath(path)).toThrow(DataError);
    expect(() => compileJsonPath(path)).toThrow(`at character ${position}`);
  });

  test("only an object's own members match", () => {
    for (const name of ["constructor", "toString", "__proto__", "hasOwnProperty"]) {
      expect(compileJsonPath(name).first({})).toBeUndefined();
      expect(compileJsonPath(`a.${name}`).first({ a: {} })).toBeUndefined();
      expect(memberOf({}, name)).toBeUndefined();
    }
    expect(compileJsonPath("length").first([1, 2])).toBeUndefined();
    expect(compileJsonPath("__proto__.a").first(JSON.parse('{"__proto__":{"a":1}}'))).toBe(1);
  });

  test("any text compiles or is refused, and evaluation never throws", () => {
    const piece = fc.constantFrom(
      ..."a b . .. [ ] * 0 -1 : , | ( ) $ \" ' where \\ @ é".split(" "),
      " ",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), fc.jsonValue(), (pieces, body) => {
        try {
          const path = compileJsonPath(pieces.join(""));
          const matches = path.all(body as Json);
          expect(path.first(body as Json)).toEqual(matches[0] as Json);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: runs(2000) },
    );
  });

  test("any quoted name finds that member", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (name) => {
        const body: Json = Object.fromEntries([["x", Object.fromEntries([[name, 1]])]]);
        const quoted = name.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
        expect(compileJsonPath(`x."${quoted}"`).first(body)).toBe(1);
        expect(compileJsonPath(`x["${quoted}"]`).first(body)).toBe(1);
      }),
    );
  });
});
