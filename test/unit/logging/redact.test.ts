import { expect, test } from "bun:test";
import { redactingSink } from "../../../src/logging/redact.ts";
import type { LogRecord } from "../../../src/sdk/logger.ts";

test("redactingSink() writes no secret, wherever it is", () => {
  const written: LogRecord[] = [];
  const sink = redactingSink((record) => written.push(record), ["TOKEN_1", "pass", "ab"]);
  sink({
    ts: 0,
    level: "warn",
    source: "x",
    message: "Refused TOKEN_1",
    fields: { error: "user:pass@host", nested: { list: ["TOKEN_1", 5] }, ab: "ab" },
  });
  expect(written[0]?.message).toBe("Refused ***");
  expect(written[0]?.fields).toEqual({
    error: "user:***@host",
    nested: { list: ["***", 5] },
    ab: "ab",
  });
});
