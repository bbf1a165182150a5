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
