import { startThread } from "#platform/thread";
import type { EncodedRecord } from "#sdk/batch";
import type { Clock } from "#sdk/clock";
import { InvariantError, RejectedError, TransientError } from "#sdk/errors";
import type { LogSink } from "#sdk/logger";
import { Batcher } from "./batcher.ts";
import type { DeliveryReport, FromDelivery, OpenRequest, PortError, ToDelivery } from "./port.ts";

/** How long a stop waits for batches the store has not answered for. */
const SETTLE_MS = 3000;
/** How much longer than its drain a stop may take before the thread is ended the hard way. */
const STOP_GRACE_MS = 4000;

/** What the client needs of its surroundings. */
export interface DeliveryClientOptions {
  readonly clock: Clock;
  /** Gets the log lines of the delivery thread. */
  readonly sink: LogSink;
  /** Gets each report: at every change of the link, else at most one a second. */
  readonly onReport?: (report: DeliveryReport) => void;
  /** Gets each message of the platform. */
  readonly onDownlink?: (topic: string, payload: string) => void;
  /** The thread ended without being asked to; everything waiting has been rejected. */
  readonly onFailure?: (error: Error) => void;
}

/** The collection side of the port to the delivery thread. */
export class DeliveryClient implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #options: DeliveryClientOptions;
  readonly #batcher: Batcher;
  readonly #opened = Promise.withResolvers<void>();
  readonly #stopped = Promise.withResolvers<void>();
  readonly #publishes = new Map<number, PromiseWithResolvers<void>>();
  readonly #reports = new Map<number, PromiseWithResolvers<DeliveryReport>>();
  #nextId = 1;
  #stopping: Promise<void> | undefined;
  #failure: Error | undefined;

  private constructor(options: DeliveryClientOptions) {
    this.#options = options;
    // A failure after the start has other ways to be told.
    this.#opened.promise.catch(() => undefined);
    this.#worker = startThread("src/delivery/worker.ts");
    this.#batcher = new Batcher(options.clock, (id, { bytes, ...batch }) =>
      this.#post({ type: "append", id, batch: bytes, ...batch }, [bytes.buffer]),
    );
    this.#worker.addEventListener("message", (event: MessageEvent<FromDelivery>) =>
      this.#receive(event.data),
    );
    this.#worker.addEventListener("error", (event) =>
      this.#fail(new InvariantError(event.message)),
    );
    this.#worker.addEventListener("close", () => {
      if (this.#stopping === undefined) {
        this.#fail(new InvariantError("The delivery thread ended"));
      }
      this.#stopped.resolve();
    });
  }

  /** Starts the thread and resolves when its store is open. @throws Error when the store cannot be opened. */
  static async open(
    request: Omit<OpenRequest, "type">,
    options: DeliveryClientOptions,
  ): Promise<DeliveryClient> {
    const client = new DeliveryClient(options);
    client.#post({ type: "open", ...request });
    try {
      await client.#opened.promise;
    } catch (error) {
      client.#worker.terminate();
      throw error;
    }
    return client;
  }

  /**
   * Hands records to the store, all or nothing; resolves when they are durable. An abort while waiting for room stores nothing.
   * @throws RejectedError reason `store-full`; TransientError when the disk refuses or the thread is gone.
   */
  append(
    records: readonly EncodedRecord[],
    options: { readonly urgent: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    return this.#batcher.append(records, options, signal);
  }

  /** As `append` without waiting: `false` when there is no room. `onLost` gets the error if the records are not stored. */
  tryAppend(records: readonly EncodedRecord[], onLost: (error: unknown) => void): boolean {
    return this.#batcher.tryAppend(records, onLost);
  }

  /** Counts values that a device filter or report strategy held back. */
  countFiltered(reason: string, values: number): void {
    this.#batcher.count("filtered", reason, values);
  }

  /** Counts values, or messages without any, that can never be sent. */
  countRejected(reason: string, values: number): void {
    this.#batcher.count("rejected", reason, values);
  }

  /** Tells the delivery thread about a device, for the platform's `connect` and `disconnect`. */
  device(device: {
    readonly deviceName: string;
    readonly deviceType: string;
    readonly connected: boolean;
  }): void {
    if (this.#failure === undefined && this.#stopping === undefined) {
      this.#post({ type: "device", ...device });
    }
  }

  /**
   * Sends a message that is not kept, and resolves with its PUBACK.
   * @throws TransientError when the platform is away; RejectedError when it refuses the message.
   */
  async publish(topic: string, payload: string): Promise<void> {
    const id = this.#begin();
    const reply = Promise.withResolvers<void>();
    this.#publishes.set(id, reply);
    this.#post({ type: "publish", id, topic, payload });
    await reply.promise;
  }

  /** The state of the delivery thread, with all counts of this side. @throws TransientError when the thread is gone. */
  async report(): Promise<DeliveryReport> {
    await this.#batcher.drain(SETTLE_MS);
    const id = this.#begin();
    const reply = Promise.withResolvers<DeliveryReport>();
    this.#reports.set(id, reply);
    this.#post({ type: "report", id });
    return await reply.promise;
  }

  /** Sends what is pending, drains for at most `drainMs`, commits, disconnects from the platform and ends the thread. */
  async stop(drainMs: number): Promise<void> {
    this.#stopping ??= this.#stop(drainMs);
    await this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop(0);
  }

  async #stop(drainMs: number): Promise<void> {
    if (this.#failure === undefined) {
      await this.#batcher.drain(SETTLE_MS);
      this.#post({ type: "stop", drainMs });
      using _timer = this.#options.clock.timer(drainMs + STOP_GRACE_MS, this.#stopped.resolve);
      await this.#stopped.promise;
    }
    this.#batcher.close(new TransientError("The gateway has stopped"));
    this.#worker.terminate();
  }

  /** A fresh id for a request. @throws TransientError when nobody would answer it. */
  #begin(): number {
    if (this.#failure !== undefined) {
      throw new TransientError("The delivery thread is not running", { cause: this.#failure });
    }
    if (this.#stopping !== undefined) {
      throw new TransientError("The gateway is stopping");
    }
    const id = this.#nextId;
    this.#nextId += 1;
    return id;
  }

  #receive(message: FromDelivery): void {
    switch (message.type) {
      case "opened":
        this.#opened.resolve();
        break;
      case "failed":
        this.#fail(toError(message.error));
        break;
      case "appended":
        this.#settleBatch(message.id, message.error);
        break;
      case "published":
        settle(this.#publishes, message.id, message.error);
        break;
      case "report":
        this.#takeReport(message.id, message.report);
        break;
      case "downlink":
        this.#options.onDownlink?.(message.topic, message.payload);
        break;
      case "log":
        this.#options.sink(message.record);
        break;
      case "stopped":
        this.#stopped.resolve();
        break;
    }
  }

  #settleBatch(id: number, portError: PortError | undefined): void {
    const error = portError === undefined ? undefined : toError(portError);
    this.#batcher.settle(id, error, error instanceof RejectedError);
  }

  #takeReport(id: number | undefined, report: DeliveryReport): void {
    this.#options.onReport?.(report);
    if (id !== undefined) {
      this.#reports.get(id)?.resolve(report);
      this.#reports.delete(id);
    }
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) {
      return;
    }
    this.#failure = error;
    const lost = new TransientError("The delivery thread is not running", { cause: error });
    this.#batcher.close(lost);
    for (const reply of [...this.#reports.values(), ...this.#publishes.values()]) {
      reply.reject(lost);
    }
    this.#reports.clear();
    this.#publishes.clear();
    this.#opened.reject(error);
    this.#stopped.resolve();
    this.#options.onFailure?.(error);
  }

  #post(message: ToDelivery, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }
}

function settle(
  waiting: Map<number, PromiseWithResolvers<void>>,
  id: number,
  error: PortError | undefined,
): void {
  const reply = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) {
    reply?.resolve();
  } else {
    reply?.reject(toError(error));
  }
}

function toError(error: PortError): Error {
  if (error.name === "RejectedError") {
    return new RejectedError(
      error.message,
      error.reason === undefined ? {} : { reason: error.reason },
    );
  }
  return error.name === "InvariantError"
    ? new InvariantError(error.message)
    : new TransientError(error.message);
}
