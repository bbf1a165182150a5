/**
 * Aborts at the first SIGTERM or SIGINT; the reason is the signal's name. SIGHUP, which asks to take changed files, ends nothing, also
 * while nobody takes any yet. Dispose to stop listening.
 */
export class StopSignal implements Disposable {
  readonly #controller = new AbortController();
  readonly #listener = (name: NodeJS.Signals): void => this.#controller.abort(name);
  readonly #ignored = (): void => undefined;

  constructor() {
    process.on("SIGTERM", this.#listener);
    process.on("SIGINT", this.#listener);
    process.on("SIGHUP", this.#ignored);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    process.off("SIGTERM", this.#listener);
    process.off("SIGINT", this.#listener);
    process.off("SIGHUP", this.#ignored);
  }
}

/** Resolves when `signal` aborts. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) {
    return;
  }
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
}
