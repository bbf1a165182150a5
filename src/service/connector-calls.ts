import type { Clock } from "#sdk/clock";
import { DataError, errorText, RpcError, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { Json, RpcRequest } from "#sdk/model";
import type { RunningConnector } from "./connector-directory.ts";
import { DONE } from "./rpc-answers.ts";
import { Slots } from "./slots.ts";

/** Most handlers of one connector at work at one time. */
const MAX_AT_WORK = 32;
/** How long a handler has to end after its signal has aborted, before it is left alone. */
const STOP_MS = 1000;

/** A call on its way to a handler. */
export interface HandlerCall {
  readonly request: Omit<RpcRequest, "timeoutMs">;
  /** Monotonic milliseconds at which `signal` aborts. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** Calls handlers of connectors, a bounded number at a time, and bounds the time they take. */
export class ConnectorCalls {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #count: (connectorId: string, name: string, by: number) => void;
  /** Belongs to the instance: what an ended one still has at work does not count for its successor. */
  readonly #slots = new WeakMap<RunningConnector, Slots>();

  constructor(deps: {
    readonly clock: Clock;
    readonly log: Logger;
    readonly count: (connectorId: string, name: string, by: number) => void;
  }) {
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#count = deps.count;
  }

  /**
   * Calls `handler` of a connector when there is a place, and resolves with its answer; `ended` resolves when the handler is no longer
   * at work, or does not heed the abort. @throws RpcError, and what the handler throws
   */
  call(
    to: RunningConnector,
    handler: "handleRpc" | "handleConnectorRpc",
    call: HandlerCall,
  ): { readonly answer: Promise<Json>; readonly ended: Promise<void> } {
    const ended = Promise.withResolvers<void>();
    return { answer: this.#call(to, handler, call, ended.resolve), ended: ended.promise };
  }

  /** A place among the handlers of a connector. @throws the reason of `signal` */
  async place(of: RunningConnector, signal: AbortSignal): Promise<Disposable> {
    const slots = this.#slots.get(of) ?? new Slots(MAX_AT_WORK);
    this.#slots.set(of, slots);
    return await slots.take(signal);
  }

  /** Resolves with what `work` does. After an abort of `signal` it has a second to end, then it is left alone. @throws what `work` throws */
  async within<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
    const late = Promise.withResolvers<never>();
    let timer: Disposable | undefined;
    const onAbort = (): void => {
      timer = this.#clock.timer(STOP_MS, () =>
        late.reject(new TransientError("It does not heed the abort of its signal")),
      );
    };
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) {
      onAbort();
    }
    try {
      return await Promise.race([work, late.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      timer?.[Symbol.dispose]();
    }
  }

  async #call(
    to: RunningConnector,
    handler: "handleRpc" | "handleConnectorRpc",
    { request, deadlineMs, signal }: HandlerCall,
    ended: () => void,
  ): Promise<Json> {
    try {
      if (to.connector[handler] === undefined) {
        throw new RpcError("RPC not supported by connector", 405);
      }
      using _place = await this.place(to, signal);
      const timeoutMs = Math.max(0, deadlineMs - this.#clock.monotonicMs());
      this.#count(to.id, "rpcCalls", 1);
      // A handler may throw before its first await, and one without a promise is easily written.
      const work = Promise.resolve().then(
        async () => await to.connector[handler]?.({ ...request, timeoutMs }, signal),
      );
      const answer = await this.within(work, signal);
      return answer === undefined ? DONE : answer;
    } catch (error) {
      this.#failed(to, request, error, signal);
      throw error;
    } finally {
      ended();
    }
  }

  #failed(
    to: RunningConnector,
    request: HandlerCall["request"],
    error: unknown,
    signal: AbortSignal,
  ): void {
    this.#count(to.id, "rpcErrors", 1);
    if (error instanceof RpcError || signal.aborted) {
      return; // An answer like any other, or too late for one.
    }
    const { deviceName, id, method } = request;
    const isExpected = error instanceof DataError || error instanceof TransientError;
    const trace = !isExpected && error instanceof Error ? { stack: error.stack } : {};
    this.#log.warn("A call to a connector failed", {
      connector: to.name,
      ...(deviceName === undefined ? {} : { device: deviceName }),
      id,
      method,
      error: errorText(error),
      ...trace,
    });
  }
}
