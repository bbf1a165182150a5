import type { Connection } from "./connection.ts";
import type { PublishFault } from "./faults.ts";
import { encodePuback, type Publish, REASON } from "./packets.ts";
import type { Platform } from "./platform.ts";

/**
 * How one publish ends. ThingsBoard knows ten ways, and most of them look different below MQTT 5, where a PUBACK cannot
 * say no. Each method is one of them; whichever comes first answers, the rest is silent.
 */
export class Outcome {
  readonly #platform: Platform;
  readonly #connection: Connection;
  readonly #publish: Publish;
  readonly #fault: PublishFault | undefined;
  #expected = 1;
  #isAnswered = false;
  #isBatch = false;
  #pendingClose: (() => void) | undefined;

  constructor(
    platform: Platform,
    connection: Connection,
    publish: Publish,
    fault: PublishFault | undefined,
  ) {
    this.#platform = platform;
    this.#connection = connection;
    this.#publish = publish;
    this.#fault = fault;
  }

  /** Whether nothing may be stored although the publish is acknowledged. */
  get losesData(): boolean {
    return this.#fault?.action === "lose";
  }

  /** Whether the message queue refuses the publish. */
  get failsQueue(): boolean {
    return this.#fault?.action === "fail-queue";
  }

  /**
   * Runs `handle` for a message of `count` parts, accepted after all of them are. A close that one part causes waits
   * for the end of `handle`: the server handles every part of a message whatever becomes of the others.
   */
  batch(count: number, handle: () => void): void {
    this.#expected = count;
    this.#isBatch = true;
    handle();
    this.#isBatch = false;
    this.#pendingClose?.();
  }

  /** One part was accepted: acknowledged with the last one, in old releases for each one. */
  accept(): void {
    this.#expected -= 1;
    if (this.#platform.features.acksEachDevice) {
      this.#puback(REASON.SUCCESS);
    } else if (this.#expected === 0 && !this.#isAnswered) {
      this.#isAnswered = true;
      this.#puback(REASON.SUCCESS);
    }
  }

  /** Payload is not JSON, or on a device topic has the wrong shape. `acksInvalid`: setting of the device profile. */
  invalidPayload(acksInvalid: boolean): void {
    if (this.#isV5 && this.#publish.qos > 0) {
      this.refuse(REASON.PAYLOAD_FORMAT_INVALID);
    } else if (acksInvalid && this.#publish.qos > 0) {
      this.refuse(REASON.SUCCESS);
    } else {
      this.#close(REASON.PAYLOAD_FORMAT_INVALID);
    }
  }

  /** A gateway message is JSON but of the wrong shape. */
  wrongShape(): void {
    this.refuse(REASON.IMPLEMENTATION_SPECIFIC);
    this.#close(REASON.IMPLEMENTATION_SPECIFIC);
  }

  /** The part of one device cannot be read; the parts of other devices are accepted all the same. */
  unreadablePart(): void {
    if (this.#isV5) {
      this.refuse(REASON.PAYLOAD_FORMAT_INVALID);
    } else {
      this.#isAnswered = true;
      this.#close();
    }
  }

  /** A child device cannot be opened. `isAcknowledged` is false in releases that stay silent then. */
  cannotOpen(code: number, isAcknowledged: boolean): void {
    if (isAcknowledged) {
      this.refuse(code);
    }
  }

  /** A rate limit on a gateway topic. */
  rateLimited(): void {
    if (this.#publish.qos === 0 && this.#isV5) {
      return;
    }
    if (this.#platform.features.acksRateLimited) {
      this.refuse(REASON.QUOTA_EXCEEDED);
    }
    this.#close();
  }

  /** The queue refuses a message on a gateway topic. */
  queueFailed(): void {
    if (this.#publish.qos === 0) {
      return;
    }
    if (this.#platform.features.acksRateLimited) {
      this.refuse(REASON.UNSPECIFIED_ERROR);
    }
    this.#close();
  }

  /** A rate limit or a queue failure on a device topic. */
  deviceFailure(): void {
    this.#close(REASON.IMPLEMENTATION_SPECIFIC);
  }

  /** An error nobody caught. */
  uncaught(): void {
    this.#close(REASON.SERVER_SHUTTING_DOWN);
  }

  /** A topic nobody knows. */
  unknownTopic(): void {
    this.refuse(REASON.TOPIC_NAME_INVALID);
  }

  /** Answers with a reason, once. */
  refuse(code: number): void {
    if (!this.#isAnswered) {
      this.#isAnswered = true;
      this.#puback(code);
    }
  }

  get #isV5(): boolean {
    return this.#connection.level === 5;
  }

  #close(code?: number): void {
    if (this.#isBatch) {
      this.#pendingClose ??= () => this.#connection.close(code);
    } else {
      this.#connection.close(code);
    }
  }

  #puback(code: number): void {
    const { packetId } = this.#publish;
    if (packetId === undefined) {
      return;
    }
    const send = (): void => {
      this.#platform.counters.pubacks += 1;
      this.#platform.counters.refusals += code >= 0x80 ? 1 : 0;
      this.#connection.send(encodePuback(this.#connection.level ?? 4, packetId, code));
    };
    this.#afterFault(() => this.#platform.faults.order(send));
  }

  #afterFault(send: () => void): void {
    switch (this.#fault?.action) {
      case "drop":
        return;
      case "delay":
        this.#platform.after(this.#fault.ms, send);
        return;
      case "hold":
        this.#platform.faults.holdPuback(send);
        return;
      case "cut":
        this.#connection.flush();
        this.#connection.reset();
        return;
      case "duplicate":
        send();
        send();
        return;
      case "cut-after":
        send();
        this.#connection.close();
        return;
      default:
        send();
    }
  }
}
