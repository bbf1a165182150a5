import { backoffMs } from "#sdk/backoff";
import type { Clock } from "#sdk/clock";
import type { Metrics } from "#sdk/connector";
import { RejectedError } from "#sdk/errors";
import { type Logger, rateLimited } from "#sdk/logger";
import type { AttributeMessage, Publication } from "./downlink.ts";

/** What the publisher needs of its surroundings. */
interface PublisherHost {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Messages and bytes that may wait for a connection. */
const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** Messages on the way at the same time. */
const MAX_AT_ONCE = 16;

/**
 * Attribute values on their way to devices. While the broker is away the latest message of each slot waits, in the order they
 * came; beyond 10,000 messages or 16 MiB the oldest is dropped and counted. A message the broker refuses is dropped too.
 */
export class Publisher {
  readonly #host: PublisherHost;
  readonly #rareLog: Logger;
  readonly #waiting = new Map<string, AttributeMessage>();
  #bytes = 0;
  #wake = Promise.withResolvers<void>();

  constructor(host: PublisherHost) {
    this.#host = host;
    this.#rareLog = rateLimited(host.log, host.clock);
  }

  /** Messages that wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Takes a message; never waits. */
  put(message: AttributeMessage): void {
    this.#take(message.slot);
    this.#add(message);
    while (this.#waiting.size > MAX_WAITING || this.#bytes > MAX_WAITING_BYTES) {
      this.#dropOldest();
    }
    this.#wake.resolve();
  }

  /** Publishes what waits and what comes, until `signal` aborts; what is not acknowledged then waits for the next call. */
  async run(publish: (message: Publication) => Promise<void>, signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const batch = this.#nextBatch();
      if (batch.length === 0) {
        this.#wake = Promise.withResolvers<void>();
        await untilAborted(this.#wake.promise, signal);
        continue;
      }
      const sent = Promise.all(batch.map((message) => this.#publishOne(message, publish)));
      const results = await untilAborted(sent, signal);
      const unsent = batch.filter((_message, index) => results?.[index] !== true);
      this.#putBack(unsent);
      failures = unsent.length === 0 ? 0 : failures + 1;
      if (failures > 0) {
        await untilAborted(
          this.#host.clock.sleep(backoffMs(failures, Math.random()), signal),
          signal,
        );
      }
    }
  }

  /** `true`: done with it, one way or the other. Never rejects. */
  async #publishOne(
    message: AttributeMessage,
    publish: (message: Publication) => Promise<void>,
  ): Promise<boolean> {
    const { metrics } = this.#host;
    try {
      await publish(message);
      metrics.count("publishedMessages");
      return true;
    } catch (error) {
      if (error instanceof RejectedError) {
        metrics.count("refusedMessages");
        this.#rareLog.error("Message for a device is refused and dropped", {
          topic: message.topic,
          error,
        });
        return true;
      }
      return false;
    }
  }

  #nextBatch(): readonly AttributeMessage[] {
    const batch: AttributeMessage[] = [];
    for (const message of this.#waiting.values()) {
      if (batch.length === MAX_AT_ONCE) {
        break;
      }
      batch.push(message);
    }
    for (const { slot } of batch) {
      this.#take(slot);
    }
    return batch;
  }

  /** In front of the others, as they came before them; one that has a successor is not needed any more. */
  #putBack(unsent: readonly AttributeMessage[]): void {
    if (unsent.length === 0) {
      return;
    }
    const later = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#bytes = 0;
    const known = new Set(later.map(({ slot }) => slot));
    for (const message of [...unsent.filter(({ slot }) => !known.has(slot)), ...later]) {
      this.#add(message);
    }
  }

  #add(message: AttributeMessage): void {
    this.#waiting.set(message.slot, message);
    this.#bytes += sizeOf(message);
  }

  #take(slot: string): void {
    const message = this.#waiting.get(slot);
    if (message !== undefined) {
      this.#waiting.delete(slot);
      this.#bytes -= sizeOf(message);
    }
  }

  #dropOldest(): void {
    const [oldest] = this.#waiting.values();
    if (oldest === undefined) {
      return;
    }
    this.#take(oldest.slot);
    this.#host.metrics.count("droppedMessages");
    this.#rareLog.error("Messages for devices are dropped: the broker is away for too long", {
      topic: oldest.topic,
      maxWaiting: MAX_WAITING,
    });
  }
}

function sizeOf({ topic, payload }: AttributeMessage): number {
  return topic.length + payload.length;
}

/** The result, or `undefined` once `signal` aborts. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const aborted = Promise.withResolvers<undefined>();
  const onAbort = (): void => aborted.resolve(undefined);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    if (signal.aborted) {
      onAbort();
    }
    return await Promise.race([promise.catch(() => undefined), aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
