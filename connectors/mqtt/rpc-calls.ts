import { abortable } from "#sdk/abortable";
import type { Clock } from "#sdk/clock";
import type { Metrics } from "#sdk/connector";
import { DataError, errorText, RejectedError, RpcError, TransientError } from "#sdk/errors";
import type { Json, RpcRequest } from "#sdk/model";
import { Pending } from "#sdk/pending";
import { decodeReply, type PlanRpc, type Publication, type RpcPlan } from "./downlink.ts";
import type { Incoming } from "./intake.ts";

/** The link as a call needs it. */
export interface CallLink {
  /** @throws TransientError, RejectedError */
  publish(message: Publication): Promise<void>;
  /** Messages of the topic arrive until the result is disposed. @throws TransientError, RejectedError */
  hold(topic: string, qos: 0 | 1 | 2, signal: AbortSignal): Promise<Disposable>;
}

/** RPCs on their way over the broker. Each one is answered once: with what the device says, or with why not. */
export class RpcCalls {
  readonly #link: CallLink;
  readonly #metrics: Metrics;
  readonly #pending: Pending<string, Uint8Array>;

  constructor(link: CallLink, host: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.#link = link;
    this.#metrics = host.metrics;
    this.#pending = new Pending(host.clock);
  }

  /**
   * Offers a message. `true`: a call waits for its topic. The broker's retained message there is an old answer and none to this
   * call; it is left alone.
   */
  offer({ topic, payload, retain }: Incoming): boolean {
    if (!this.#pending.has(topic)) {
      return false;
    }
    if (!retain) {
      // The payload may be part of a larger buffer of the socket, which is used again.
      this.#pending.resolve(topic, Uint8Array.from(payload));
    }
    return true;
  }

  /** Carries out one call. `undefined`: sent, and nobody answers. @throws RpcError */
  async call(request: RpcRequest, planRpc: PlanRpc, signal: AbortSignal): Promise<Json | void> {
    try {
      const plan = planRpc(request);
      if (plan === undefined) {
        const whose = request.deviceName === undefined ? "" : ` of device "${request.deviceName}"`;
        throw new RpcError(`RPC method "${request.method}"${whose} is not configured`, 404);
      }
      this.#metrics.count("rpcSent");
      return await this.#carryOut(plan, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw toRpcError(error);
    }
  }

  async #carryOut({ publication, reply }: RpcPlan, signal: AbortSignal): Promise<Json | void> {
    if (publication === undefined) {
      return;
    }
    if (reply === undefined) {
      await abortable(this.#link.publish(publication), signal);
      return;
    }
    using _subscription = await this.#link.hold(reply.topic, reply.qos, signal);
    using waiting = this.#pending.open(reply.topic);
    const response = waiting.within(
      reply.timeoutMs,
      signal,
      () => new RpcError(`no response on ${reply.topic} within ${reply.timeoutMs} ms`, 408),
    );
    const sent = this.#link.publish(publication);
    // A device may answer before the broker has acknowledged the request.
    const payload = await Promise.race([response, sent.then(() => response)]);
    return decodeReply(payload);
  }
}

/** 400: the request, 503: no connection, 502: the broker refuses. */
function toRpcError(error: unknown): unknown {
  if (error instanceof DataError) {
    return new RpcError(errorText(error), 400);
  }
  if (error instanceof RejectedError) {
    return new RpcError(errorText(error), 502);
  }
  return error instanceof TransientError ? new RpcError(errorText(error), 503) : error;
}
