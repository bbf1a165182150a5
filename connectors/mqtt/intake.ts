import { backoffMs } from "#sdk/backoff";
import type { Clock } from "#sdk/clock";
import type { Uplink } from "#sdk/connector";
import { InvariantError, RejectedError } from "#sdk/errors";
import { type Logger, rateLimited } from "#sdk/logger";
import type { DeviceData } from "#sdk/model";

/** One PUBLISH as it came from the broker. */
export interface Incoming {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup: boolean;
  /** Packet identifier; 0 for QoS 0. */
  readonly messageId: number;
  /** MQTT 5 §3.3.2.3.8; empty when the broker sent none. */
  readonly subscriptionIds: readonly number[];
}

/** What the intake needs of its surroundings, and its limits. */
export interface IntakeOptions {
  readonly host: { readonly uplink: Uplink; readonly clock: Clock; readonly log: Logger };
  /** Must not throw. What it leaves out it has counted; an empty list acknowledges the message. */
  readonly convert: (message: Incoming) => readonly DeviceData[];
  /** Messages that may wait for the store, and acknowledgements that may wait for their turn. */
  readonly maxMessages: number;
  /** Bytes of payload that may wait for the store. */
  readonly maxBytes: number;
  /** Called once with an error that is a defect of the program. */
  readonly onDefect: (error: InvariantError) => void;
}

/** A message from its arrival until the broker has let go of it. */
interface Entry {
  /** Order of arrival. */
  readonly sequence: number;
  readonly messageId: number;
  readonly qos: 0 | 1 | 2;
  readonly topic: string;
  readonly sizeBytes: number;
  /** Emptied when stored. */
  records: readonly DeviceData[];
  /** Durable, or refused for good. */
  settled: boolean;
  /** Has its place in the order of acknowledgements of the current connection. */
  queued: boolean;
}

/** First bytes of PUBACK and PUBREC (MQTT 3.1.1 §3.4 and §3.5); MQTT 5 reads a packet without reason code as success. */
const PUBACK = 0x40;
const PUBREC = 0x50;

const QOS_BYTES = { 1: PUBACK, 2: PUBREC } as const;

/**
 * Takes messages from the broker to the store and acknowledges each one when it is durable or refused for good, in the order
 * of arrival (MQTT 5 §4.6). It outlives connections: what was taken before a connection was lost is still stored, and a
 * message the broker then sends again is recognised by its packet identifier and not stored twice.
 *
 * A store that fails for a while is tried again for ever with the order kept; meanwhile messages wait, and `isFull` tells the
 * connection when to stop reading.
 */
