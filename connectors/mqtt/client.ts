import type { Socket } from "node:net";
import { type IConnackPacket, type IPublishPacket, MqttClient, type Packet } from "mqtt";
import { writeToStream } from "mqtt-packet";
import type { Clock } from "#sdk/clock";
import { assert, TransientError } from "#sdk/errors";
import type { Incoming, Intake } from "./intake.ts";
import { connectFailure, disconnectFailure } from "./reasons.ts";
import { type Endpoint, openSocket } from "./socket.ts";

// mqtt-packet keeps a buffer for each of 65,536 numbers otherwise: 6 MB a thread for two bytes each.
writeToStream.cacheNumbers = false;

/** Version as MQTT numbers it: 3 is MQTT 3.1, 4 is 3.1.1. */
export type ProtocolVersion = 3 | 4 | 5;

/** How the gateway introduces itself to the broker. */
export interface ClientOptions {
  readonly endpoint: Endpoint;
  readonly version: ProtocolVersion;
  readonly clientId: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** `cleanSession` or `cleanStart`. */
  readonly clean: boolean;
  /** MQTT 5 only. */
  readonly sessionExpiryS: number;
  readonly keepAliveS: number;
  /** Unacknowledged QoS 1 and 2 messages an MQTT 5 broker may send us. */
  readonly receiveMaximum: number;
  readonly intake: Intake;
  readonly clock: Clock;
}

/** What the broker said about itself in CONNACK (MQTT 5 §3.2.2.3). */
export interface ServerLimits {
  readonly wildcards: boolean;
  readonly sharedSubscriptions: boolean;
  readonly subscriptionIdentifiers: boolean;
}

/** One SUBSCRIBE packet. */
export interface SubscribeRequest {
  readonly filters: readonly { readonly filter: string; readonly qos: 0 | 1 | 2 }[];
  /** MQTT 5 only. */
  readonly identifier: number | undefined;
  /** MQTT 5 §3.8.3.1: 0 always, 1 only for a new subscription, 2 never. */
  readonly retainHandling: 0 | 1 | 2;
}

/** Longest wait for CONNACK, SUBACK and UNSUBACK. */
const ANSWER_TIMEOUT_MS = 30_000;
/** Longest wait for the DISCONNECT packet to leave. */
const GOODBYE_TIMEOUT_MS = 300;

const EMPTY = Buffer.alloc(0);

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
  #error: TransientError | undefined;
  /** Goes on with reading; set while the intake is full. */
  #resume: (() => void) | undefined;
  #pings: Disposable | undefined;
  #reading = true;
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
    const socket = await openSocket(options.endpoint, options.clock, signal);
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
    this.#closed.resolve(this.#error ?? new TransientError("The connection was closed"));
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
    this.#closed.resolve(this.#error);
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
    const late = Promise.withResolvers<never>();
    const text = `The broker did not answer ${what} within ${ANSWER_TIMEOUT_MS / 1000} s`;
    using _timer = this.#options.clock.timer(ANSWER_TIMEOUT_MS, () =>
      late.reject(new TransientError(text)),
    );
    const lost = this.#closed.promise.then((error) => Promise.reject(error));
    return await Promise.race([promise, late.promise, lost]);
  }

  async #within(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    using _timer = this.#options.clock.timer(timeoutMs, late.resolve);
    await Promise.race([promise, late.promise]);
  }
}

/** The mqtt.js client on an open socket, with its handling of incoming messages replaced. */
function createClient(
  socket: Socket,
  options: ClientOptions,
  hooks: { readonly receive: (packet: IPublishPacket, resume: () => void) => void },
): MqttClient {
  const { intake, version } = options;
  const client = new MqttClient(() => socket, {
    manualConnect: true,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    timerVariant: "native",
    // Ours comes first, and follows the clock.
    connectTimeout: 2 * ANSWER_TIMEOUT_MS,
    protocolId: version === 3 ? "MQIsdp" : "MQTT",
    protocolVersion: version,
    clientId: options.clientId,
    clean: options.clean,
    keepalive: options.keepAliveS,
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(options.password === undefined ? {} : { password: options.password }),
    ...(version === 5
      ? {
          properties: {
            sessionExpiryInterval: options.sessionExpiryS,
            receiveMaximum: options.receiveMaximum,
          },
        }
      : {}),
  });
  client.incomingStore.put = (packet, done) => {
    if (packet.cmd === "publish") {
      hooks.receive(packet, done);
    }
    return client.incomingStore;
  };
  client.incomingStore.get = (packet, done) => {
    const messageId = packet.messageId ?? 0;
    if (intake.hasUnreleased(messageId)) {
      done(undefined, { ...RELEASED, messageId });
    } else {
      done(new Error("unknown packet identifier"));
    }
    return client.incomingStore;
  };
  client.incomingStore.del = (packet) => {
    intake.release(packet.messageId ?? 0);
    return client.incomingStore;
  };
  // QoS 2 comes here at PUBREL, after it was taken at PUBLISH.
  client.handleMessage = (packet, resume) =>
    packet.qos === 2 ? resume() : hooks.receive(packet, resume);
  swallowAcknowledgements(client);
  return client;
}

/** Stands for a QoS 2 message at PUBREL, when nothing but its identifier matters any more. */
const RELEASED = {
  cmd: "publish",
  topic: "",
  payload: EMPTY,
  qos: 2,
  dup: false,
  retain: false,
} as const;

/** Keeps mqtt.js from sending PUBACK and PUBREC; `_sendPacket` is its only way to send. */
function swallowAcknowledgements(client: MqttClient): void {
  const send: unknown = Reflect.get(client, "_sendPacket");
  assert(typeof send === "function", "mqtt.js no longer sends packets through _sendPacket");
  Reflect.set(client, "_sendPacket", (packet: Packet, done?: () => void, ...rest: unknown[]) => {
    if (packet.cmd === "puback" || packet.cmd === "pubrec") {
      done?.();
    } else {
      Reflect.apply(send, client, [packet, done, ...rest]);
    }
  });
}

function toIncoming(packet: IPublishPacket): Incoming {
  const identifier: number | readonly number[] | undefined =
    packet.properties?.subscriptionIdentifier;
  return {
    topic: packet.topic,
    payload: typeof packet.payload === "string" ? Buffer.from(packet.payload) : packet.payload,
    qos: packet.qos,
    retain: packet.retain,
    dup: packet.dup,
    messageId: packet.messageId ?? 0,
    subscriptionIds: identifier === undefined ? NONE : [identifier].flat(),
  };
}

const NONE: readonly number[] = [];

/** A filter the broker left out of its answer counts as refused, without a reason given (MQTT 5 §3.9.3). */
function toCode(code: unknown): number {
  return typeof code === "number" ? code : 0x80;
}
