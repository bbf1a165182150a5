import type { RpcCall } from "./device-session.ts";
import type { Platform } from "./platform.ts";

/** Calls that were written to a connection with QoS 1 and wait for their PUBACK. */
export class AwaitedCalls {
  readonly #platform: Platform;
  readonly #calls = new Map<number, { readonly call: RpcCall; readonly timer: Disposable }>();

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Waits for the PUBACK of `packetId`, the id as the server counts it. */
  add(packetId: number, call: RpcCall): void {
    const timer = this.#platform.after(this.#platform.timings.rpcAckTimeoutMs, () => {
      this.#calls.delete(packetId);
      this.#platform.rpc.undelivered(call);
    });
    this.#calls.set(packetId, { call, timer });
  }

  /** A PUBACK with the id of the wire. Beyond 65,535 messages it matches nothing any more, as on the server. */
  acknowledge(packetId: number): void {
    const awaited = this.#calls.get(packetId);
    if (awaited !== undefined) {
      this.#calls.delete(packetId);
      awaited.timer[Symbol.dispose]();
      this.#platform.rpc.delivered(awaited.call);
    }
  }

  /** The connection ended. */
  clear(): void {
    for (const { timer } of this.#calls.values()) {
      timer[Symbol.dispose]();
    }
    this.#calls.clear();
  }
}
