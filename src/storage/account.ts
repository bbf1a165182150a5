import { assert } from "#sdk/errors";
import {
  addReason,
  type CollectedCounts,
  EMPTY_LEDGER,
  type Ledger,
  ledgerImbalance,
  mergeReasons,
} from "#sdk/ledger";
import type { Mark } from "./event-store.ts";

/** What the names of marks begin with among the counters. */
const MARK = "mark/";

/** A counter as it is stored: its name and value. */
export type CounterRow = readonly [name: string, value: number];

/**
 * The ledger and the totals of what is held. A commit works on a `draft` and puts it in the place of the old one when it is on disk.
 */
export class Account {
  /** Blocks and records that are held. The values held are `ledger.queued`. */
  blocks = 0;
  records = 0;
  /** Id of the next block. Never goes back. */
  nextBlock = 1;
  ledger: Ledger = EMPTY_LEDGER;
  /** Places that an importer has come to, by name; they change with what it stores. */
  marks: ReadonlyMap<string, number> = new Map();

  /** A copy that can be changed or thrown away. */
  draft(): Account {
    const copy = new Account();
    copy.blocks = this.blocks;
    copy.records = this.records;
    copy.nextBlock = this.nextBlock;
    copy.ledger = this.ledger;
    copy.marks = this.marks;
    return copy;
  }

  /** A batch of `values` was taken. Without `collected` its values are what was received. */
  stored(values: number, collected: CollectedCounts | undefined): void {
    this.collected(values, collected);
    this.ledger = {
      ...this.ledger,
      stored: this.ledger.stored + values,
      queued: this.ledger.queued + values,
    };
  }

  /** An importer has come to a place; 0 forgets it at the next start. */
  marked(mark: Mark): void {
    this.marks = new Map(this.marks).set(mark.name, mark.value);
  }

  /** A batch of `values` was refused for `reason`; what it says about the collection side counts all the same. */
  refused(values: number, collected: CollectedCounts | undefined, reason: string): void {
    this.collected(values, collected);
    this.ledger = {
      ...this.ledger,
      rejected: addReason(this.ledger.rejected, reason, values),
    };
  }

  /** Counts what the collection side has to say; without it `values` were received and nothing else happened. */
  collected(values: number, collected: CollectedCounts | undefined): void {
    const { ledger } = this;
    this.ledger = {
      ...ledger,
      received: ledger.received + (collected?.received ?? values),
      filtered:
        collected === undefined
          ? ledger.filtered
          : mergeReasons(ledger.filtered, collected.filtered),
      rejected:
        collected === undefined
          ? ledger.rejected
          : mergeReasons(ledger.rejected, collected.rejected),
    };
  }

  acknowledged(values: number): void {
    const { ledger } = this;
    this.ledger = {
      ...ledger,
      acknowledged: ledger.acknowledged + values,
      queued: ledger.queued - values,
    };
  }

  quarantined(values: number): void {
    const { ledger } = this;
    this.ledger = {
      ...ledger,
      quarantined: ledger.quarantined + values,
      queued: ledger.queued - values,
    };
  }

  dropped(values: number, reason: string): void {
    const { ledger } = this;
    this.ledger = {
      ...ledger,
      dropped: addReason(ledger.dropped, reason, values),
      queued: ledger.queued - values,
    };
  }

  /**
   * Makes the account say that the blocks hold `held`. Values that are missing become `dropped(reason)`; values that no counter
   * knew become received and stored. Returns how many values were missing (negative: too many).
   */
  reconcile(
    held: { readonly blocks: number; readonly records: number; readonly values: number },
    reason: string,
  ): number {
    this.ledger = { ...this.ledger, queued: held.values };
    this.blocks = held.blocks;
    this.records = held.records;
    const missing = ledgerImbalance(this.ledger).delivery;
    if (missing < 0) {
      this.ledger = {
        ...this.ledger,
        received: this.ledger.received - missing,
        stored: this.ledger.stored - missing,
      };
    } else {
      this.ledger = {
        ...this.ledger,
        dropped: addReason(this.ledger.dropped, reason, missing),
      };
    }
    return missing;
  }

  /** @throws InvariantError when a value is not accounted for, or a total went below zero. */
  check(): void {
    const { delivery } = ledgerImbalance(this.ledger);
    assert(delivery === 0, `Ledger of the store is out of balance by ${delivery} values`);
    assert(
      this.records >= 0 && this.blocks >= 0 && this.ledger.queued >= 0,
      `Event store holds ${this.blocks} blocks, ${this.records} records, ${this.ledger.queued} values`,
    );
  }

  /** All counters by name. */
  rows(): CounterRow[] {
    const { ledger } = this;
    const rows: CounterRow[] = [
      ["next-block", this.nextBlock],
      ["held/blocks", this.blocks],
      ["held/records", this.records],
      ["held/values", ledger.queued],
      ["received", ledger.received],
      ["stored", ledger.stored],
      ["acknowledged", ledger.acknowledged],
      ["quarantined", ledger.quarantined],
    ];
    for (const group of ["filtered", "rejected", "dropped"] as const) {
      for (const [reason, count] of Object.entries(ledger[group])) {
        rows.push([`${group}/${reason}`, count]);
      }
    }
    for (const [name, value] of this.marks) {
      rows.push([`${MARK}${name}`, value]);
    }
    return rows;
  }

  /** The account that `rows` described. Unknown names are left alone. */
  static fromRows(rows: readonly CounterRow[]): Account {
    const counters = new Map(rows);
    const reasons = (group: string): Record<string, number> =>
      Object.fromEntries(
        rows
          .filter(([name]) => name.startsWith(`${group}/`))
          .map(([name, value]) => [name.slice(group.length + 1), value]),
      );
    const account = new Account();
    account.nextBlock = counters.get("next-block") ?? 1;
    account.blocks = counters.get("held/blocks") ?? 0;
    account.records = counters.get("held/records") ?? 0;
    account.ledger = {
      received: counters.get("received") ?? 0,
      stored: counters.get("stored") ?? 0,
      acknowledged: counters.get("acknowledged") ?? 0,
      quarantined: counters.get("quarantined") ?? 0,
      queued: counters.get("held/values") ?? 0,
      filtered: reasons("filtered"),
      rejected: reasons("rejected"),
      dropped: reasons("dropped"),
    };
    account.marks = new Map(
      rows
        .filter(([name, value]) => name.startsWith(MARK) && value !== 0)
        .map(([name, value]) => [name.slice(MARK.length), value]),
    );
    return account;
  }
}
