import type { Socket } from "node:net";
import { type IClientOptions, MqttClient, UniqueMessageIdProvider } from "mqtt";
import { type Packet, writeToStream } from "mqtt-packet";
import type { Clock } from "#sdk/clock";
import { errorText, TransientError } from "#sdk/errors";
import { HeldAcks } from "./held-acks.ts";
import type { Credentials } from "./settings.ts";

// mqtt-packet keeps a buffer for each of 65,536 numbers otherwise: 6 MB a thread for two bytes each.
writeToStream.cacheNumbers = false;

/** MQTT 3.1.1 or MQTT 5. */
export type ProtocolVersion = 4 | 5;

/** How a connection ended. */
export interface LinkEnd {
  /** Reason code of the server's DISCONNECT packet, or of a refusing CONNACK. */
  readonly code: number | undefined;
  /** The other side ended it; false when the network failed or we did. */
  readonly byPeer: boolean;
  readonly error: Error | undefined;
}

/** What a link reports; each is called in the order of the wire, never inside a call to the link. */
export interface LinkListener {
  /** What it gives decides over the PUBACK: with none it leaves at once, else when it is true, and never on this link when false. */
  message(topic: string, payload: Uint8Array): Promise<boolean> | undefined;
  pong(): void;
  /** Exactly once, last of all. */
  closed(end: LinkEnd): void;
}

/** Limits from CONNACK; `undefined` when the server set none. */
export interface ServerProperties {
  readonly receiveMaximum: number | undefined;
  readonly maximumPacketSize: number | undefined;
  /** Longest silence the server allows, in seconds; goes before ours (MQTT 5 §3.2.2.3.14). 0: any. */
  readonly serverKeepAlive: number | undefined;
}

/** What a CONNECT packet says. */
export interface LinkOptions {
  readonly version: ProtocolVersion;
  readonly credentials: Credentials;
  readonly keepAliveSeconds: number;
  readonly clock: Clock;
  /** Longest wait for CONNACK, at most 30 s. */
  readonly timeoutMs: number;
}

/** The server answered CONNECT with a refusal. */
export class ConnectRefused extends Error {
  override readonly name = "ConnectRefused";
  readonly code: number;

  constructor(code: number) {
    super(`CONNACK ${code}`);
    this.code = code;
  }
}

/** The server closed the connection instead of answering CONNECT. */
export class ConnectUnanswered extends Error {
  override readonly name = "ConnectUnanswered";
}

/** Of mqtt.js, by the wall clock: longer than our own deadline, which goes by the injected one. */
const LIBRARY_TIMEOUT_MS = 60_000;
const DISCONNECT_TIMEOUT_MS = 1000;
const QOS_1 = { qos: 1 } as const;

/** mqtt.js times its pings with the real clock; the session pings by its own instead, so these timers never fire. */
const NO_TIMERS = { set: () => 0, clear: () => undefined };

/**
 * One MQTT connection over a socket that is already open. It lives as long as that socket: mqtt.js never reconnects it and
 * holds nothing to send again, because only the event store decides what is sent twice.
 */
export class MqttLink {
  readonly version: ProtocolVersion;
  readonly properties: ServerProperties;
  readonly #client: MqttClient;
  readonly #socket: Socket;
  readonly #clock: Clock;
  #open = true;

  private constructor(handshake: Handshake, properties: ServerProperties) {
    this.version = handshake.options.version;
    this.properties = properties;
    this.#client = handshake.client;
    this.#socket = handshake.socket;
    this.#clock = handshake.options.clock;
  }

  /**
   * Sends CONNECT and waits for CONNACK. Owns the socket from here on, also when it throws.
   * @throws ConnectRefused, ConnectUnanswered, TransientError when there is no answer in time, or the signal's reason.
   */
  static async open(
    socket: Socket,
    options: LinkOptions,
    listener: LinkListener,
    signal: AbortSignal,
  ): Promise<MqttLink> {
    const handshake = new Handshake(socket, options, listener);
    const deadline = options.clock.deadline(options.timeoutMs, signal);
    const onAbort = (): void => handshake.abort(deadline.reason);
    deadline.addEventListener("abort", onAbort, { once: true });
    try {
      const link = new MqttLink(handshake, await handshake.connected);
      handshake.link = link;
      return link;
    } catch (error) {
      handshake.settled = true;
      socket.destroy();
      signal.throwIfAborted();
      throw error;
    } finally {
      deadline.removeEventListener("abort", onAbort);
    }
  }

  /** Bytes handed to the socket so far, TLS excluded. */
  get bytesWritten(): number {
    return this.#socket.bytesWritten;
  }

  /** Bytes that wait in this process for the network. */
  get bytesWaiting(): number {
    return this.#socket.writableLength;
  }

