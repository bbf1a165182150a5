import { describe, expect, test } from "bun:test";
import { TakeOvers } from "../../../src/thingsboard/take-overs.ts";

describe("TakeOvers", () => {
  test("the first is answered at once, a second within a minute after 60 s", () => {
    const takeOvers = new TakeOvers();
    expect(takeOvers.ended(0x8e, 1000)?.retryAfterMs).toBeUndefined();
    expect(takeOvers.isContested).toBe(false);
    expect(takeOvers.ended(0x8e, 50_000)?.retryAfterMs).toBe(60_000);
    expect(takeOvers.isContested).toBe(true);
  });

  test("stays slow until a connection has lasted", () => {
    const takeOvers = new TakeOvers();
    takeOvers.ended(0x8e, 0);
    takeOvers.ended(0x8e, 1000);
    expect(takeOvers.ended(0x8e, 500_000)?.retryAfterMs).toBe(60_000);
    takeOvers.lasted();
    expect(takeOvers.ended(0x8e, 900_000)?.retryAfterMs).toBeUndefined();
  });

  test("another end is none", () => {
    const takeOvers = new TakeOvers();
    expect(takeOvers.ended(0x97, 0)).toBeUndefined();
    expect(takeOvers.ended(undefined, 1)).toBeUndefined();
  });
});
