import { startThread } from "#platform/thread";
import type { Clock } from "#sdk/clock";
import { InvariantError, TransientError } from "#sdk/errors";
import type { FromDelivery, OpenRequest, ToDelivery } from "./port.ts";
import { toError } from "./port-error.ts";

/** How long the end of a thread is waited for. */
const END_MS = 5000;

/** Starts a thread from a source file; replaced in tests that break it. */
export type ThreadStarter = (path: string) => Worker;

/** Who is told what a thread does. */
export interface ThreadListener {
  receive(message: FromDelivery): void;
  /** The thread cannot go on, or is gone; called at most once. */
  failed(error: Error): void;
}

/** One life of the delivery thread: from its start until it fails or is ended. */
export class DeliveryThread {
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #listener: ThreadListener;
  readonly #opened = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  #over = false;

  constructor(clock: Clock, listener: ThreadListener, start: ThreadStarter = startThread) {
    this.#clock = clock;
    this.#listener = listener;
    // A failure after the start has other ways to be told.
    this.#opened.promise.catch(() => undefined);
    this.#worker = start("src/delivery/worker.ts");
    this.#worker.addEventListener("message", (event: MessageEvent<FromDelivery>) =>
      this.#receive(event.data),
    );
    this.#worker.addEventListener("error", (event) =>
      this.#fail(new InvariantError(event.message)),
    );
    this.#worker.addEventListener("close", () => {
      this.#closed.resolve();
      this.#fail(new InvariantError("The delivery thread ended"));
    });
  }

  /** Resolves when the store is open. @throws TransientError when it cannot be opened */
  async open(request: Omit<OpenRequest, "type">): Promise<void> {
    this.post({ type: "open", ...request });
    await this.#opened.promise;
  }

  /** Sends a message. What is in it is copied: the caller may send it again to the next thread. */
  post(message: ToDelivery): void {
    this.#worker.postMessage(message);
  }

  /** Ends the thread, tells nobody, and resolves when it is gone. @throws TransientError when it is not gone after 5 s */
  async end(): Promise<void> {
    this.#over = true;
    this.#worker.terminate();
    const late = Promise.withResolvers<never>();
    using _timer = this.#clock.timer(END_MS, () =>
      late.reject(new TransientError("The delivery thread does not end")),
    );
    await Promise.race([this.#closed.promise, late.promise]);
  }

  #receive(message: FromDelivery): void {
    if (this.#over) {
      return;
    }
    if (message.type === "opened") {
      this.#opened.resolve();
    } else if (message.type === "failed") {
      this.#fail(toError(message.error));
    } else {
      this.#listener.receive(message);
    }
  }

  #fail(error: Error): void {
    if (!this.#over) {
      this.#over = true;
      this.#opened.reject(error);
      this.#listener.failed(error);
    }
  }
}
