import type { Clock } from "#sdk/clock";
import { DataError, RejectedError, TransientError } from "#sdk/errors";
import type { DeviceSession, RpcCall } from "./device-session.ts";
import { parseJson } from "./json.ts";
import type { Device } from "./model.ts";
import type { Counters, Timings } from "./settings.ts";

/** Options of a call to a device. */
export interface RpcOptions {
  /** Done as soon as it is written to an open session; there is no reply. */
  readonly oneWay?: boolean;
  /** How long the reply may take, in ms. The server raises it to at least 5,000. Default 10,000. */
  readonly timeoutMs?: number;
}

/** What the engine needs of the platform. */
export interface RpcHost {
  readonly clock: Clock;
  readonly timings: Pick<Timings, "rpcTimeoutMs" | "minRpcTimeoutMs">;
  readonly counters: Pick<Counters, "noticesLost" | "staleReplies">;
  sessionOf(device: Device): DeviceSession | undefined;
}

interface Pending extends RpcCall {
  readonly resolve: (reply: string) => void;
  readonly reject: (error: Error) => void;
  readonly timer: Disposable;
}

interface Queue {
  nextId: number;
  readonly pending: Map<number, Pending>;
}

/** How long a notice to a gateway waits for it: 24 h. */
const NOTICE_LIFETIME_MS = 24 * 3_600_000;

/** Calls from the platform to devices. */
export class RpcEngine {
  readonly #host: RpcHost;
  readonly #queues = new Map<Device, Queue>();

  constructor(host: RpcHost) {
    this.#host = host;
  }

  /**
   * Calls a device; a device that is not connected gets the call when it connects before the time-out. Resolves with
   * the JSON text of the reply, for a one-way call with "" once it is written.
   * @throws TransientError at the time-out, DataError for a reply that is no JSON, RejectedError when the device goes.
   */
  call(
    device: Device,
    request: { readonly method: string; readonly params: string },
    options: RpcOptions,
  ): Promise<string> {
    const timings = this.#host.timings;
    const timeoutMs = Math.max(timings.minRpcTimeoutMs, options.timeoutMs ?? timings.rpcTimeoutMs);
    return this.#submit(
      { device, ...request, isOneWay: options.oneWay ?? false, isPersistent: false },
      timeoutMs,
    );
  }

  /** Tells a gateway something; kept for 24 h until the gateway acknowledges it. Nobody waits for the outcome. */
  notify(device: Device, method: string, params: string): void {
    this.#submit(
      { device, method, params, isOneWay: true, isPersistent: true },
      NOTICE_LIFETIME_MS,
    ).catch(() => {
      this.#host.counters.noticesLost += 1;
    });
  }

  /** Calls of a device that wait for delivery or a reply. */
  pending(device: Device): readonly RpcCall[] {
    return [...(this.#queues.get(device)?.pending.values() ?? [])];
  }

  /** Sends every waiting call: the device has (again) subscribed. */
  resend(device: Device): void {
    for (const call of this.#queues.get(device)?.pending.values() ?? []) {
      this.#send(call);
    }
  }

  /** The device acknowledged the packet that carried the call. */
  delivered(call: RpcCall): void {
    call.status = "DELIVERED";
    if (call.isOneWay) {
      this.#settle(call)?.resolve("");
    }
  }

  /** The device did not acknowledge the packet in time. */
  undelivered(call: RpcCall): void {
    if (call.status === "SENT") {
      call.status = "TIMEOUT";
    }
  }

  /** Takes a reply. One that nobody waits for is counted and ignored. */
  reply(device: Device, id: number, text: string): void {
    const call = this.#queues.get(device)?.pending.get(id);
    if (call === undefined || call.isOneWay) {
      this.#host.counters.staleReplies += 1;
      return;
    }
    this.#settle(call);
    try {
      parseJson(text);
      call.resolve(text);
    } catch (error) {
      call.reject(new DataError(`Cannot take the reply to "${call.method}"`, { cause: error }));
    }
  }

  /** Drops the calls of a deleted device. */
  forget(device: Device): void {
    for (const call of this.#queues.get(device)?.pending.values() ?? []) {
      this.#settle(call)?.reject(new RejectedError(`Device "${device.name}" was deleted`));
    }
    this.#queues.delete(device);
  }

  /** The server restarts: ids start at 0 again and calls that are not persistent fail. */
  restart(): void {
    for (const queue of this.#queues.values()) {
      for (const call of queue.pending.values()) {
        if (!call.isPersistent) {
          this.#settle(call)?.reject(new TransientError("The server restarted"));
        }
      }
      queue.nextId = queue.pending.size === 0 ? 0 : queue.nextId;
    }
  }

  /** Ends everything that waits. */
  dispose(): void {
    for (const queue of this.#queues.values()) {
      for (const call of queue.pending.values()) {
        this.#settle(call)?.reject(new TransientError("The server was stopped"));
      }
    }
  }

  #submit(
    request: Pick<RpcCall, "device" | "method" | "params" | "isOneWay" | "isPersistent">,
    timeoutMs: number,
  ): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    let queue = this.#queues.get(request.device);
    if (queue === undefined) {
      queue = { nextId: 0, pending: new Map() };
      this.#queues.set(request.device, queue);
    }
    const id = queue.nextId;
    queue.nextId += 1;
    const timer = this.#host.clock.timer(timeoutMs, () => {
      const text = `No reply to "${request.method}" from "${request.device.name}" in ${timeoutMs} ms`;
      this.#settle(call)?.reject(new TransientError(text));
    });
    const call: Pending = { ...request, id, status: "QUEUED", resolve, reject, timer };
    queue.pending.set(id, call);
    this.#send(call);
    return promise;
  }

  #send(call: Pending): void {
    const session = this.#host.sessionOf(call.device);
    if (session === undefined || !session.isRpcSubscribed) {
      return;
    }
    const isTracked = session.sendRpc(call);
    call.status = "SENT";
    // Only a packet with QoS 1 to the device's own connection is tracked, and only for a persistent call.
    if (call.isOneWay && !(isTracked && call.isPersistent)) {
      this.#settle(call)?.resolve("");
    }
  }

  /** Takes a call out of the queue; undefined when it is already out. */
  #settle(call: RpcCall): Pending | undefined {
    const pending = this.#queues.get(call.device)?.pending;
    const known = pending?.get(call.id);
    if (known !== call || known === undefined) {
      return undefined;
    }
    pending?.delete(call.id);
    known.timer[Symbol.dispose]();
    return known;
  }
}
