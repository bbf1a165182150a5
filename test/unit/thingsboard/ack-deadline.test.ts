import { expect, test } from "bun:test";
import { AckDeadline } from "../../../src/thingsboard/ack-deadline.ts";

test("waitMs is 10 s, then 20, then 25, with a window of one until a PUBACK", () => {
  const deadline = new AckDeadline();
  expect([deadline.waitMs, deadline.window(16)]).toEqual([10_000, 16]);
  deadline.expired();
  expect([deadline.waitMs, deadline.window(16)]).toEqual([20_000, 1]);
  deadline.expired();
  expect(deadline.waitMs).toBe(25_000);
  deadline.expired();
  expect(deadline.waitMs).toBe(25_000);
  deadline.acknowledged(undefined);
  expect([deadline.waitMs, deadline.window(16)]).toEqual([10_000, 16]);
});

test("waitMs is three round trips on a slow line, 25 s at most, and less is kept in flight", () => {
  const deadline = new AckDeadline();
  deadline.acknowledged(4000);
  expect([deadline.waitMs, deadline.window(16)]).toEqual([12_000, 4]);
  for (let count = 0; count < 50; count += 1) {
    deadline.acknowledged(12_000);
  }
  expect([deadline.waitMs, deadline.window(16)]).toEqual([25_000, 1]);
  for (let count = 0; count < 50; count += 1) {
    deadline.acknowledged(20);
  }
  expect([deadline.waitMs, deadline.window(16)]).toEqual([10_000, 16]);
});
