/** What SIGHUP means: the terminal is gone, so end; or to a gateway that serves: take the changed files, and end nothing. */
export type HangUp = "end" | "reload";

/**
 * Aborts at the first SIGTERM or SIGINT, and at SIGHUP where it ends the program; the reason is the signal's name. Dispose to stop
 * listening.
 */
export class StopSignal implements Disposable {
  readonly #controller = new AbortController();
  readonly #listener = (name: NodeJS.Signals): void => this.#controller.abort(name);
  readonly #onHangUp: NodeJS.SignalsListener;

  constructor(hangUp: HangUp = "end") {
    // Listened to in any case: left alone it ends the program at once, also before anybody takes files.
    this.#onHangUp = hangUp === "end" ? this.#listener : () => undefined;
    process.on("SIGTERM", this.#listener);
    process.on("SIGINT", this.#listener);
    process.on("SIGHUP", this.#onHangUp);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    process.off("SIGTERM", this.#listener);
    process.off("SIGINT", this.#listener);
    process.off("SIGHUP", this.#onHangUp);
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
