/** Counts by reason; a reason is kebab case: `not-json`, `store-full`. */
export type ReasonCounts = Readonly<Record<string, number>>;

/** What the collection side has to say since its last batch. Unit: one value (one key at one ts, or one attribute). */
export interface CollectedCounts {
  readonly received: number;
  readonly filtered: ReasonCounts;
  readonly rejected: ReasonCounts;
}

/**
 * The account of every value: `received = stored + filtered + rejected` and
 * `stored = acknowledged + queued + dropped + quarantined`. A message that yields no value counts 1 received and 1 rejected.
 */
export interface Ledger {
  readonly received: number;
  readonly stored: number;
  readonly filtered: ReasonCounts;
  readonly rejected: ReasonCounts;
  readonly acknowledged: number;
  readonly queued: number;
  readonly dropped: ReasonCounts;
  readonly quarantined: number;
}

/** A ledger in which nothing has happened. */
export const EMPTY_LEDGER: Ledger = {
  received: 0,
  stored: 0,
  filtered: {},
  rejected: {},
  acknowledged: 0,
  queued: 0,
  dropped: {},
  quarantined: 0,
};

/** The sum over all reasons. */
export function total(counts: ReasonCounts): number {
  let sum = 0;
  for (const count of Object.values(counts)) {
    sum += count;
  }
  return sum;
}

/** Most reasons of one kind: a name made from data by an extension must not fill memory and disk. */
const MAX_REASONS = 200;
/** Takes what comes under one name too many. */
const OTHER = "other";

/** `counts` with `by` more of `reason`, or of `other` when there are 200 already; the argument stays as it is. */
export function addReason(counts: ReasonCounts, reason: string, by: number): ReasonCounts {
  if (by === 0) {
    return counts;
  }
  const sum: Record<string, number> = { ...counts };
  add(sum, reason, by);
  return sum;
}

/** Both counts together; at most 200 reasons, as `addReason`. */
export function mergeReasons(left: ReasonCounts, right: ReasonCounts): ReasonCounts {
  const sum: Record<string, number> = { ...left };
  for (const [reason, count] of Object.entries(right)) {
    add(sum, reason, count);
  }
  return sum;
}

/** What an object inherits is no count: `constructor` is a reason like any other. */
function add(sum: Record<string, number>, reason: string, by: number): void {
  const isKnown = Object.hasOwn(sum, reason);
  const isTaken = isKnown || (reason !== "__proto__" && Object.keys(sum).length < MAX_REASONS);
  const name = isTaken ? reason : OTHER;
  sum[name] = (Object.hasOwn(sum, name) ? (sum[name] ?? 0) : 0) + by;
}

/** What is missing in each of the two equations: `{ intake: 0, delivery: 0 }` when every value is accounted for. */
export function ledgerImbalance(ledger: Ledger): {
  readonly intake: number;
  readonly delivery: number;
} {
  return {
    intake: ledger.received - ledger.stored - total(ledger.filtered) - total(ledger.rejected),
    delivery:
      ledger.stored -
      ledger.acknowledged -
      ledger.queued -
      total(ledger.dropped) -
      ledger.quarantined,
  };
}
