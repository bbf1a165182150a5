import { describe, expect, test } from "bun:test";
import { isAllowedHost, isLoopback } from "../../../src/web/auth.ts";

describe("isLoopback()", () => {
  test("tells addresses of this machine from all others", () => {
    expect(["127.0.0.1", "127.1.2.3", "localhost", "::1"].every(isLoopback)).toBe(true);
    const others = ["0.0.0.0", "::", "10.0.0.5", "127.0.0.1.example.com", "localhost.evil"];
    expect(others.some(isLoopback)).toBe(false);
  });
});

describe("isAllowedHost()", () => {
  test("takes the names of this machine with any port", () => {
    const fine = ["localhost", "LOCALHOST:9464", "127.0.0.1:9464", "127.0.0.1", "[::1]:9464"];
    expect(fine.filter((host) => !isAllowedHost(host))).toEqual([]);
  });

  test("refuses every name that somebody else may own, and none", () => {
    const bad = [
      "",
      "evil.example",
      "evil.example:9464",
      "127.0.0.1.evil.example",
      "localhost.evil.example:9464",
      "127.0.0.1@evil.example",
      "::1",
      "10.0.0.5",
    ];
    expect(bad.filter(isAllowedHost)).toEqual([]);
  });
});
