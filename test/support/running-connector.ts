import type { Connector } from "../../src/sdk/connector.ts";
import type { Json, RpcRequest } from "../../src/sdk/model.ts";
import type { TestHost } from "./connector-host.ts";

/** A running connector with its host; disposing stops both. */
export class RunningConnector implements AsyncDisposable {
  readonly host: TestHost;
  readonly connector: Connector;
  /** Settles when `run` ends; its rejection is not an error of the test. */
  readonly ended: Promise<unknown>;
  readonly #stop = new AbortController();

  constructor(connector: Connector, host: TestHost) {
    this.host = host;
    this.connector = connector;
    this.ended = connector.run(this.#stop.signal).catch((error: unknown) => error);
  }

  /** Asks a method of a device. @throws what the connector throws */
  async rpc(
    deviceName: string,
    method: string,
    params: Json,
    rest: Partial<RpcRequest> = {},
  ): Promise<Json | undefined> {
    const request = { deviceName, id: 1, method, params, timeoutMs: 5000, ...rest };
    const signal = new AbortController().signal;
    return (await this.connector.handleRpc?.(request, signal)) ?? undefined;
  }

  /** Asks it to stop and waits until it has. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error("stop"));
    await this.ended;
    await this.connector[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.host[Symbol.asyncDispose]();
  }
}