export class Intake implements AsyncDisposable {
  readonly #options: IntakeOptions;
  readonly #rareLog: Logger;
  readonly #stop = new AbortController();
  /** QoS 1 until acknowledged, QoS 2 until PUBREL; by packet identifier. */
  readonly #session = new Map<number, Entry>();
  /** Acknowledgements of the current connection in the order of arrival, from `#head` on. */
  #order: Entry[] = [];
  #head = 0;
  #openCount = 0;
  #openBytes = 0;
  /** Messages the store did not take, and all that came after them. */
  #waiting: Entry[] = [];
  #recovery: Promise<void> | undefined;
  #write: ((bytes: Uint8Array) => void) | undefined;
  #onRoom: (() => void) | undefined;
  #flushing = false;
  #sequence = 0;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#rareLog = rateLimited(options.host.log, options.host.clock);
  }

  /** Whether the connection must stop reading; `onRoom` is called when it may go on. */
  get isFull(): boolean {
    return this.#isAbove(1);
  }

  /** Messages that are neither durable nor refused. */
  get openCount(): number {
    return this.#openCount;
  }

  /**
   * A connection is up. Without `sessionPresent` the broker has forgotten what it had sent (MQTT 5 §3.2.2.1.1), and so do we.
   * `write` sends acknowledgements; `onRoom` is called when there is room again after `isFull`.
   */
  attach(link: {
    readonly sessionPresent: boolean;
    readonly write: (bytes: Uint8Array) => void;
    readonly onRoom: () => void;
  }): void {
    if (!link.sessionPresent) {
      this.#session.clear();
    }
    this.#dropOrder();
    this.#write = link.write;
    this.#onRoom = link.onRoom;
  }

  /** The connection is gone, and with it the right to acknowledge what came over it. */
  detach(): void {
    this.#dropOrder();
    this.#write = undefined;
    this.#onRoom = undefined;
  }

  /** Takes one message; never waits. Call it for QoS 2 at PUBLISH: the sender lets go of the message at PUBREC. */
  receive(message: Incoming): void {
    const known = message.qos === 0 ? undefined : this.#session.get(message.messageId);
    if (known !== undefined && isRedelivery(known, message)) {
      this.#enqueue(known);
      return;
    }
    this.#sequence += 1;
    const entry: Entry = {
      sequence: this.#sequence,
      messageId: message.messageId,
      qos: message.qos,
      topic: message.topic,
      sizeBytes: message.payload.length,
      records: this.#options.convert(message),
      settled: false,
      queued: false,
    };
    if (message.qos !== 0) {
      this.#session.set(message.messageId, entry);
      this.#enqueue(entry);
    }
    if (entry.records.length === 0) {
      entry.settled = true;
      this.#scheduleFlush();
      return;
    }
    this.#openCount += 1;
    this.#openBytes += entry.sizeBytes;
    if (this.#recovery === undefined) {
      this.#submit(entry);
    } else {
      this.#waiting.push(entry);
    }
  }

  /** Whether a QoS 2 message with this identifier waits for its PUBREL. */
  hasUnreleased(messageId: number): boolean {
    return this.#session.get(messageId)?.qos === 2;
  }

  /** PUBREL has come: the identifier is free for another message. */
  release(messageId: number): void {
    if (this.hasUnreleased(messageId)) {
      this.#session.delete(messageId);
    }
  }

  /** Resolves when no message waits for the store any more, or when `signal` aborts. */
  async drained(signal: AbortSignal): Promise<void> {
    if (this.#openCount === 0 || signal.aborted) {
      return;
    }
    this.#idle ??= Promise.withResolvers<void>();
    const { promise, resolve } = this.#idle;
    signal.addEventListener("abort", () => resolve(), { once: true });
    await promise;
  }

  /** Ends all waiting; what is not yet durable stays unacknowledged. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.detach();
    this.#stop.abort();
    await this.#recovery;
  }

  #isAbove(part: number): boolean {
    const { maxMessages, maxBytes } = this.#options;
    return (
      this.#openCount >= maxMessages * part ||
      this.#order.length - this.#head >= maxMessages * part ||
      this.#openBytes >= maxBytes * part
    );
  }

  #enqueue(entry: Entry): void {
    if (!entry.queued) {
      entry.queued = true;
      this.#order.push(entry);
      if (entry.settled) {
        this.#scheduleFlush();
      }
    }
  }

  #dropOrder(): void {
    for (let index = this.#head; index < this.#order.length; index += 1) {
      const entry = this.#order[index];
      if (entry !== undefined) {
        entry.queued = false;
      }
    }
    this.#order = [];
    this.#head = 0;
  }

  #submit(entry: Entry): void {
    const onFailed = (error: unknown): void => this.#onFailed(entry, error);
    try {
      this.#accept(entry.records).then(() => this.#settle(entry), onFailed);
    } catch (error) {
      onFailed(error);
    }
  }

  #accept(records: readonly DeviceData[]): Promise<unknown> {
    const first = records.length === 1 ? records[0] : undefined;
    const { uplink } = this.#options.host;
    return uplink.accept(first ?? records, this.#stop.signal, URGENT);
  }

  #onFailed(entry: Entry, error: unknown): void {
    if (this.#stop.signal.aborted) {
      return;
    }
    if (error instanceof RejectedError) {
      // Counted by the core. The broker would send the same message again for ever.
      this.#rareLog.warn("Record is refused", { topic: entry.topic, error });
      this.#settle(entry);
      return;
    }
    if (error instanceof InvariantError) {
      this.#options.onDefect(error);
      return;
    }
    this.#waiting.push(entry);
    if (this.#recovery === undefined) {
      this.#options.host.log.warn("Cannot store messages, they wait", { error });
      this.#recovery = this.#recover();
    }
  }

  /** Tries the oldest waiting message until the store takes it, then hands on the others. Never rejects. */
  async #recover(): Promise<void> {
    const { clock, log } = this.#options.host;
    for (let attempt = 1; ; attempt += 1) {
      try {
        await clock.sleep(backoffMs(attempt, Math.random()), this.#stop.signal);
      } catch {
        return; // Disposed: the broker still has the messages.
      }
      this.#waiting.sort((a, b) => a.sequence - b.sequence);
      const first = this.#waiting[0];
      if (first === undefined || (await this.#isTaken(first))) {
        break;
      }
    }
    log.info("Messages are stored again", { waiting: this.#waiting.length });
    this.#recovery = undefined;
    const rest = this.#waiting.sort((a, b) => a.sequence - b.sequence);
    this.#waiting = [];
    for (const entry of rest) {
      if (!entry.settled) {
        this.#submit(entry);
      }
    }
  }

  async #isTaken(entry: Entry): Promise<boolean> {
    try {
      await this.#accept(entry.records);
    } catch (error) {
      if (error instanceof InvariantError) {
        this.#options.onDefect(error);
      }
      if (!(error instanceof RejectedError)) {
        return false;
      }
    }
    this.#settle(entry);
    return true;
  }

  #settle(entry: Entry): void {
    entry.settled = true;
    entry.records = [];
    this.#openCount -= 1;
    this.#openBytes -= entry.sizeBytes;
    if (entry.qos === 0) {
      this.#tellRoom();
    } else {
      this.#scheduleFlush();
    }
    if (this.#openCount === 0) {
      this.#idle?.resolve();
      this.#idle = undefined;
    }
  }

  /** One write for all acknowledgements of one turn: a group commit settles many messages at once. */
  #scheduleFlush(): void {
    if (!this.#flushing) {
      this.#flushing = true;
      queueMicrotask(() => {
        this.#flushing = false;
        this.#flush();
      });
    }
  }

  #flush(): void {
    const first = this.#head;
    while (this.#order[this.#head]?.settled === true) {
      this.#head += 1;
    }
    if (this.#head > first) {
      this.#write?.(this.#acknowledge(first, this.#head));
      if (this.#head === this.#order.length || this.#head > this.#options.maxMessages) {
        this.#order = this.#order.slice(this.#head);
        this.#head = 0;
      }
    }
    this.#tellRoom();
  }

  #acknowledge(from: number, to: number): Uint8Array {
    const bytes = new Uint8Array(4 * (to - from));
    for (let index = from; index < to; index += 1) {
      const entry = this.#order[index];
      if (entry === undefined || entry.qos === 0) {
        continue;
      }
      entry.queued = false;
      const offset = 4 * (index - from);
      bytes[offset] = QOS_BYTES[entry.qos];
      bytes[offset + 1] = 2;
      bytes[offset + 2] = entry.messageId >> 8;
      bytes[offset + 3] = entry.messageId & 0xff;
      if (entry.qos === 1 && this.#session.get(entry.messageId) === entry) {
        this.#session.delete(entry.messageId);
      }
    }
    return bytes;
  }

  /** Half full is early enough: reading starts and stops less often. */
  #tellRoom(): void {
    if (this.#onRoom !== undefined && !this.#isAbove(0.5)) {
      this.#onRoom();
    }
  }
}

const URGENT = { urgent: true } as const;

/**
 * A packet identifier is not used for another message before it is free. At QoS 2 that is the PUBREL; at QoS 1 a broker that
 * breaks the rule must not cost a message, so the repeat must say that it is one.
 */
function isRedelivery(known: Entry, message: Incoming): boolean {
  if (known.topic !== message.topic || known.sizeBytes !== message.payload.length) {
    return false;
  }
  return message.qos === 2 ? known.qos === 2 : known.qos === 1 && message.dup;
}
