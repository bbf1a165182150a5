import type { ClientSubscription } from "node-opcua-client";
import type { Clock } from "#sdk/clock";
import { type Change, changesOf } from "./change-decoder.ts";
import type { ServerSession } from "./client.ts";
import type { ServerConfig } from "./server-config.ts";
import { startSubscription } from "./subscription-start.ts";

/** A subscription is silent after so many of its keep-alive times. */
const SILENT_TIMES = 3;
const MIN_SILENT_MS = 10_000;
/** A server that takes a session up again may repeat last values for so long. */
const REPEATS_MS = 10_000;

/** What a subscription says. */
export interface SubscriptionListener {
  /** Changes of nodes, by the handles of their items. `mayRepeat`: soon after a session was taken up. */
  data(changes: readonly Change[], mayRepeat: boolean): void;
  /** Changes have come that cannot be decoded: whose they were is unknown. */
  undecodable(): void;
  /** The server has ended it. */
  ended(reason: string): void;
}

/** A subscription, and when it last spoke. */
export class SharedSubscription {
  readonly subscription: ClientSubscription;
  /** Items on it. */
  size = 0;
  /** It has said something: one that never does is not worth a second one. */
  isHeard = false;
  readonly #clock: Clock;
  readonly #silentMs: number;
  /** Longest time without data; 0: no such rule. */
  readonly #dataMs: number;
  #heardMs: number;
  #dataHeardMs: number;
  #mayRepeatUntilMs = 0;

  private constructor(subscription: ClientSubscription, server: ServerConfig, clock: Clock) {
    const { maxKeepAliveCount, publishingInterval } = subscription;
    this.subscription = subscription;
    this.#clock = clock;
    this.#silentMs = Math.max(MIN_SILENT_MS, SILENT_TIMES * maxKeepAliveCount * publishingInterval);
    this.#dataMs = 1000 * server.subKeepAlivePeriodInSeconds;
    this.#heardMs = clock.monotonicMs();
    this.#dataHeardMs = this.#heardMs;
  }

  /** @throws ServiceFault, NoAnswer; rejects with `signal.reason` */
  static async open(
    session: ServerSession,
    { server, clock }: { readonly server: ServerConfig; readonly clock: Clock },
    listener: SubscriptionListener,
    signal: AbortSignal,
  ): Promise<SharedSubscription> {
    const timing = {
      intervalMs: Math.max(100, server.subCheckPeriodInMillis),
      sessionTimeoutMs: session.timeoutMs,
      mostChanges: server.subDataMaxBatchSize,
    };
    const subscription = await startSubscription(session, timing, clock, signal);
    const shared = new SharedSubscription(subscription, server, clock);
    shared.#listen(listener);
    return shared;
  }

  /** Its times begin anew. */
  touch(): void {
    this.#heardMs = this.#clock.monotonicMs();
    this.#dataHeardMs = this.#heardMs;
  }

  /** It goes on with a session: the server may say again what it has said. */
  resume(): void {
    this.#mayRepeatUntilMs = this.#clock.monotonicMs() + REPEATS_MS;
  }

  /** What is wrong with it, in words. */
  get trouble(): string | undefined {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#heardMs >= this.#silentMs) {
      return `silent for ${Math.round(nowMs - this.#heardMs)} ms`;
    }
    const isWithoutData = this.#dataMs > 0 && this.size > 0;
    return isWithoutData && nowMs - this.#dataHeardMs >= this.#dataMs
      ? `no data for ${Math.round(nowMs - this.#dataHeardMs)} ms`
      : undefined;
  }

  /** When it should have spoken, in monotonic time. */
  get dueMs(): number {
    const heardDueMs = this.#heardMs + this.#silentMs;
    return this.#dataMs > 0 ? Math.min(heardDueMs, this.#dataHeardMs + this.#dataMs) : heardDueMs;
  }

  /** Hears nothing more. */
  mute(): void {
    this.subscription.removeAllListeners();
    // Without a listener an error of the stack would end the process.
    this.subscription.on("error", () => undefined);
    this.subscription.on("internal_error", () => undefined);
  }

  #listen(listener: SubscriptionListener): void {
    this.subscription.on("raw_notification", (message) => {
      this.#heardMs = this.#clock.monotonicMs();
      this.isHeard = true;
      for (const data of message.notificationData ?? []) {
        const changes = data === null ? undefined : changesOf(data);
        if (changes !== undefined) {
          this.#dataHeardMs = this.#heardMs;
          listener.data(changes, this.#heardMs < this.#mayRepeatUntilMs);
        } else if (data !== null && "monitoredItems" in data) {
          listener.undecodable(); // The stack goes on behind a part that it cannot decode.
        }
      }
    });
    this.subscription.on("status_changed", (status) => listener.ended(status.name));
    this.subscription.on("terminated", () => listener.ended("terminated"));
  }
}
