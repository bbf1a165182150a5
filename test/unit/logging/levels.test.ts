import { expect, test } from "bun:test";
import { parseHandlerLevel, parseLevel } from "../../../src/logging/levels.ts";

test.each([
  ["DEBUG", "debug"],
  ["warning", "warn"],
  ["CRITICAL", "error"],
  ["NONE", "none"],
  ["NOTSET", "none"],
  [10, "debug"],
  [15, "info"],
  ["20", "info"],
  [50, "error"],
  [0, "none"],
  [99, "none"],
  ["LOUD", undefined],
  [null, undefined],
])("parseLevel(%p) is %p", (value, level) => {
  expect(parseLevel(value)).toBe(level as ReturnType<typeof parseLevel>);
});

test("a handler of level 0 or NOTSET lets everything pass", () => {
  expect([0, "0", "NOTSET", "notset", "INFO", "NONE"].map(parseHandlerLevel)).toEqual([
    "trace",
    "trace",
    "trace",
    "trace",
    "info",
    "none",
  ]);
});
