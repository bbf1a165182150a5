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

/** `counts` with `by` more of `reason`; the argument stays as it is. */
export function addReason(counts: ReasonCounts, reason: string, by: number): ReasonCounts {
  return by === 0 ? counts : { ...counts, [reason]: (counts[reason] ?? 0) + by };
}

/** Both counts together. */
export function mergeReasons(left: ReasonCounts, right: ReasonCounts): ReasonCounts {
  const sum: Record<string, number> = { ...left };
  for (const [reason, count] of Object.entries(right)) {
    sum[reason] = (sum[reason] ?? 0) + count;
  }
  return sum;
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
