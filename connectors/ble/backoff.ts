const MIN_MS = 1000;
const CEILING_MS = 20_000;

/** The pauses between attempts to connect to one peripheral. */
export interface ConnectPauses {
  readonly connectRetry: number;
  readonly connectRetryInSeconds: number;
  readonly waitAfterConnectRetries: number;
}

/**
 * Pause after the `failures`-th failure in a row: `connectRetryInSeconds`, at least 1 s, for the first `connectRetry`; then doubled
 * each time up to `waitAfterConnectRetries`, and 20 s at most.
 */
export function connectPauseMs(failures: number, pauses: ConnectPauses): number {
  const { connectRetry, connectRetryInSeconds, waitAfterConnectRetries } = pauses;
  const firstMs = Math.max(MIN_MS, connectRetryInSeconds * 1000);
  if (failures <= connectRetry) {
    return firstMs;
  }
  const wantedMs = waitAfterConnectRetries > 0 ? waitAfterConnectRetries * 1000 : CEILING_MS;
  const ceilingMs = Math.max(Math.min(wantedMs, CEILING_MS), Math.min(firstMs, CEILING_MS));
  return Math.min(ceilingMs, firstMs * 2 ** Math.min(30, failures - connectRetry));
}
