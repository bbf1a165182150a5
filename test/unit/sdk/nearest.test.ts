import { describe, expect, test } from "bun:test";
import { nearest } from "#sdk/nearest";

describe("nearest", () => {
  test("finds a name with swapped, missing or wrongly cased letters", () => {
    expect(nearest("hots", ["port", "host"])).toBe("host");
    expect(nearest("pollperiod", ["pollPeriod", "timeout"])).toBe("pollPeriod");
    expect(nearest("acessToken", ["accessToken", "caCert"])).toBe("accessToken");
  });

  test("finds nothing when no name is close", () => {
    expect(nearest("zebra", ["host", "port"])).toBeUndefined();
    expect(nearest("x", [])).toBeUndefined();
  });
});
