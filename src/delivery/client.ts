import type { EncodedRecord } from "#sdk/batch";
import type { Clock } from "#sdk/clock";
import { errorText, RejectedError, TransientError } from "#sdk/errors";
import { createLogger, type Logger, type LogLevel, type LogSink } from "#sdk/logger";
import { unsentError } from "#sdk/unsent";
import type { StorageSettings } from "../storage/event-store.ts";
import { Batcher, type OutgoingBatch } from "./batcher.ts";
import { passFence } from "./fence.ts";
import { Heart, heartbeatMemory } from "./heartbeat.ts";
import type {
  DeliveryReport,
  FromDelivery,
  KnownDevice,
  OpenRequest,
  PortError,
  SwapRequest,
  ToDelivery,
} from "./port.ts";
import { settle, toError } from "./port-error.ts";
import { DeliveryThread, type ThreadStarter } from "./thread.ts";
import { ToldDevices } from "./told-devices.ts";

/** How long a stop waits for batches the store has not answered for. */
const SETTLE_MS = 3000;
/** How much longer than its drain a stop may take before the thread is ended the hard way. */
const STOP_GRACE_MS = 4000;
/** Every server takes this much; until it has told more. */
const SMALLEST_PAYLOAD = 4096;
/** A thread that fails again within this time is not started a third time. */
const FAILED_AGAIN_MS = 60_000;

/** How the thread is set up; the heartbeat is the client's own. */
export type DeliverySetup = Omit<OpenRequest, "type" | "heartbeat">;

/** What the client needs of its surroundings. */
export interface DeliveryClientOptions {
  readonly clock: Clock;
  /** Gets the log lines of the delivery thread. */
  readonly sink: LogSink;
  /** Gets each report: at every change of the link, else at most one a second. */
  readonly onReport?: (report: DeliveryReport) => void;
  /** Gets each message of the platform. */
  readonly onDownlink?: (topic: string, payload: string) => void;
  /** Resolves when the list of devices is on the disk as it is at this moment. */
  readonly keepDevices?: () => Promise<void>;
  /** Gets the local name of each device that the platform knows from here on, until the link is lost. */
  readonly onAnnounced?: (deviceName: string) => void;
  /** The thread failed twice within a minute, or cannot be started again: everything waiting has been rejected. */
  readonly onFailure?: (error: Error) => void;
  readonly startThread?: ThreadStarter;
}

/**
 * The collection side of the port to the delivery thread. A thread that fails is replaced: batches it has not answered for
 * are sent again to the next one, which recovers the store first, so nothing in the port is lost and some may be stored twice.
 */
export class DeliveryClient implements AsyncDisposable {
  #setup: DeliverySetup;
  readonly #options: DeliveryClientOptions;
  readonly #log: Logger;
  readonly #batcher: Batcher;
  readonly #memory = heartbeatMemory();
  readonly #heart: Heart;
  readonly #stopped = Promise.withResolvers<void>();
  readonly #unanswered = new Map<number, OutgoingBatch>();
  readonly #devices: ToldDevices;
  readonly #replies = new Map<number, PromiseWithResolvers<void>>();
  readonly #reports = new Map<number, PromiseWithResolvers<DeliveryReport>>();
  #thread: DeliveryThread;
  #logLevel: LogLevel;
  #payloadLimit = SMALLEST_PAYLOAD;
  #nextId = 1;
  #restarts = 0;
  #restarting = false;
  #failedAtMs: number | undefined;
  #stopping: Promise<void> | undefined;
  #failure: Error | undefined;

