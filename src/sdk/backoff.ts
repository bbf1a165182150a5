/** Delays of one retry policy. All in milliseconds; the ceiling is never above 20 s. */
export interface RetryPolicy {
  readonly firstMs: number;
  readonly factor: number;
  readonly ceilingMs: number;
}

/** The one policy: 1 s, doubled to 20 s. */
export const DEFAULT_RETRY: RetryPolicy = { firstMs: 1000, factor: 2, ceilingMs: 20_000 };

/** Delay after refused credentials: hammering the peer may lock the account. */
export const REFUSED_RETRY_MS = 60_000;

/** A link that was up this long starts from the first delay again. */
export const STABLE_AFTER_MS = 60_000;

/** Largest part of a delay that jitter may take away. */
const JITTER = 0.1;

/**
 * Delay before attempt `attempt` (1 is the first retry). `random` is in [0, 1): jitter only shortens the delay, so that
 * the ceiling stays a promise.
 */
export function backoffMs(
  attempt: number,
  random: number,
  policy: RetryPolicy = DEFAULT_RETRY,
): number {
  const ceiling = Math.min(policy.ceilingMs, DEFAULT_RETRY.ceilingMs);
  const delay = Math.min(ceiling, policy.firstMs * policy.factor ** Math.max(0, attempt - 1));
  return Math.round(delay * (1 - JITTER * random));
}
