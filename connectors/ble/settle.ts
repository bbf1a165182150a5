import type { Clock } from "#sdk/clock";
import { errorText, RejectedError, TransientError } from "#sdk/errors";
import type { Loss } from "./loss.ts";

/** Waits with a limit, also for the loss of what the answer would come from. @throws TransientError; rejects with `signal.reason` */
export async function settle<T>(
  promise: Promise<T> | undefined,
  limit: {
    readonly timeoutMs: number;
    readonly action: string;
    readonly clock: Clock;
    readonly lost: Loss;
    /** What is known about the cause when no answer has come. */
    readonly hint?: () => string;
  },
  signal: AbortSignal,
): Promise<T | undefined> {
  const { timeoutMs, action, clock, lost } = limit;
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => undefined);
  promise?.catch(() => undefined);
  const onAbort = (): void => ended.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  using _timer = clock.timer(timeoutMs, () => {
    ended.reject(
      new TransientError(
        `Cannot ${action}: no answer within ${timeoutMs} ms${limit.hint?.() ?? ""}`,
      ),
    );
  });
  using _loss = lost.listen(ended.reject);
  try {
    signal.throwIfAborted();
    return await Promise.race([promise, ended.promise]);
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof TransientError || error instanceof RejectedError
      ? error
      : new TransientError(`Cannot ${action}: ${errorText(error)}`, { cause: error });
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
