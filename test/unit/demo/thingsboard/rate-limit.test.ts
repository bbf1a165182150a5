import { describe, expect, test } from "bun:test";
import { RateLimits, TokenBucket } from "../../../../src/demo/thingsboard/rate-limit.ts";
import { DataError } from "../../../../src/sdk/errors.ts";
import { FakeClock } from "../../../support/fake-clock.ts";

describe("TokenBucket", () => {
  test("tryTake() needs tokens in every window and refills continuously", async () => {
    const clock = new FakeClock();
    const bucket = new TokenBucket("2:1,3:60", clock);
    expect([bucket.tryTake(1), bucket.tryTake(1), bucket.tryTake(1)]).toEqual([true, true, false]);
    await clock.advance(500);
    expect([bucket.tryTake(1), bucket.tryTake(1)]).toEqual([true, false]);
    await clock.advance(10_000);
    expect(bucket.tryTake(1)).toBe(false);
    await clock.advance(10_000);
    expect(bucket.tryTake(1)).toBe(true);
  });

  test("tryTake() above the capacity never passes and takes nothing", async () => {
    const clock = new FakeClock();
    const bucket = new TokenBucket("5:1", clock);
    expect(bucket.tryTake(6)).toBe(false);
    await clock.advance(60_000);
    expect([bucket.tryTake(6), bucket.tryTake(5)]).toEqual([false, true]);
  });

  test("a limit that is no list of capacity:seconds is refused", () => {
    for (const text of ["5", "5:0", "x:1", "1:1,", "0:1"]) {
      expect(() => new TokenBucket(text, new FakeClock())).toThrow(DataError);
    }
  });
});

describe("RateLimits", () => {
  test("tryTake() spends the message token when the data points are refused", () => {
    const limits = new RateLimits(new FakeClock());
    limits.setProfile({
      transportDeviceTelemetryMsgRateLimit: "2:60",
      transportDeviceTelemetryDataPointsRateLimit: "5:60",
    });
    const sender = { kind: "device", owner: {} } as const;
    expect([6, 6, 1].map((count) => limits.tryTake(sender, count))).toEqual([false, false, false]);
  });

  test("all children of a gateway share one bucket, the gateway has its own", () => {
    const limits = new RateLimits(new FakeClock());
    limits.setProfile({
      transportGatewayMsgRateLimit: "1:60",
      transportGatewayDeviceMsgRateLimit: "1:60",
    });
    const gateway = {};
    const child = { kind: "child", owner: gateway } as const;
    expect([limits.tryTake(child, 0), limits.tryTake({ ...child }, 0)]).toEqual([true, false]);
    expect(limits.tryTake({ kind: "gateway", owner: gateway }, 0)).toBe(true);
    expect(limits.tryTake({ kind: "child", owner: {} }, 0)).toBe(true);
  });

  test("the tenant limit counts everybody and setProfile() fills it again", () => {
    const limits = new RateLimits(new FakeClock());
    const profile = { transportTenantMsgRateLimit: "1:60" };
    limits.setProfile(profile);
    expect(limits.tryTake({ kind: "device", owner: {} }, 0)).toBe(true);
    expect(limits.tryTake({ kind: "child", owner: {} }, 0)).toBe(false);
    limits.setProfile(profile);
    expect(limits.tryTake({ kind: "child", owner: {} }, 0)).toBe(true);
    limits.setProfile({});
    expect(limits.texts("child").messages).toBeNull();
  });
});
