import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { describeValue, issueMessage } from "#sdk/config-message";

function message(schema: v.GenericSchema, input: unknown, secret = false): string {
  const [issue] = v.safeParse(schema, input).issues ?? [];
  return issue === undefined ? "no issue" : issueMessage(issue, secret);
}

describe("issueMessage", () => {
  test.each<[string, v.GenericSchema, unknown, string]>([
    ["type", v.string(), 5, "must be text, but is 5"],
    ["union", v.union([v.string(), v.array(v.string())]), 5, "must be text or a list, but is 5"],
    ["minimum", v.pipe(v.number(), v.minValue(1)), 0, "must be at least 1, but is 0"],
    ["maximum", v.pipe(v.number(), v.maxValue(9)), 10, "must be at most 9, but is 10"],
    ["integer", v.pipe(v.number(), v.integer()), 1.5, "must be a whole number, but is 1.5"],
    ["length", v.pipe(v.string(), v.minLength(1)), "", 'must be of length at least 1, but is ""'],
    [
      "own text",
      v.pipe(
        v.string(),
        v.check(() => false, "is bad"),
      ),
      "x",
      "is bad",
    ],
  ])("%s says what is needed and what is there", (_, schema, input, expected) => {
    expect(message(schema, input)).toBe(expected);
  });

  test("a secret is named by its kind only", () => {
    expect(message(v.picklist(["abc"]), "abd", true)).toBe('must be "abc", but is text');
    expect(message(v.pipe(v.string(), v.minLength(9)), "hunter2", true)).not.toContain("hunter2");
  });
});

describe("describeValue", () => {
  test("names what is too long or deep to show", () => {
    expect(describeValue("x".repeat(41))).toBe("text of 41 characters");
    expect(describeValue([1])).toBe("a list");
    expect(describeValue({})).toBe("an object");
    expect(describeValue(null)).toBe("null");
    expect(describeValue(false)).toBe("false");
  });
});
