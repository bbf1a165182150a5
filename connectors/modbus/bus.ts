import type { Clock } from "#sdk/clock";
import type { Metrics } from "#sdk/connector";
import { TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { supervise } from "#sdk/supervise";
import { Changes } from "./changes.ts";
import { isBroadcast, ModbusClient, type ModbusReply, type ModbusRequest } from "./client.ts";
import { LineDown, NoAnswer } from "./failures.ts";
import { type Job, JobQueue, type Priority } from "./job-queue.ts";
import { type Line, type LineTiming, lineName, timingOf } from "./line.ts";

/** What a line is run with. */
export interface BusOptions {
  readonly line: Line;
  readonly host: { readonly clock: Clock; readonly log: Logger; readonly metrics: Metrics };
  /** Longest time until the connection stands. */
  readonly connectTimeoutMs: number;
  readonly retry: { readonly firstMs: number; readonly ceilingMs: number };
  /** Requests that may be on their way at the same time; more than 1 for Modbus TCP alone. */
  readonly maxInFlight: number;
  /** Told when the connection stands. Must not throw. */
  readonly onConnected: () => void;
  /** Told each time an attempt to connect failed or the connection was lost. Must not throw. */
  readonly onFailedAttempt: () => void;
}

/** Sends one request inside a turn on the line. */
export type Exchange = (request: ModbusRequest, timeoutMs: number) => Promise<ModbusReply>;

/** How a turn on the line is asked for. */
export interface TurnOptions {
  readonly priority: Priority;
  /** Rest of the line before each request of this turn. */
  readonly delayMs: number;
  /** The turn is worth nothing after this long. */
  readonly expiresMs?: number;
  readonly signal: AbortSignal;
}

/** After a time-out the line must be silent this long, so that a late answer is not taken for the next one. */
const QUIET_MS = 50;
/** Longest silence for the sake of an answer that may still be owed. */
const LONGEST_QUIET_MS = 1000;
/** After a broadcast every slave works on it (Modbus over serial line §2.4.1). */
const BROADCAST_REST_MS = 100;
/** A TCP connection on which nobody answers is replaced, but not for a single lost answer. */
const MIN_SILENCES = 3;

/**
 * One physical line: its connection, one queue, and one request at a time on it. Lines never wait for each other. Whatever waits
 * is refused with LineDown when the connection is lost, and while there is none.
 */
export class Bus {
  readonly line: Line;
  readonly timing: LineTiming;
  /** Tells that the connection came or went. */
  readonly changes = new Changes();
  readonly #options: BusOptions;
  readonly #queue: JobQueue;
  readonly #running = new Set<Promise<void>>();
  /** Units that are on this line, and those that were silent since the last answer of any. */
  readonly #units = new Set<number>();
  readonly #silent = new Set<number>();
  /** Units that may owe an answer: nothing in it would tell that it is not the next one's. */
  readonly #owing = new Set<number>();
  #silences = 0;
  #counted = { crcErrors: 0, foreignFrames: 0 };
  #client: ModbusClient | undefined;
  #onAnswer: (() => void) | undefined;
  #giveUp: ((error: TransientError) => void) | undefined;
  #active = 0;
  #restUntilMs = 0;
  #restTimer: Disposable | undefined;
  /** Longest answer of any unit. */
  longestAnswerMs = 0;
  /** Time the line has been in use. */
  busyMs = 0;

  constructor(options: BusOptions) {
    this.#options = options;
    this.line = options.line;
    this.timing = timingOf(options.line);
    this.#queue = new JobQueue(options.host.clock);
  }

  get isConnected(): boolean {
    return this.#client !== undefined;
  }

  /** Whether several units share the line, so that waiting for one is at the cost of others. */
  get isShared(): boolean {
    return this.#units.size > 1;
  }

  addUnit(unit: number): void {
    this.#units.add(unit);
  }

  /** Connects, and connects again, until `signal` aborts; rejects with its reason. */
  async run(signal: AbortSignal): Promise<void> {
    const { host, retry, onFailedAttempt } = this.#options;
    await supervise(
      {
        name: lineName(this.line),
        host,
        retry,
        run: (stop, healthy) => this.#connection(stop, healthy),
        paused: onFailedAttempt,
      },
      signal,
    );
  }

  /**
   * Waits for a turn on the line and runs `work` in it; its requests follow each other without another one between them.
   * @throws LineDown without a connection, TransientError when the turn expired, what `work` threw; rejects with `signal.reason`
   */
  async turn<T>(options: TurnOptions, work: (exchange: Exchange) => Promise<T>): Promise<T> {
    options.signal.throwIfAborted();
    if (this.#client === undefined) {
      throw new LineDown("there is no connection");
    }
    const result = Promise.withResolvers<T>();
    const job: Job = {
      ...options,
      run: async () => {
        try {
          result.resolve(
            await work((request, timeoutMs) => this.#exchange(request, timeoutMs, options)),
          );
        } catch (error) {
          result.reject(error);
        }
      },
      refuse: result.reject,
    };
    const leave = this.#queue.add(job);
    const onAbort = (): void => {
      leave();
      result.reject(options.signal.reason);
    };
    options.signal.addEventListener("abort", onAbort, { once: true });
    this.#pump();
    try {
      return await result.promise;
    } finally {
      options.signal.removeEventListener("abort", onAbort);
    }
  }

  /** One connection from its start to its end. */
  async #connection(signal: AbortSignal, healthy: () => void): Promise<void> {
    const { host, connectTimeoutMs } = this.#options;
    const options = { clock: host.clock, log: host.log, timeoutMs: connectTimeoutMs };
    const client = await ModbusClient.open(this.line, options, signal);
    const given = Promise.withResolvers<TransientError>();
    const aborted = Promise.withResolvers<undefined>();
    const onAbort = (): void => aborted.resolve(undefined);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) {
      onAbort();
    }
    this.#onAnswer = healthy;
    this.#giveUp = given.resolve;
    this.#client = client;
    this.#counted = { crcErrors: 0, foreignFrames: 0 };
    this.#forgetSilence();
    this.#owing.clear();
    this.#options.onConnected();
    this.changes.notify();
    try {
      const end = await Promise.race([client.lost, given.promise, aborted.promise]);
      if (end !== undefined) {
        throw end;
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#client = undefined;
      await client[Symbol.asyncDispose]();
      this.#count(client);
      this.#restTimer?.[Symbol.dispose]();
      this.#queue.refuseAll(new LineDown("the connection was lost"));
      this.changes.notify();
      await Promise.all(this.#running);
    }
    signal.throwIfAborted();
  }

  /** Hands on what the connection has counted since the last time. */
  #count(client: ModbusClient): void {
    const { metrics } = this.#options.host;
    const { crcErrors, foreignFrames } = client.counters;
    if (crcErrors > this.#counted.crcErrors) {
      metrics.count("crcErrors", crcErrors - this.#counted.crcErrors);
    }
    if (foreignFrames > this.#counted.foreignFrames) {
      metrics.count("foreignFrames", foreignFrames - this.#counted.foreignFrames);
    }
    this.#counted = { crcErrors, foreignFrames };
  }

  /** Starts as many turns as the line can take. */
  #pump(): void {
    while (this.#client !== undefined && this.#active < this.#options.maxInFlight) {
      const job = this.#queue.take();
      if (job === undefined) {
        this.#pumpLater();
        return;
      }
      this.#active += 1;
      const running = this.#runJob(job).finally(() => this.#running.delete(running));
      this.#running.add(running);
    }
  }

  /** A probe may have to wait for its share of the line. */
  #pumpLater(): void {
    const waitMs = this.#queue.waitMs();
    this.#restTimer?.[Symbol.dispose]();
    this.#restTimer =
      waitMs === undefined
        ? undefined
        : this.#options.host.clock.timer(Math.max(1, waitMs), () => this.#pump());
  }

  /** Never rejects. */
  async #runJob(job: Job): Promise<void> {
    const { clock } = this.#options.host;
    const startMs = clock.monotonicMs();
    await job.run();
    const tookMs = clock.monotonicMs() - startMs;
    this.busyMs += tookMs;
    this.#queue.done(job, tookMs);
    this.#active -= 1;
    this.#pump();
  }

  async #exchange(
    request: ModbusRequest,
    timeoutMs: number,
    { delayMs, signal }: TurnOptions,
  ): Promise<ModbusReply> {
    const { clock, metrics } = this.#options.host;
    await this.#rest(delayMs, signal);
    const client = this.#client;
    if (client === undefined) {
      throw new LineDown("there is no connection");
    }
    metrics.count("requests");
    let restMs = this.timing.gapMs;
    try {
      const reply = await client.send(request, timeoutMs);
      if (isBroadcast(this.line, request)) {
        restMs = Math.max(restMs, BROADCAST_REST_MS);
      } else {
        this.#answered(reply, metrics);
        restMs = Math.max(restMs, this.#restForOwed(request.unit));
      }
      return reply;
    } catch (error) {
      if (error instanceof NoAnswer) {
        restMs = this.#silence(request.unit, restMs, client);
      } else if (!(error instanceof LineDown)) {
        this.#forgetSilence();
        this.#onAnswer?.();
        restMs = Math.max(restMs, this.#restForOwed(request.unit));
      }
      throw error;
    } finally {
      this.#restUntilMs = clock.monotonicMs() + restMs;
      this.#count(client);
    }
  }

  /** Waits for the silence between two requests. */
  async #rest(delayMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options.host;
    const untilMs = this.#restUntilMs + Math.max(0, delayMs - this.timing.gapMs);
    const waitMs = untilMs - clock.monotonicMs();
    if (this.#restUntilMs > 0 && waitMs > 0) {
      await clock.sleep(waitMs, signal);
    }
  }

  #answered(reply: ModbusReply, metrics: Metrics): void {
    this.#forgetSilence();
    this.longestAnswerMs = Math.max(this.longestAnswerMs, reply.elapsedMs);
    metrics.count("responses");
    metrics.count("connectorMsgsReceived");
    metrics.count("connectorBytesReceived", reply.bytes.length);
    this.#onAnswer?.();
  }

  #forgetSilence(): void {
    this.#silences = 0;
    this.#silent.clear();
  }

  /** Returns how long the line has to rest. A TCP connection on which every unit is silent is given up. */
  #silence(unit: number, restMs: number, client: ModbusClient): number {
    const { metrics } = this.#options.host;
    metrics.count("timeouts");
    this.#silences += 1;
    this.#silent.add(unit);
    if (this.line.kind === "tcp") {
      const isAll = [...this.#units].every((one) => this.#silent.has(one));
      if (isAll && this.#silences >= Math.max(MIN_SILENCES, this.#units.size)) {
        this.#giveUp?.(new TransientError("Nobody answers on this connection"));
      }
    }
    if (this.line.framing === "socket") {
      return 0; // Its answers carry the number of their request.
    }
    client.discard();
    this.#owing.add(unit);
    return Math.max(restMs, QUIET_MS);
  }

  /** A unit that was slow may answer a request and its repeat one after the other: the second answer is waited for, and dropped. */
  #restForOwed(unit: number): number {
    return this.#owing.delete(unit)
      ? Math.min(LONGEST_QUIET_MS, Math.max(QUIET_MS, this.longestAnswerMs))
      : 0;
  }
}
