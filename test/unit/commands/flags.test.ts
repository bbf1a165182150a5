import { expect, test } from "bun:test";
import { unknownFlag } from "../../../src/commands/flags.ts";

const known = { seconds: { type: "string" }, json: { type: "boolean", alias: "j" } } as const;

test("unknownFlag() finds the first option a command does not have", () => {
  expect(unknownFlag(["--seconds", "20", "--json"], known)).toBeUndefined();
  expect(unknownFlag(["--seconds=20", "-j", "--no-json"], known)).toBeUndefined();
  expect(unknownFlag(["--second", "20"], known)).toBe("--second");
  expect(unknownFlag(["--json", "--x=1"], known)).toBe("--x");
  expect(unknownFlag(["--", "--anything"], known)).toBeUndefined();
});
