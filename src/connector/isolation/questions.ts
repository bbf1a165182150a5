import { TransientError } from "#sdk/errors";
import type { Answer, Cancel } from "./port.ts";
import { fromWireError, toWireError } from "./wire.ts";

/** Questions to the other side of a port that wait for their answers. */
export class Questions {
  readonly #waiting = new Map<number, PromiseWithResolvers<string | undefined>>();
  readonly #cancel: (message: Cancel) => void;
  #nextId = 1;
  #failure: Error | undefined;

  constructor(cancel: (message: Cancel) => void) {
    this.#cancel = cancel;
  }

  /**
   * Sends a question and resolves with its answer, as text. After an abort of `signal` the other side is told, and what it answers counts.
   * @throws the error of the answer; the reason of `signal` when an error comes after the abort; why there can be no answer
   */
  async ask(send: (id: number) => void, signal?: AbortSignal): Promise<string | undefined> {
    signal?.throwIfAborted();
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
    const id = this.#nextId;
    this.#nextId += 1;
    const reply = Promise.withResolvers<string | undefined>();
    this.#waiting.set(id, reply);
    const onAbort = (): void =>
      this.#cancel({ type: "cancel", id, reason: reasonText(signal?.reason) });
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      send(id);
      return await reply.promise;
    } catch (error) {
      throw signal?.aborted === true ? signal.reason : error;
    } finally {
      this.#waiting.delete(id);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  settle({ id, value, error }: Answer): void {
    const reply = this.#waiting.get(id);
    if (error === undefined) {
      reply?.resolve(value);
    } else {
      reply?.reject(fromWireError(error));
    }
  }

  /** There will be no answers any more. */
  fail(error: Error): void {
    this.#failure ??= error;
    for (const reply of this.#waiting.values()) {
      reply.reject(error);
    }
  }
}

/** Questions of the other side that are at work here. */
export class Answers {
  readonly #atWork = new Map<number, AbortController>();
  readonly #post: (answer: Answer) => void;

  constructor(post: (answer: Answer) => void) {
    this.#post = post;
  }

  /** Answers a question with what `work` comes to. Never throws. */
  give(id: number, work: (signal: AbortSignal) => Promise<string | undefined>): void {
    const abort = new AbortController();
    this.#atWork.set(id, abort);
    this.#answer(id, work, abort.signal).catch((error: unknown) =>
      this.#post({ type: "answer", id, value: undefined, error: toWireError(error) }),
    );
  }

  async #answer(
    id: number,
    work: (signal: AbortSignal) => Promise<string | undefined>,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      this.#post({ type: "answer", id, value: await work(signal), error: undefined });
    } finally {
      this.#atWork.delete(id);
    }
  }

  cancel({ id, reason }: Cancel): void {
    this.#atWork.get(id)?.abort(new TransientError(reason));
  }

  /** Nobody waits for any answer. */
  end(reason: string): void {
    for (const abort of this.#atWork.values()) {
      abort.abort(new TransientError(reason));
    }
  }
}

/** Why a signal has aborted, in words. */
export function reasonText(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