  /**
   * Publishes with QoS 1. `acknowledged` is called with the reason code of the PUBACK (0 under MQTT 3.1.1), or never when the
   * link ends before. A string is the cheaper payload: mqtt.js copies a buffer.
   */
  publish(topic: string, payload: string | Uint8Array, acknowledged: (code: number) => void): void {
    const data = typeof payload === "string" ? payload : Buffer.from(payload);
    this.#client.publish(topic, data, QOS_1, (error) => {
      if (error === undefined || error === null) {
        acknowledged(0);
        return;
      }
      const code = reasonOf(error);
      if (code !== undefined) {
        acknowledged(code);
      }
    });
  }

  /** Subscribes with QoS 1; resolves with the granted QoS or the refusal, 0x80 or above. Never settles when the link ends before. */
  subscribe(filter: string): Promise<number> {
    return new Promise((resolve) => {
      this.#client.subscribe(filter, QOS_1, (error, granted) => {
        if (error === null) {
          resolve(granted?.[0]?.qos ?? 0);
          return;
        }
        const packet = "packet" in error ? error.packet : undefined;
        if (isPacket(packet) && packet.cmd === "suback") {
          const [first] = packet.granted;
          resolve(typeof first === "number" ? first : 0x80);
        }
      });
    });
  }

  ping(): void {
    if (this.#open) {
      this.#client.sendPing();
    }
  }

  /** Ends the link at once, without a DISCONNECT. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Sends DISCONNECT and closes; after 1 s without an end the socket is destroyed. Resolves when it is closed. */
  async disconnect(): Promise<void> {
    if (!this.#open) {
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.once("close", () => resolve());
    // Not `end`: it waits for outstanding acknowledgements, and the sender has done all the waiting there is to do.
    using _limit = this.#clock.timer(DISCONNECT_TIMEOUT_MS, () => this.#socket.destroy());
    this.#client.outgoing = {};
    this.#client.end(false);
    await promise;
  }

  /** For the handshake: nothing may be written any more. */
  markClosed(): void {
    this.#open = false;
  }
}

/** Wires a client to a socket and remembers how it ends. */
class Handshake {
  readonly options: LinkOptions;
  readonly socket: Socket;
  readonly client: MqttClient;
  readonly connected: Promise<ServerProperties>;
  /** CONNECT has failed: whatever follows concerns nobody. */
  settled = false;
  link: MqttLink | undefined;
  #error: Error | undefined;
  #code: number | undefined;
  readonly #answer = Promise.withResolvers<ServerProperties>();
  #answered = false;

  constructor(socket: Socket, options: LinkOptions, listener: LinkListener) {
    this.options = options;
    this.socket = socket;
    this.connected = this.#answer.promise;
    this.client = new MqttClient(() => socket, clientOptions(options));
    this.client.on("connect", (connack) => {
      this.#answered = true;
      this.#answer.resolve({
        receiveMaximum: connack.properties?.receiveMaximum,
        maximumPacketSize: connack.properties?.maximumPacketSize,
        serverKeepAlive: connack.properties?.serverKeepAlive,
      });
    });
    const acks = new HeldAcks(this.client);
    this.client.on("message", (topic, payload, { messageId, qos }) => {
      const taken = listener.message(topic, payload);
      if (taken !== undefined && qos > 0 && messageId !== undefined) {
        acks.hold(messageId, taken);
      }
    });
    this.client.on("packetreceive", (packet) => {
      if (packet.cmd === "pingresp") {
        listener.pong();
      }
    });
    this.client.on("disconnect", (packet) => {
      this.#code = packet.reasonCode;
    });
    this.client.on("error", (error) => this.#failed(error));
    socket.on("error", (error) => this.#failed(error));
    this.client.on("close", () => {
      this.link?.markClosed();
      if (!this.#answered) {
        this.#answer.reject(this.#refusal());
        return;
      }
      if (!this.settled) {
        listener.closed({ code: this.#code, byPeer: this.#byPeer(), error: this.#error });
      }
    });
    this.client.connect();
  }

  abort(reason: unknown): void {
    this.#answer.reject(
      reason instanceof TransientError
        ? new TransientError("Connected, but the server does not answer CONNECT")
        : reason,
    );
  }

  #failed(error: Error): void {
    this.#error ??= error;
    this.#code ??= reasonOf(error);
  }

  #refusal(): Error {
    if (this.#code !== undefined && this.#error !== undefined && this.#code !== 0) {
      return new ConnectRefused(this.#code);
    }
    const cause = this.#error;
    return new ConnectUnanswered(cause === undefined ? "closed by the server" : errorText(cause), {
      cause,
    });
  }

  /** A reset counts as an end by the peer: that is how a server's close arrives while we still write. */
  #byPeer(): boolean {
    if (this.#error === undefined) {
      return this.#code !== undefined || this.socket.readableEnded;
    }
    return "code" in this.#error && PEER_CODES.has(String(this.#error.code));
  }
}

const PEER_CODES: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE"]);

function clientOptions(options: LinkOptions): IClientOptions {
  const { credentials } = options;
  const login =
    credentials.kind === "accessToken"
      ? { username: credentials.accessToken, clientId: "" }
      : credentials.kind === "usernamePassword"
        ? {
            clientId: credentials.clientId ?? "",
            ...(credentials.username === undefined ? {} : { username: credentials.username }),
            ...(credentials.password === undefined ? {} : { password: credentials.password }),
          }
        : { clientId: "" };
  return {
    ...login,
    protocolVersion: options.version,
    clean: true,
    keepalive: options.keepAliveSeconds,
    reconnectPeriod: 0,
    connectTimeout: LIBRARY_TIMEOUT_MS,
    manualConnect: true,
    resubscribe: false,
    queueQoSZero: false,
    timerVariant: NO_TIMERS,
    messageIdProvider: new UniqueMessageIdProvider(),
  };
}

/** The MQTT reason code of an error of mqtt.js; a socket error has a text there. */
function reasonOf(error: Error): number | undefined {
  return "code" in error && typeof error.code === "number" ? error.code : undefined;
}

function isPacket(value: unknown): value is Packet {
  return typeof value === "object" && value !== null && "cmd" in value;
}
