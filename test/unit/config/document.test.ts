import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseJson, parseYaml } from "../../../src/config/document.ts";

describe("parseJson", () => {
  test("gives the value of any JSON text", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value, undefined, 1);
        const parsed = parseJson(text);
        expect(parsed.value).toEqual(JSON.parse(text));
        expect(parsed.issues.filter(({ severity }) => severity === "error")).toEqual([]);
      }),
    );
  });

  test.each([
    ['{"a":1,}', 1, 8],
    ['{"a":1\n "b":2}', 2, 2],
    ["{a:1}", 1, 2],
    ['{\n"a": True}', 2, 6],
    ['{"a":"x\\q"}', 1, 6],
    ['{"a":[1,2}', 1, 10],
    ['{"a":1}x', 1, 8],
    ['{"a":"b\n"}', 1, 6],
  ])("%j is one error at its place", (text, line, column) => {
    const { value, issues } = parseJson(text);
    expect(value).toBeUndefined();
    expect(issues).toMatchObject([{ severity: "error", line, column }]);
  });

  test("an empty text is an error that says so", () => {
    expect(parseJson(" \n").issues).toMatchObject([{ message: "the file is empty" }]);
  });

  test("comments and repeated keys are warnings, the last value counts", () => {
    const { value, issues } = parseJson('// one\n{"a":1, /* two */\n"a":2}');
    expect(value).toEqual({ a: 2 });
    expect(issues.map(({ severity, line }) => [severity, line])).toEqual([
      ["warning", 1],
      ["warning", 3],
    ]);
  });

  test("a slash in a text is no comment", () => {
    expect(parseJson('{"a":"mqtt://x/*"}').issues).toEqual([]);
  });

  test("a byte order mark is no part of the text", () => {
    expect(parseJson('\u{FEFF}{"a":1}')).toMatchObject({ value: { a: 1 }, issues: [] });
  });

  test("a key named __proto__ is an ordinary key", () => {
    const { value } = parseJson('{"__proto__":{"polluted":true}}');
    expect(Object.keys(value ?? {})).toEqual(["__proto__"]);
    expect("polluted" in Object(value)).toBe(false);
  });

  test("lineOf() gives the line of the key, or of the nearest part that is there", () => {
    const { lineOf } = parseJson('{\n"a": [\n1,\n{"b":\n2}\n]}');
    expect(lineOf(["a"])).toBe(2);
    expect(lineOf(["a", 0])).toBe(3);
    expect(lineOf(["a", 1, "b"])).toBe(4);
    expect(lineOf(["a", 1, "c"])).toBe(4);
    expect(lineOf(["z"])).toBe(1);
  });
});

describe("parseYaml", () => {
  test("reads yes, no, on, off as truth values, and merges", () => {
    const { value } = parseYaml("a: yes\nb: Off\nx: &x {k: 1}\nc: {<<: *x, y: 'no'}\n");
    expect(value).toEqual({ a: true, b: false, x: { k: 1 }, c: { k: 1, y: "no" } });
  });

  test("a mistake is an error at its line", () => {
    const { value, issues } = parseYaml("a: 1\nb: [1\nc: 2");
    expect(value).toBeUndefined();
    expect(issues).toMatchObject([{ severity: "error", line: 3 }]);
  });

  test("a repeated key is a warning and its last value counts", () => {
    expect(parseYaml("a: 1\na: 2")).toMatchObject({
      value: { a: 2 },
      issues: [{ severity: "warning", line: 2 }],
    });
  });

  test("aliases that would fill the memory are an error", () => {
    const list = (name: string, of: string): string =>
      `${name}: &${name} [${`${of},`.repeat(9)}]\n`;
    const text = list("a", "x") + list("b", "*a") + list("c", "*b") + list("d", "*c");
    expect(parseYaml(text)).toMatchObject({ value: undefined, issues: [{ severity: "error" }] });
  });

  test("lineOf() finds keys, elements, and the target of an alias", () => {
    const { lineOf } = parseYaml("a: 1\nb:\n  - x: 2\n  - &y\n    z: 3\nc: *y\n");
    expect(lineOf(["b", 1, "z"])).toBe(5);
    expect(lineOf(["b", 0, "nothing"])).toBe(3);
    expect(lineOf(["c", "z"])).toBe(5);
    expect(lineOf([])).toBe(1);
  });
});
