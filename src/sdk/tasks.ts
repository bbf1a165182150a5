/**
 * Runs tasks side by side until `signal` aborts. When one ends with another error all are stopped, and that error is thrown; else
 * it rejects with `signal.reason`. Nothing is left running.
 */
export async function runAll(
  tasks: readonly ((signal: AbortSignal) => Promise<unknown>)[],
  signal: AbortSignal,
): Promise<void> {
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const failure = Promise.withResolvers<never>();
  const running = tasks.map((task) =>
    task(stop).catch((error: unknown) => {
      if (!stop.aborted) {
        failure.reject(error);
        failed.abort(error);
      }
    }),
  );
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) {
    onAbort();
  }
  try {
    await Promise.race([failure.promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    failed.abort(signal.reason);
    failure.promise.catch(() => undefined);
    aborted.promise.catch(() => undefined);
    await Promise.all(running);
  }
}
