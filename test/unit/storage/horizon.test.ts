import { expect, test } from "bun:test";
import { Horizon } from "../../../src/storage/horizon.ts";

test("estimate() is how long the rest of the quota lasts at the rate of the last minutes", () => {
  const horizon = new Horizon();
  expect(horizon.estimate(0, 0)).toBeUndefined();
  for (let second = 0; second <= 100; second += 1) {
    horizon.add(second * 1000, second / 1000);
  }
  expect(horizon.estimate(100_000, 0.1)).toBe(900_000);
});

test("estimate() is undefined while the store does not grow, or shrinks", () => {
  const horizon = new Horizon();
  horizon.add(0, 0.5);
  horizon.add(60_000, 0.5);
  expect(horizon.estimate(60_000, 0.5)).toBeUndefined();
  expect(horizon.estimate(60_000, 0.4)).toBeUndefined();
});

test("add() forgets what was longer ago than five minutes", () => {
  const horizon = new Horizon();
  horizon.add(0, 0);
  horizon.add(290_000, 0.5);
  horizon.add(600_000, 0.51);
  expect(horizon.estimate(600_000, 0.51)).toBeUndefined();
  horizon.add(620_000, 0.53);
  expect(horizon.estimate(620_000, 0.53)).toBe(470_000);
});
