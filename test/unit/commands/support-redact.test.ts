import { describe, expect, test } from "bun:test";
import { Redaction } from "../../../src/commands/support-redact.ts";

describe("Redaction", () => {
  const cleaned = (text: string): string => new Redaction().clean(text);

  test("clean() takes out what looks like a secret, and keeps the shape of JSON", () => {
    expect(cleaned('{"password": "a\\"b", "qos": 1}')).toBe('{"password": "******", "qos": 1}');
    expect(cleaned('{"credentials":{"clientSecret":"x9"}}')).toBe(
      '{"credentials":{"clientSecret":"******"}}',
    );
    expect(cleaned("login password=abc, user=me")).toBe("login password=******, user=me");
    expect(cleaned('{"text":"got {\\"token\\":\\"abc\\",\\"qos\\":1}"}')).toBe(
      '{"text":"got {\\"token\\":\\"******\\",\\"qos\\":1}"}',
    );
    expect(cleaned('{"text":"password=abc"}')).toBe('{"text":"password=******"}');
    expect(cleaned("mqtt://me:pw@host:1883")).toBe("mqtt://******@host:1883");
    expect(cleaned("Authorization: Bearer abc.def-1")).toBe("Authorization: Bearer ******");
    const pem = "-----BEGIN RSA PRIVATE KEY-----\nAAA\n-----END RSA PRIVATE KEY-----";
    expect(cleaned(`x ${pem} y`)).toBe("x ****** y");
  });

  test("clean() keeps references, and what only looks a little like a secret", () => {
    for (const text of [
      '"accessToken": "${env:TOKEN}"',
      '"privateKeyPath": "/etc/tbgw/device.pem"',
      '{"tokens":{},"secrets":[]}',
      "the tokens of the platform",
      "see https://example.org/a@b",
    ]) {
      expect(cleaned(text)).toBe(text);
    }
  });

  test("learn() finds the values under names of secrets, wherever they are in a text", () => {
    const redaction = new Redaction();
    redaction.learn({ a: [{ password: "hunter22" }], pin: "4711", token: "${env:NAME}" });
    expect(redaction.clean("hunter22 4711 ${env:NAME}")).toBe("*** 4711 ${env:NAME}");
  });
});
