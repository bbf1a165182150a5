import type { Clock } from "#sdk/clock";
import type { AckDeadline } from "./ack-deadline.ts";
import { isDataTopic, isGatewayTopic } from "./topics.ts";

/** What becomes of one publish. */
export interface Delivery {
  /** PUBACK; `code` is its MQTT 5 reason code, 0 under MQTT 3.1.1. The last call. */
  acked(code: number): void;
  /** No PUBACK within the deadline although the link is alive. `acked` or `lost` still follows. */
  overdue(): void;
  /** The link ended before the PUBACK. The last call. */
  lost(): void;
}

/** One publish on its way. */
interface Entry {
  readonly delivery: Delivery;
  readonly sentAtMs: number;
  readonly topic: string;
  overdue: boolean;
}

/** What the watch asks of the link. */
export interface AckWatchHost {
  readonly clock: Clock;
  readonly deadline: AckDeadline;
  /** Asks the other side for a sign of life; it ends the link when none comes. */
  probe(): void;
}

/** This many publishes without a PUBACK on a link that lives, and it is opened afresh: each holds a place at the server. */
const MAX_OVERDUE = 8;

/**
 * The publishes of one connection that have no PUBACK yet, with one timer for the oldest. An expiry asks for a sign of life;
 * `alive` then reports the overdue ones to their owners.
 */
export class Outstanding implements Disposable {
  readonly #host: AckWatchHost;
  /** In the order sent. */
  readonly #entries = new Set<Entry>();
  #timer: Disposable | undefined;
  #overdueCount = 0;
  #gatewayAcks = 0;

  constructor(host: AckWatchHost) {
    this.#host = host;
  }

  get count(): number {
    return this.#entries.size;
  }

  /** Whether too many publishes stay silent for this connection to be of use. */
  get isClogged(): boolean {
    return this.#overdueCount >= MAX_OVERDUE;
  }

  /** PUBACKs for gateway topics so far, whatever their code. */
  get gatewayAcks(): number {
    return this.#gatewayAcks;
  }

  /** Whether a publish to a gateway topic is overdue. */
  get gatewayOverdue(): boolean {
    return [...this.#entries].some((entry) => entry.overdue && isGatewayTopic(entry.topic));
  }

  /** Takes a publish in; the returned function is to be called with the code of its PUBACK. */
  add(topic: string, delivery: Delivery): (code: number) => void {
    const { clock, deadline } = this.#host;
    const entry: Entry = { delivery, sentAtMs: clock.monotonicMs(), topic, overdue: false };
    this.#entries.add(entry);
    this.#arm();
    return (code) => {
      if (!this.#entries.delete(entry)) {
        return;
      }
      this.#overdueCount -= entry.overdue ? 1 : 0;
      this.#gatewayAcks += isGatewayTopic(topic) ? 1 : 0;
      // Opening a device at the server can take its ten seconds; that says nothing about the line.
      deadline.acknowledged(isDataTopic(topic) ? clock.monotonicMs() - entry.sentAtMs : undefined);
      delivery.acked(code);
    };
  }

  /** The other side has shown that it lives: whatever is past its deadline is overdue for a reason of its own. */
  alive(pastMs: number): void {
    const late = [...this.#entries].filter(
      (entry) => !entry.overdue && this.#host.clock.monotonicMs() - entry.sentAtMs >= pastMs,
    );
    for (const entry of late) {
      entry.overdue = true;
      this.#overdueCount += 1;
      entry.delivery.overdue();
    }
    this.#arm();
  }

  /** Ends the watch and tells every owner that its publish is lost. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const entries = [...this.#entries];
    this.#entries.clear();
    for (const entry of entries) {
      entry.delivery.lost();
    }
  }

  #oldest(): Entry | undefined {
    for (const entry of this.#entries) {
      if (!entry.overdue) {
        return entry;
      }
    }
    return undefined;
  }

  /** One timer, left alone while it runs: when it fires it looks who is the oldest by then. */
  #arm(): void {
    const oldest = this.#oldest();
    if (this.#timer !== undefined || oldest === undefined) {
      return;
    }
    const { clock, deadline } = this.#host;
    const dueInMs = oldest.sentAtMs + deadline.waitMs - clock.monotonicMs();
    this.#timer = clock.timer(Math.max(1, dueInMs), () => {
      this.#timer = undefined;
      this.#check();
    });
  }

  #check(): void {
    const { clock, deadline } = this.#host;
    const oldest = this.#oldest();
    if (oldest !== undefined && clock.monotonicMs() - oldest.sentAtMs >= deadline.waitMs) {
      this.#host.probe();
      return; // `alive` arms the timer again.
    }
    this.#arm();
  }
}
