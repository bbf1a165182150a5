import { abortable } from "./abortable.ts";
import type { Clock } from "./clock.ts";
import type { Metrics, Uplink } from "./connector.ts";
import { errorText, RejectedError } from "./errors.ts";
import type { Logger } from "./logger.ts";
import type { DeviceData } from "./model.ts";
import { recordProblem } from "./record-shape.ts";

/** Records that may wait for the store before reading has to. */
const MAX_WAITING_RECORDS = 1000;
/** Age of the oldest waiting record at which reading waits. */
const MAX_WAITING_MS = 1000;

/** What an outbox needs of its host. */
export interface OutboxHost {
  readonly uplink: Pick<Uplink, "accept">;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/**
 * The way up of a poll loop: one `accept` is outstanding and what is read meanwhile is collected for the next one, so that no read
 * waits for the disk. From 1,000 records or a record older than 1 s on `put` waits, which counts in `readsDelayed`.
 */
export class Outbox implements AsyncDisposable {
  readonly #host: OutboxHost;
  readonly #stop = new AbortController();
  #waiting: DeviceData[] = [];
  #oldestMs = 0;
  #sending: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(host: OutboxHost) {
    this.#host = host;
  }

  /**
   * Takes the records of one read. Resolves at once unless the store is behind. Invalid records are counted and left out.
   * @throws what `accept` threw, but for a RejectedError; rejects with `signal.reason`
   */
  async put(records: readonly DeviceData[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#throwFailure();
    if (records.length === 0) {
      return;
    }
    const { clock, metrics } = this.#host;
    if (this.#waiting.length === 0) {
      this.#oldestMs = clock.monotonicMs();
    }
    this.#waiting.push(...records);
    this.#sending ??= this.#send();
    const isBehind = (): boolean =>
      this.#waiting.length >= MAX_WAITING_RECORDS ||
      (this.#waiting.length > 0 && clock.monotonicMs() - this.#oldestMs >= MAX_WAITING_MS);
    if (!isBehind()) {
      return;
    }
    metrics.count("readsDelayed");
    await abortable(this.#drained(isBehind), signal);
    this.#throwFailure();
  }

  /** Waits until what was put is durable; what is not after `withinMs` is abandoned. */
  async flush(withinMs: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    using _timer = this.#host.clock.timer(withinMs, late.resolve);
    await Promise.race([this.#drained(() => this.#sending !== undefined), late.promise]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the outbox is closed"));
    await this.#sending;
  }

  async #drained(isWaiting: () => boolean): Promise<void> {
    while (this.#sending !== undefined && isWaiting()) {
      await this.#round.promise;
    }
  }

  #round = Promise.withResolvers<void>();

  /** Sends until nothing waits. Never rejects. */
  async #send(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#stop.signal.aborted) {
      const records = this.#waiting;
      this.#waiting = [];
      try {
        await this.#accept(records);
      } catch (error) {
        this.#failure = this.#stop.signal.aborted ? undefined : { error };
        break;
      } finally {
        this.#endRound();
      }
    }
    this.#sending = undefined;
    this.#endRound();
  }

  #endRound(): void {
    this.#round.resolve();
    this.#round = Promise.withResolvers<void>();
  }

  /** All or nothing: one invalid record must not cost the others, so it goes up alone, to be counted where it is refused. */
  async #accept(records: readonly DeviceData[]): Promise<void> {
    const valid = records.filter((record) => recordProblem(record) === undefined);
    for (const record of valid.length === records.length ? [] : records) {
      if (recordProblem(record) !== undefined) {
        await this.#offer(record);
      }
    }
    if (valid.length > 0) {
      await this.#offer(valid);
    }
  }

  /** What is refused has been counted, and would be refused again. */
  async #offer(records: DeviceData | readonly DeviceData[]): Promise<void> {
    const { uplink, log } = this.#host;
    try {
      await uplink.accept(records, this.#stop.signal);
    } catch (error) {
      if (!(error instanceof RejectedError)) {
        throw error;
      }
      log.debug("Records are refused", { error: errorText(error) });
    }
  }

  #throwFailure(): void {
    const failure = this.#failure;
    if (failure !== undefined) {
      this.#failure = undefined;
      throw failure.error;
    }
  }
}
