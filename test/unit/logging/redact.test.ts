import { describe, expect, test } from "bun:test";
import { Secrets } from "../../../src/logging/redact.ts";

describe("Secrets", () => {
  test("redact() leaves no secret, wherever it is", () => {
    const secrets = new Secrets(["TOKEN_1", "pass", "ab"]);
    const written = secrets.redact({
      ts: 0,
      level: "warn",
      source: "x",
      message: "Refused TOKEN_1",
      fields: { error: "user:pass@host", nested: { list: ["TOKEN_1", 5] }, ab: "ab" },
    });
    expect(written.message).toBe("Refused ***");
    expect(written.fields).toEqual({
      error: "user:***@host",
      nested: { list: ["***", 5] },
      ab: "ab",
    });
  });

  test("knows the forms of a secret in JSON and in an address, and the longer of two first", () => {
    const secrets = new Secrets(['a"b/c+d', "plain"]);
    secrets.add(["plain-and-more"]);
    const { fields } = secrets.redact({
      ts: 0,
      level: "warn",
      source: "x",
      message: "",
      fields: {
        json: '{"p":"a\\"b/c+d"}',
        url: "http://u:a%22b%2Fc%2Bd@h",
        longer: "plain-and-more",
      },
    });
    expect(fields).toEqual({ json: '{"p":"***"}', url: "http://u:***@h", longer: "***" });
  });
});
