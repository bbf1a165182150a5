import type { Socket } from "node:net";
import type { IConnackPacket, IPublishPacket, MqttClient, Packet } from "mqtt";
import { openSocket } from "#sdk/client-socket";
import { RejectedError, TransientError } from "#sdk/errors";
import { type ClientOptions, createClient, toIncoming } from "./held-acks.ts";
import { connectFailure, disconnectFailure, publishFailure } from "./reasons.ts";

/** What the broker said about itself in CONNACK (MQTT 5 §3.2.2.3). */
export interface ServerLimits {
  readonly wildcards: boolean;
  readonly sharedSubscriptions: boolean;
  readonly subscriptionIdentifiers: boolean;
  /** Highest QoS of what we publish. */
  readonly maximumQos: 0 | 1 | 2;
  readonly retain: boolean;
  /** QoS 1 and 2 messages we may have on the way. */
  readonly receiveMaximum: number;
  /** Bytes of a whole packet. */
  readonly maximumPacketSize: number;
}

/** A message to publish. */
export interface Outgoing {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
}

/** One SUBSCRIBE packet. */
export interface SubscribeRequest {
  readonly filters: readonly { readonly filter: string; readonly qos: 0 | 1 | 2 }[];
  /** MQTT 5 only. */
  readonly identifier: number | undefined;
  /** MQTT 5 §3.8.3.1: 0 always, 1 only for a new subscription, 2 never. */
  readonly retainHandling: 0 | 1 | 2;
}

/** Longest wait for the connection to stand, and for CONNACK, SUBACK and UNSUBACK. */
const ANSWER_TIMEOUT_MS = 30_000;
/** Longest wait for the DISCONNECT packet to leave. */
const GOODBYE_TIMEOUT_MS = 300;

/** How many packet identifiers there are. */
const MAX_IDENTIFIERS = 65_535;
/** QoS 1 and 2 messages of ours on the way, whatever the broker allows. */
const MAX_OUTGOING = 200;
/** Fixed header, lengths, identifier and properties of a PUBLISH. */
const PUBLISH_OVERHEAD_BYTES = 12;

/**
 * One connection to a broker, from CONNACK to its end; never reconnects. It owns the acknowledgements of incoming messages:
 * mqtt.js would send them as soon as a message is handed over, and waiting there for the disk would mean one commit per
 * message. So mqtt.js reads on at once, its PUBACK and PUBREC packets are swallowed, and the intake writes them when a message
 * is durable.
 */
export class BrokerClient implements AsyncDisposable {
  readonly #client: MqttClient;
  readonly #socket: Socket;
  readonly #options: ClientOptions;
  readonly #closed = Promise.withResolvers<TransientError>();
  /** Called with the cause when the connection has ended: who waits for an answer of the broker. */
  readonly #waiting = new Set<(error: TransientError) => void>();
  #error: TransientError | undefined;
  /** Goes on with reading; set while the intake is full. */
  #resume: (() => void) | undefined;
  #pings: Disposable | undefined;
  #reading = true;
  /** QoS 1 and 2 messages that wait for their acknowledgement. */
  #outgoing = 0;
  #connack: IConnackPacket | undefined;

