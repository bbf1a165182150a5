import { describe, expect, test } from "bun:test";
import { InvariantError } from "../../../src/sdk/errors.ts";
import { ledgerImbalance } from "../../../src/sdk/ledger.ts";
import { Account } from "../../../src/storage/account.ts";

function filled(): Account {
  const account = new Account();
  account.stored(10, { received: 13, filtered: { equal: 2 }, rejected: { "not-json": 1 } });
  account.refused(5, undefined, "store-full");
  account.acknowledged(3);
  account.quarantined(1);
  account.dropped(2, "quota");
  return account;
}

describe("Account", () => {
  test("every movement keeps both equations", () => {
    const { ledger } = filled();
    expect(ledgerImbalance(ledger)).toEqual({ intake: 0, delivery: 0 });
    expect(ledger).toEqual({
      received: 18,
      stored: 10,
      filtered: { equal: 2 },
      rejected: { "not-json": 1, "store-full": 5 },
      acknowledged: 3,
      quarantined: 1,
      dropped: { quota: 2 },
      queued: 4,
    });
  });

  test("fromRows() reads what rows() wrote", () => {
    const account = filled();
    account.blocks = 2;
    account.records = 4;
    account.nextBlock = 7;
    const copy = Account.fromRows(account.rows());
    expect(copy.rows()).toEqual(account.rows());
    expect(copy.ledger).toEqual(account.ledger);
  });

  test("draft() leaves the original as it is", () => {
    const account = filled();
    const before = account.rows();
    const draft = account.draft();
    draft.dropped(1, "ttl");
    draft.nextBlock += 1;
    expect(account.rows()).toEqual(before);
  });

  test("reconcile() counts what is missing as dropped and what is too much as stored", () => {
    const less = filled();
    expect(less.reconcile({ blocks: 1, records: 1, values: 1 }, "corruption")).toBe(3);
    expect(less.ledger.dropped).toEqual({ quota: 2, corruption: 3 });
    expect(ledgerImbalance(less.ledger)).toEqual({ intake: 0, delivery: 0 });
    const more = filled();
    expect(more.reconcile({ blocks: 1, records: 9, values: 9 }, "corruption")).toBe(-5);
    expect(more.ledger.stored).toBe(15);
    expect(ledgerImbalance(more.ledger)).toEqual({ intake: 0, delivery: 0 });
  });

  test("check() throws when a value is not accounted for", () => {
    const account = filled();
    account.check();
    account.ledger = { ...account.ledger, queued: 5 };
    expect(() => account.check()).toThrow(InvariantError);
    const negative = filled();
    negative.records = -1;
    expect(() => negative.check()).toThrow(InvariantError);
  });
});
