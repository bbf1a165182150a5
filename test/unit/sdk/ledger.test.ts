import { expect, test } from "bun:test";
import {
  addReason,
  EMPTY_LEDGER,
  ledgerImbalance,
  mergeReasons,
  total,
} from "../../../src/sdk/ledger.ts";

test("ledgerImbalance() is zero while every value is accounted for", () => {
  const ledger = {
    ...EMPTY_LEDGER,
    received: 10,
    stored: 6,
    filtered: { unchanged: 1 },
    rejected: { "not-json": 2, "bad-value": 1 },
    acknowledged: 3,
    queued: 1,
    dropped: { quota: 1 },
    quarantined: 1,
  };
  expect(ledgerImbalance(ledger)).toEqual({ intake: 0, delivery: 0 });
  expect(ledgerImbalance({ ...ledger, received: 11, acknowledged: 1 })).toEqual({
    intake: 1,
    delivery: 2,
  });
});

test("counts by reason add up", () => {
  expect(addReason({ a: 1 }, "a", 2)).toEqual({ a: 3 });
  expect(mergeReasons({ a: 1, b: 1 }, { b: 2, c: 3 })).toEqual({ a: 1, b: 3, c: 3 });
  expect(total({ a: 1, b: 3 })).toBe(4);
});

test("reasons made from data are bounded, whatever they are called, and no count is lost", () => {
  let counts = {};
  for (let number = 0; number < 10_000; number += 1) {
    counts = addReason(counts, `bad value ${number}`, 1);
  }
  counts = mergeReasons(counts, { __proto__x: 1, ["__proto__"]: 2, "bad value 7": 4 });
  expect(Object.keys(counts).length).toBeLessThanOrEqual(201);
  expect(total(counts)).toBe(10_007);
  const odd = ["constructor", "__proto__", "toString"].reduce(
    (sum, reason) => mergeReasons(addReason(sum, reason, 1), { [reason]: 1 }),
    {},
  );
  expect(odd).toEqual({ constructor: 2, other: 2, toString: 2 });
});
