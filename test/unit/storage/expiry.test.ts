import { expect, test } from "bun:test";
import { Expiry } from "../../../src/storage/expiry.ts";
import { BUILD_MS } from "../../../src/version.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const START_MS = 1_790_000_000_000;

test("watch() calls when the oldest is too old, and has no timer when nothing is held", async () => {
  const clock = new FakeClock(START_MS);
  let checks = 0;
  using expiry = new Expiry(clock, 1000, () => {
    checks += 1;
  });
  expiry.watch(START_MS);
  await clock.advance(1000);
  expect([checks, expiry.isExpired(START_MS)]).toEqual([0, false]);
  await clock.advance(1);
  expect([checks, expiry.isExpired(START_MS)]).toEqual([1, true]);
  expiry.watch(START_MS + 500);
  expiry.watch(undefined);
  expect(clock.waiting).toBe(0);
});

test("isExpired() never is for a time before the clock was set, nor without a limit", () => {
  const clock = new FakeClock(START_MS);
  using expiry = new Expiry(clock, 1000, () => {});
  expect(expiry.isExpired(86_400_000)).toBe(false);
  // The day of an operating system's image: what a board without a battery begins with.
  expect(expiry.isExpired(BUILD_MS - 1)).toBe(false);
  expect(expiry.isExpired(BUILD_MS)).toBe(true);
  using endless = new Expiry(clock, 0, () => {});
  expect(endless.isExpired(START_MS - 1e12)).toBe(false);
  endless.watch(START_MS);
  expect(clock.waiting).toBe(0);
});
