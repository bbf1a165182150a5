import { expect, test } from "bun:test";
import { checkBatch } from "../../../src/storage/intake.ts";
import { MAX_TEXT_BYTES } from "../../../src/storage/record.ts";
import { batchOf, record } from "./batches.ts";

test("checkBatch() refuses a record that no block holds, before it shares a commit with others", () => {
  const huge = { ...record(0), json: `{"a":"${"x".repeat(MAX_TEXT_BYTES)}"}`, values: 1 };
  const { bytes } = batchOf([huge]);
  expect(() => checkBatch(bytes, 1, 1)).toThrow("at most 67108864");
});