  private constructor(socket: Socket, options: ClientOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#client = createClient(socket, options, {
      receive: (packet, resume) => this.#receive(packet, resume),
    });
  }

  /** Connects and waits for CONNACK. @throws TransientError, with `retryAfterMs` when the broker refuses us. */
  static async open(options: ClientOptions, signal: AbortSignal): Promise<BrokerClient> {
    const { endpoint, clock } = options;
    const socket = await openSocket(endpoint, { clock, timeoutMs: ANSWER_TIMEOUT_MS }, signal);
    const client = new BrokerClient(socket, options);
    try {
      await client.#connect(signal);
      return client;
    } catch (error) {
      await client[Symbol.asyncDispose]();
      signal.throwIfAborted();
      throw error;
    }
  }

  /** Resolves with the cause when the connection has ended; never rejects. */
  get closed(): Promise<TransientError> {
    return this.#closed.promise;
  }

  get limits(): ServerLimits {
    const properties = this.#connack?.properties;
    return {
      wildcards: properties?.wildcardSubscriptionAvailable !== false,
      sharedSubscriptions: properties?.sharedSubscriptionAvailable !== false,
      subscriptionIdentifiers:
        this.#options.version === 5 && properties?.subscriptionIdentifiersAvailable !== false,
      maximumQos: toQos(properties?.maximumQoS),
      retain: properties?.retainAvailable !== false,
      receiveMaximum: properties?.receiveMaximum ?? MAX_IDENTIFIERS,
      maximumPacketSize: properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY,
    };
  }

  /**
   * Sends one SUBSCRIBE. Resolves with the answer to each filter in order: the granted QoS, or a reason of 0x80 and above.
   * @throws TransientError when the connection is lost meanwhile or no answer comes.
   */
  async subscribe(request: SubscribeRequest): Promise<readonly number[]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly number[]>();
    const names = request.filters.map(({ filter }) => filter);
    const options: Record<string, { qos: 0 | 1 | 2; rh: number; nl: boolean; rap: boolean }> = {};
    for (const { filter, qos } of request.filters) {
      options[filter] = { qos, rh: request.retainHandling, nl: false, rap: false };
    }
    const properties =
      request.identifier === undefined
        ? {}
        : { properties: { subscriptionIdentifier: request.identifier } };
    this.#client.subscribe(options, { qos: 0, ...properties }, (error, sent, packet) => {
      const codes = packet?.granted;
      if (codes === undefined) {
        reject(new TransientError("The broker did not answer SUBSCRIBE", { cause: error }));
        return;
      }
      // mqtt.js sends the filters in the order of an object's keys.
      const byName = new Map(sent?.map(({ topic }, index) => [topic, codes[index]]));
      resolve(names.map((name) => toCode(byName.get(name))));
    });
    return await this.#answer(promise, "SUBSCRIBE");
  }

  /** Ends subscriptions; a filter that was not subscribed is no error. @throws TransientError */
  async unsubscribe(filters: readonly string[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#client.unsubscribe([...filters], {}, (error) => {
      if (error) {
        reject(new TransientError("The broker did not answer UNSUBSCRIBE", { cause: error }));
      } else {
        resolve();
      }
    });
    await this.#answer(promise, "UNSUBSCRIBE");
  }

  /**
   * Publishes one message, by what the broker allows: a lower QoS, or without being kept. Resolves at QoS 0 when it is written to
   * the socket, else when the broker has acknowledged it. @throws RejectedError when the broker refuses it, TransientError when
   * the connection is lost or no answer comes
   */
  async publish(message: Outgoing): Promise<void> {
    const { limits } = this;
    const sizeBytes = Buffer.byteLength(message.topic) + Buffer.byteLength(message.payload);
    if (sizeBytes + PUBLISH_OVERHEAD_BYTES > limits.maximumPacketSize) {
      throw new RejectedError(
        `The message for ${message.topic} has ${sizeBytes} bytes: the broker takes packets of at most ${limits.maximumPacketSize}`,
      );
    }
    if (this.#error !== undefined || !this.#client.connected) {
      throw this.#error ?? new TransientError("The connection to the broker is not up");
    }
    const qos = message.qos > limits.maximumQos ? limits.maximumQos : message.qos;
    if (qos > 0 && this.#outgoing >= Math.min(limits.receiveMaximum, MAX_OUTGOING)) {
      throw new TransientError("Too many messages wait for an acknowledgement of the broker");
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const options = { qos, retain: message.retain && limits.retain };
    const payload =
      typeof message.payload === "string" ? message.payload : Buffer.from(message.payload);
    this.#outgoing += qos === 0 ? 0 : 1;
    this.#client.publish(message.topic, payload, options, (error) =>
      error ? reject(publishFailure(error, message.topic)) : resolve(),
    );
    try {
      await this.#answer(promise, "PUBLISH");
    } finally {
      this.#outgoing -= qos === 0 ? 0 : 1;
    }
  }

  /** No further message is taken. Those already taken are acknowledged when they are durable. */
  stopReading(): void {
    this.#reading = false;
    this.#endPings();
  }

  /** Says goodbye to the broker and closes the socket. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.stopReading();
    this.#resume = undefined;
    this.#options.intake.detach();
    if (!this.#socket.destroyed) {
      if (this.#client.connected) {
        this.#client.end();
        await this.#within(this.#closed.promise, GOODBYE_TIMEOUT_MS);
      }
      this.#client.end(true);
      this.#socket.destroy();
    }
    this.#end(this.#error ?? new TransientError("The connection was closed"));
  }

  async #connect(signal: AbortSignal): Promise<void> {
    const client = this.#client;
    const connected = Promise.withResolvers<void>();
    client.once("packetreceive", (packet) => this.#onFirstPacket(packet));
    client.once("connect", () => connected.resolve());
    client.on("disconnect", (packet) => {
      this.#error ??= disconnectFailure(packet);
    });
    client.on("error", (error) => {
      this.#error ??= connectFailure(error, this.#connack, this.#options.version);
      connected.reject(this.#error);
      this.#socket.destroy();
    });
    client.on("close", () => this.#onClose(connected.reject));
    const onAbort = (): void => connected.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    using _timer = this.#options.clock.timer(ANSWER_TIMEOUT_MS, () =>
      connected.reject(new TransientError("The broker does not answer CONNECT")),
    );
    try {
      client.connect();
      await connected.promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** CONNACK. The messages of a resumed session may follow in the same segment, so the intake must be ready at once. */
  #onFirstPacket(packet: Packet): void {
    if (packet.cmd !== "connack") {
      return;
    }
    this.#connack = packet;
    const { clean, version } = this.#options;
    this.#options.intake.attach({
      // MQTT 3.1 has no such flag; a redelivery says itself that it is one.
      sessionPresent: !clean && (version === 3 || packet.sessionPresent),
      write: (bytes) => this.#socket.write(bytes),
      onRoom: () => this.#goOn(),
    });
  }

  #onClose(reject: (error: Error) => void): void {
    this.#endPings();
    this.#options.intake.detach();
    this.#error ??= new TransientError("The broker closed the connection");
    reject(this.#error);
    this.#end(this.#error);
  }

  #end(error: TransientError): void {
    this.#error ??= error;
    for (const reject of this.#waiting) {
      reject(error);
    }
    this.#waiting.clear();
    this.#closed.resolve(error);
  }

  /** Hands a message over; mqtt.js reads on when `resume` is called. */
  #receive(packet: IPublishPacket, resume: () => void): void {
    if (!this.#reading) {
      return;
    }
    this.#options.intake.receive(toIncoming(packet));
    if (this.#options.intake.isFull) {
      this.#resume = resume;
      this.#keepAlive();
    } else {
      resume();
    }
  }

  #goOn(): void {
    const resume = this.#resume;
    if (resume !== undefined && this.#reading) {
      this.#resume = undefined;
      this.#endPings();
      resume();
    }
  }

  /**
   * While reading is stopped PINGRESP cannot be seen, so mqtt.js would take a healthy link for dead. We go on sending
   * PINGREQ, which is what the broker watches, and leave a dead link to TCP.
   */
  #keepAlive(): void {
    const everyMs = this.#client.keepalive * 500;
    if (everyMs > 0) {
      this.#client.reschedulePing(true);
      this.#pings = this.#options.clock.timer(everyMs, () => {
        this.#client.sendPing();
        this.#keepAlive();
      });
    }
  }

  #endPings(): void {
    this.#pings?.[Symbol.dispose]();
    this.#pings = undefined;
  }

  async #answer<T>(promise: Promise<T>, what: string): Promise<T> {
    const lost = Promise.withResolvers<never>();
    const text = `The broker did not answer ${what} within ${ANSWER_TIMEOUT_MS / 1000} s`;
    using _timer = this.#options.clock.timer(ANSWER_TIMEOUT_MS, () =>
      lost.reject(new TransientError(text)),
    );
    this.#waiting.add(lost.reject);
    try {
      return await Promise.race([promise, lost.promise]);
    } finally {
      this.#waiting.delete(lost.reject);
    }
  }

  async #within(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    using _timer = this.#options.clock.timer(timeoutMs, late.resolve);
    await Promise.race([promise, late.promise]);
  }
}

function toQos(level: number | undefined): 0 | 1 | 2 {
  return level === 0 ? 0 : level === 1 ? 1 : 2;
}

/** A filter the broker left out of its answer counts as refused, without a reason given (MQTT 5 §3.9.3). */
function toCode(code: unknown): number {
  return typeof code === "number" ? code : 0x80;
}
