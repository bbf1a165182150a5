import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DataError } from "#sdk/errors";
import { compilePythonRegex } from "#sdk/python-regex";

describe("compilePythonRegex()", () => {
  /** Pattern, text, what `re.search` of Python 3.11 finds. */
  const found: readonly (readonly [string, string, string | undefined])[] = [
    ["(?P<n>\\w+)-(?P=n)", "ab-ab", "ab-ab"],
    ["(?i)SENSOR", "a sensor", "sensor"],
    ["(?is)A.B", "xa\nb", "a\nb"],
    ["(?m)^b$", "a\nb\nc", "b"],
    ["^b$", "a\nb", undefined],
    ["a$", "a\n", "a"],
    ["a\\Z", "a\n", undefined],
    ["\\Aa", "ba", undefined],
    ["\\Aa\\Z", "a", "a"],
    [".+", "a\u2028b\nc", "a\u2028b"],
    ["a.b", "a\nb", undefined],
    ["\\w+", "-été_1", "été_1"],
    ["(?a)\\w+", "-été", "t"],
    ["\\d+", "a١٢", "١٢"],
    ["\\bé\\b", "a é b", "é"],
    ["\\Ba", "ba", "a"],
    ["[^]a]+", "]ab", "b"],
    ["[]a]+", "x]a", "]a"],
    ["[\\w-]+", "a-b c", "a-b"],
    ["[\\W]+", "ab -c", " -"],
    ["[a\\-z]+", "b-za", "-za"],
    ["[&&a-]+", "x&a-", "&a-"],
    ["[--/]+", "a-./b", "-./"],
    ["[[]", "a[", "["],
    ["[\\b]", "a\b", "\b"],
    ["[\\x41-\\u0043]+", "xABC", "ABC"],
    ["\\/dev\\/\\d", "a/dev/1", "/dev/1"],
    ["\\_\\-\\:\\\"\\'\\ \\@", "_-:\"' @", "_-:\"' @"],
    ["a{,2}b", "aaab", "aab"],
    ["a{b}", "a{b}", "a{b}"],
    ["a}]", "a}]", "a}]"],
    ["a{2}?", "aaa", "aa"],
    ["(?i:A)b", "aB ab", "ab"],
    ["(?i)a(?-i:b)", "AB Ab", "Ab"],
    ["(?s:.)x.", "\nx\n \nxy", "\nxy"],
    ["(?#comment)a", "a", "a"],
    ["(?x) a \\  b # rest", "a b", "a b"],
    ["\\x41\\u0042\\101\\t", "ABA\t", "ABA\t"],
    ["\\0", "\0", "\0"],
    ["(a)\\1", "aa", "aa"],
    ["(a)(b)?\\1?2", "aba2", "aba2"],
    ["\\U0001F600+", "\u{1F600}\u{1F600}", "\u{1F600}\u{1F600}"],
    ["[\u{1F600}-\u{1F602}]", "\u{1F601}", "\u{1F601}"],
    [
      "(?<=sensors/demo-device/)(.*?)(?=/value)",
      "sensors/demo-device/temperature/value",
      "temperature",
    ],
    ["a(?!b)", "abac", "a"],
    ["(?<!a)b", "abcb", "b"],
  ];
  test.each(found)("search: %p in %p finds %p", (pattern, text, result) => {
    expect(compilePythonRegex(pattern).search(text)?.[0]).toBe(result);
  });

  const groups: readonly (readonly [string, string, string | undefined])[] = [
    ["^/devices/([^/]+)(?:/profile/([^/]+))?/data$", "/devices/AM1/data", "AM1"],
    ["^/devices/([^/]+)(?:/profile/([^/]+))?/data$", "/devices/AM1/profile/T/data", "T"],
    [
      "(?<=sensors/demo-device/)(.*?)(?=/value)",
      "sensors/demo-device/temperature/value",
      "temperature",
    ],
    ["[^/]+", "sensor/a", "sensor"],
    ["(a)|(b)", "b", "b"],
    ["x(a*)", "x", ""],
    ["x", "y", undefined],
  ];
  test.each(groups)("lastGroup: %p in %p is %p", (pattern, text, result) => {
    expect(compilePythonRegex(pattern).lastGroup(text)).toBe(result);
  });

  test("match() is anchored at the start, fullMatch() at both ends, search() nowhere", () => {
    const regex = compilePythonRegex("echo|ab");
    expect(regex.search("an echo")?.[0]).toBe("echo");
    expect(regex.match("an echo")).toBeUndefined();
    expect(regex.match("echoAll")?.[0]).toBe("echo");
    expect(regex.fullMatch("echoAll")).toBeUndefined();
    expect(regex.fullMatch("xab")).toBeUndefined();
    expect(regex.fullMatch("ab")?.[0]).toBe("ab");
    expect(regex.fullMatch("ab\n")).toBeUndefined();
    expect(compilePythonRegex("a|ab").fullMatch("ab")?.[0]).toBe("ab");
    expect(compilePythonRegex("(?m)^b").match("a\nb")).toBeUndefined();
  });

  test("gives the groups by number and name, the same at every call", () => {
    const regex = compilePythonRegex("(?P<device>[^/]+)/(\\d+)");
    for (let call = 0; call < 3; call += 1) {
      const match = regex.search("x pump/12");
      expect(match?.groups?.["device"]).toBe("x pump");
      expect(match?.[2]).toBe("12");
    }
  });

  const refused: readonly (readonly [string, string])[] = [
    ["a*+", "possessive quantifier *+"],
    ["a{1,2}+", "possessive quantifier {1,2}+"],
    ["(?>a)", "atomic group"],
    ["(a)(?(1)b|c)", "condition"],
    ["a(?i)b", "belong at the start"],
    ["(?L)a", "flag L"],
    ["(?Pa)", "unknown group"],
    ["(a", "closing parenthesis"],
    ["a)", "without its group"],
    ["[a", "closing bracket"],
    ["[\\d-z]", "range"],
    ["\\q", "escape \\q"],
    ["\\", "escape \\"],
    ["a\\Qb", "escape \\Q"],
    ["*a", "Cannot compile the pattern"],
    ["(?P=zz)", "Cannot compile the pattern"],
    ["[z-a]", "Cannot compile the pattern"],
    ["\\UFFFFFFFF", "beyond 10FFFF"],
  ];
  test.each(refused)("%p is refused: %s", (pattern, problem) => {
    expect(() => compilePythonRegex(pattern)).toThrow(problem);
    try {
      compilePythonRegex(pattern);
    } catch (error) {
      expect(error).toBeInstanceOf(DataError);
      expect(error).toHaveProperty("reason", "bad-pattern");
    }
  });

  test("an escaped text finds exactly itself", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (text) => {
        // What Python's re.escape does.
        const escaped = text.replaceAll(/[^A-Za-z0-9_\u0080-\uffff]/g, "\\$&");
        expect(compilePythonRegex(escaped).fullMatch(text)?.[0]).toBe(text);
        const inClass = `[${text.replaceAll(/[\\\]^-]/g, "\\$&")}]+`;
        expect(compilePythonRegex(inClass).fullMatch(text)?.[0]).toBe(text);
      }),
    );
  });
});