  private constructor(setup: DeliverySetup, options: DeliveryClientOptions) {
    this.#setup = setup;
    this.#options = options;
    this.#devices = new ToldDevices(setup.devices);
    const { clock, sink } = options;
    this.#logLevel = setup.logLevel;
    this.#log = createLogger({ source: "delivery", level: () => this.#logLevel, clock, sink });
    this.#batcher = new Batcher(clock, (id, batch) => {
      this.#unanswered.set(id, batch);
      if (!this.#restarting) {
        this.#sendBatch(id, batch);
      }
    });
    this.#heart = new Heart(this.#memory, clock);
    this.#thread = this.#startThread();
  }

  /** Starts the thread and resolves when its store is open. @throws Error when the store cannot be opened. */
  static async open(setup: DeliverySetup, options: DeliveryClientOptions): Promise<DeliveryClient> {
    const client = new DeliveryClient(setup, options);
    try {
      await client.#open();
    } catch (error) {
      client.#giveUp(error instanceof Error ? error : new TransientError(errorText(error)));
      await client.#thread.end();
      throw error;
    }
    return client;
  }

  /** Largest payload of one publish in bytes, as the platform wants it. */
  get payloadLimit(): number {
    return this.#payloadLimit;
  }

  /** From which level on the thread logs; also the one after it. */
  set logLevel(level: LogLevel) {
    this.#logLevel = level;
    if (this.#failure === undefined && this.#stopping === undefined && !this.#restarting) {
      this.#thread.post({ type: "log-level", level });
    }
  }

  /** How often the thread was replaced. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Notes which connector is at work, and which of its converters, to be named if the collection thread hangs. */
  working(connector: string, converter?: string): void {
    // The name is told in quotation marks.
    this.#heart.at(converter === undefined ? connector : `${connector}", converter "${converter}`);
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

  /** Tells the delivery thread about a device: for the platform's `connect` and `disconnect`, and the name it has there. */
  device(device: KnownDevice): void {
    this.#devices.note(device);
    if (this.#failure === undefined && this.#stopping === undefined && !this.#restarting) {
      this.#thread.post({ type: "device", ...device });
    }
  }

  /**
   * Sends a message that is not kept, and resolves with its PUBACK. What has not left within `withinMs` is not sent any more.
   * @throws TransientError when the platform is away (`isUnsent`) or the link is lost before the PUBACK; RejectedError when the
   * platform refuses the message, reason `too-large` when it would.
   */
  async publish(topic: string, payload: string, withinMs?: number): Promise<void> {
    await this.#ask((id) => ({ type: "publish", id, topic, payload, withinMs }));
  }

  /**
   * As `publish`, for what is not urgent: refused (`isUnsent`) unless it can go at once and nothing else has to wait for it.
   */
  async publishInBackground(topic: string, payload: string): Promise<void> {
    await this.#ask((id) => ({ type: "publish", id, topic, payload, background: true }));
  }

  /**
   * Changes to another session, once it has proven itself; the session before goes on otherwise.
   * @throws TransientError why there is no proof
   */
  async swapSession(swap: Omit<SwapRequest, "type" | "id">): Promise<void> {
    await this.#ask((id) => ({ type: "swap", id, ...swap }));
    this.#setup = { ...this.#setup, session: swap.session };
  }

  /**
   * Changes how records are kept; those that wait go along. The store is as before when that fails.
   * @throws TransientError when the disk refuses
   */
  async changeStorage(storage: StorageSettings): Promise<void> {
    await this.#ask((id) => ({ type: "storage", id, storage }));
    this.#setup = { ...this.#setup, storage };
  }

  /** The state of the delivery thread, with all counts of this side. @throws TransientError when the thread is gone. */
  async report(): Promise<DeliveryReport> {
    await this.#batcher.drain(SETTLE_MS);
    const id = this.#begin();
    const reply = Promise.withResolvers<DeliveryReport>();
    this.#reports.set(id, reply);
    this.#thread.post({ type: "report", id });
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
    this.#heart[Symbol.dispose]();
    if (this.#failure === undefined && !this.#restarting) {
      await this.#batcher.drain(SETTLE_MS);
      this.#thread.post({ type: "stop", drainMs });
      using _timer = this.#options.clock.timer(drainMs + STOP_GRACE_MS, this.#stopped.resolve);
      await this.#stopped.promise;
    }
    this.#batcher.close(new TransientError("The gateway has stopped"));
    await this.#thread.end().catch((error: unknown) => this.#log.warn(errorText(error)));
  }

  /** Sends a request that is answered by success or an error. */
  async #ask(request: (id: number) => ToDelivery): Promise<void> {
    const id = this.#begin();
    const reply = Promise.withResolvers<void>();
    this.#replies.set(id, reply);
    this.#thread.post(request(id));
    await reply.promise;
  }

  /** A fresh id for a request. @throws TransientError when nobody would answer it. */
  #begin(): number {
    if (this.#failure !== undefined || this.#restarting) {
      throw unsentError("The delivery thread is not running", { cause: this.#failure });
    }
    if (this.#stopping !== undefined) {
      throw unsentError("The gateway is stopping");
    }
    const id = this.#nextId;
    this.#nextId += 1;
    return id;
  }

  async #open(): Promise<void> {
    await this.#thread.open({
      ...this.#setup,
      devices: this.#devices.all,
      logLevel: this.#logLevel,
      heartbeat: this.#memory,
    });
  }

  #startThread(): DeliveryThread {
    return new DeliveryThread(
      this.#options.clock,
      {
        receive: (message) => this.#receive(message),
        failed: (error) => this.#threadFailed(error),
      },
      this.#options.startThread,
    );
  }

  #sendBatch(id: number, { bytes, ...batch }: OutgoingBatch): void {
    this.#thread.post({ type: "append", id, batch: bytes, ...batch });
  }

  /** Replaces the thread, unless it failed a short while ago or nobody needs it any more. */
  #threadFailed(cause: Error): void {
    const nowMs = this.#options.clock.monotonicMs();
    const again = this.#failedAtMs !== undefined && nowMs - this.#failedAtMs < FAILED_AGAIN_MS;
    this.#failedAtMs = nowMs;
    if (again || this.#stopping !== undefined || this.#failure !== undefined) {
      this.#giveUp(cause);
      return;
    }
    this.#restarts += 1;
    this.#restarting = true;
    this.#rejectRequests(new TransientError("The delivery thread failed", { cause }));
    this.#log.error("The delivery thread failed and is started again", { error: cause });
    this.#restart().catch((failed: unknown) =>
      this.#giveUp(failed instanceof Error ? failed : new TransientError(errorText(failed))),
    );
  }

  /** The next thread recovers the store, is told of the devices, and gets what the one before has not answered for. */
  async #restart(): Promise<void> {
    await this.#thread.end();
    if (this.#stopping !== undefined) {
      return; // It waits for no thread but the one before.
    }
    this.#thread = this.#startThread();
    const told = this.#devices.all;
    await this.#open();
    this.#restarting = false;
    for (const device of this.#devices.since(told)) {
      this.#thread.post({ type: "device", ...device });
    }
    for (const [id, batch] of this.#unanswered) {
      this.#sendBatch(id, batch);
    }
    this.#log.info("The delivery thread is running again", { batches: this.#unanswered.size });
  }

  #receive(message: FromDelivery): void {
    switch (message.type) {
      case "opened":
      case "failed":
        break; // The thread's own business.
      case "appended":
        this.#settleBatch(message.id, message.error);
        break;
      case "done":
        settle(this.#replies, message.id, message.error);
        break;
      case "report":
        this.#takeReport(message.id, message.report);
        break;
      case "downlink":
      case "announced":
        this.#hand(message);
        break;
      case "fence":
        this.#passFence(message);
        break;
      case "log":
        this.#options.sink(message.record);
        break;
      case "stopped":
        this.#stopped.resolve();
        break;
    }
  }

  #hand(event: Extract<FromDelivery, { readonly type: "downlink" | "announced" }>): void {
    if (event.type === "downlink") {
      this.#options.onDownlink?.(event.topic, event.payload);
    } else {
      this.#options.onAnnounced?.(event.deviceName);
    }
  }

  #passFence(fence: Extract<FromDelivery, { readonly type: "fence" }>): void {
    const thread = this.#thread;
    passFence(fence, (answer) => thread.post(answer), this.#options.keepDevices);
  }

  #settleBatch(id: number, portError: PortError | undefined): void {
    const error = portError === undefined ? undefined : toError(portError);
    this.#unanswered.delete(id);
    this.#batcher.settle(id, error, error instanceof RejectedError);
  }

  #takeReport(id: number | undefined, report: DeliveryReport): void {
    this.#payloadLimit = report.link.payloadLimit ?? this.#payloadLimit;
    this.#options.onReport?.(report);
    if (id !== undefined) {
      this.#reports.get(id)?.resolve(report);
      this.#reports.delete(id);
    }
  }

  #giveUp(error: Error): void {
    if (this.#failure !== undefined) {
      return;
    }
    this.#failure = error;
    this.#heart[Symbol.dispose]();
    const lost = new TransientError("The delivery thread is not running", { cause: error });
    this.#batcher.close(lost);
    this.#unanswered.clear();
    this.#rejectRequests(lost);
    this.#stopped.resolve();
    this.#options.onFailure?.(error);
  }

  #rejectRequests(error: TransientError): void {
    for (const reply of [...this.#reports.values(), ...this.#replies.values()]) {
      reply.reject(error);
    }
    this.#reports.clear();
    this.#replies.clear();
  }
}
