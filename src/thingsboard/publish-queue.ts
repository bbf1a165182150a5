import { Alarm } from "#sdk/alarm";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import { unsentError } from "#sdk/unsent";
import type { Delivery } from "./outstanding.ts";
import type { Rates } from "./rates.ts";

/** Publishes that wait for a place; more are refused. */
const MAX_WAITING = 1000;

/** A publish that waits for a place in flight. */
export interface Waiting {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly delivery: Delivery;
}

/** How a publish goes. */
export interface PublishOptions {
  /** Refused at once unless it can go at this moment and leaves enough of the limits for others. */
  readonly background?: boolean;
}

/** One that has not been published yet. */
interface Queued extends Waiting {
  /** The link has ended before it was published. */
  readonly unsent: () => void;
}

/** What the queue needs of the session. */
export interface PublishQueueHost {
  readonly clock: Clock;
  readonly rates: Rates;
  readonly isOpen: () => boolean;
  readonly hasRoom: () => boolean;
  /** Publishes at once; only called while there is room. */
  readonly write: (message: Waiting) => void;
}

/** Messages of others than the sender, such as answers to calls: in order, ahead of all data, as fast as the limits allow. */
export class PublishQueue {
  readonly #host: PublishQueueHost;
  readonly #alarm: Alarm;
  #waiting: Queued[] = [];

  constructor(host: PublishQueueHost) {
    this.#host = host;
    this.#alarm = new Alarm(host.clock, () => this.flush());
  }

  /** Messages that have not been published yet. */
  get size(): number {
    return this.#waiting.length;
  }

  /**
   * Resolves with the reason code of the PUBACK (0 under 3.1.1), also a refusing one. @throws TransientError when not connected or too
   * much waits (`isUnsent`, also when the link is lost while it waits), and when the link is lost before the PUBACK.
   */
  publish(
    topic: string,
    payload: string | Uint8Array,
    signal: AbortSignal,
    options: PublishOptions = {},
  ): Promise<number> {
    if (signal.aborted) {
      return Promise.reject(signal.reason);
    }
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const onAbort = (): void => {
      this.#waiting = this.#waiting.filter((message) => message.delivery !== delivery);
      reject(signal.reason);
    };
    const settle = (): void => signal.removeEventListener("abort", onAbort);
    const delivery: Delivery = {
      acked: (code) => {
        settle();
        resolve(code);
      },
      overdue: () => undefined,
      lost: () => {
        settle();
        reject(new TransientError("The link to the platform was lost before the PUBACK"));
      },
    };
    if (!this.#host.isOpen() || this.#waiting.length >= MAX_WAITING) {
      return Promise.reject(unsentError("Cannot publish: the platform is not connected"));
    }
    if (options.background === true && !this.#isIdleFor(topic, payload)) {
      return Promise.reject(unsentError("Cannot publish: the limits are needed for data"));
    }
    const unsent = (): void => {
      settle();
      reject(unsentError("The link to the platform was lost before the message was sent"));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiting.push({ topic, payload, delivery, unsent });
    this.flush();
    return promise;
  }

  /** Publishes what may be published at this moment. */
  flush(): void {
    const { clock, hasRoom, rates, write } = this.#host;
    for (let [next] = this.#waiting; next !== undefined && hasRoom(); [next] = this.#waiting) {
      const delayMs = rates.delayMs(next.topic, next.payload);
      if (delayMs > 0) {
        this.#alarm.at(clock.monotonicMs() + delayMs);
        return;
      }
      this.#waiting.shift();
      rates.take(next.topic, next.payload);
      write(next);
    }
  }

  /** The link has ended: nothing that waits will be sent. */
  clear(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#alarm[Symbol.dispose]();
    for (const { unsent } of waiting) {
      unsent();
    }
  }

  /** Whether a message could go at once, and others after it without having to wait for the limits. */
  #isIdleFor(topic: string, payload: string | Uint8Array): boolean {
    const { hasRoom, rates } = this.#host;
    return this.#waiting.length === 0 && hasRoom() && rates.hasPlentyFor(topic, payload);
  }
}
