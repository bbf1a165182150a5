import { connect, type Socket } from "node:net";
import { generate, type IConnectPacket, type Packet, parser } from "mqtt-packet";
import { Framer } from "../../src/demo/thingsboard/packets.ts";

/** How a raw client introduces itself. */
export interface RawClientOptions {
  readonly level?: 3 | 4 | 5;
  readonly clientId?: string;
  readonly username?: string;
  readonly password?: string;
  readonly clean?: boolean;
}

/** A PUBLISH to send. QoS 1 unless said otherwise. */
export interface RawPublish {
  readonly topic: string;
  readonly payload: string;
  readonly qos?: 0 | 1 | 2;
  readonly id?: number;
  readonly dup?: boolean;
}

const DISCONNECT = 0xe0;
const MAX_REMAINING_LENGTH = 0xfff_ffff;

/**
 * An MQTT client that does exactly what a test says: it acknowledges nothing, repeats nothing, and shows every packet
 * it gets. Owns its socket.
 */
export class RawMqttClient implements Disposable {
  readonly level: 3 | 4 | 5;
  readonly #socket: Socket;
  readonly #received: Packet[] = [];
  #waiters: (() => void)[] = [];
  #isClosed = false;
  #nextId = 1;

  private constructor(socket: Socket, level: 3 | 4 | 5) {
    this.#socket = socket;
    this.level = level;
    const incoming = parser({ protocolVersion: level });
    incoming.on("packet", (packet) => {
      this.#received.push(packet);
      this.#wake();
    });
    const onEnd = (): void => {
      this.#isClosed = true;
      this.#wake();
    };
    incoming.on("error", onEnd);
    const framer = new Framer();
    socket.on("data", (chunk: Buffer) => {
      framer.append(chunk);
      for (;;) {
        const frame = framer.next(MAX_REMAINING_LENGTH);
        if (typeof frame === "string") {
          return;
        }
        const { bytes } = frame;
        if (bytes[0] === DISCONNECT) {
          // The library refuses reasons that the standard does not list for DISCONNECT; the server sends such.
          this.#received.push({ cmd: "disconnect", reasonCode: bytes[2] ?? 0 });
          this.#wake();
        } else {
          incoming.parse(bytes);
        }
      }
    });
    socket.on("error", onEnd);
    socket.on("end", onEnd);
    socket.on("close", onEnd);
  }

  /** Opens the TCP connection and sends nothing. */
  static async open(port: number, level: 3 | 4 | 5 = 4): Promise<RawMqttClient> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.once("connect", () => resolve());
    socket.once("error", reject);
    await promise;
    return new RawMqttClient(socket, level);
  }

  /** Opens, sends CONNECT and waits for CONNACK with success. */
  static async connect(port: number, options: RawClientOptions = {}): Promise<RawMqttClient> {
    const client = await RawMqttClient.open(port, options.level ?? 4);
    client.sendConnect(options);
    const connack = await client.next();
    if (connack !== `connack${client.level === 5 ? " 0x00" : " 0"}`) {
      throw new Error(`Connect was answered with ${connack}`);
    }
    return client;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  sendConnect(options: RawClientOptions = {}): void {
    const { clientId = "raw", username, password, clean = true } = options;
    const packet: IConnectPacket = {
      cmd: "connect",
      protocolId: this.level === 3 ? "MQIsdp" : "MQTT",
      protocolVersion: this.level,
      clientId,
      clean,
      keepalive: 0,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password: Buffer.from(password) }),
    };
    this.send(packet);
  }

  send(packet: Packet): void {
    this.sendBytes(generate(packet, { protocolVersion: this.level }));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Sends a PUBLISH and returns its packet id. */
  publish({ topic, payload, qos = 1, id, dup = false }: RawPublish): number {
    const messageId = id ?? this.#nextId;
    this.#nextId = messageId + 1;
    this.send({ cmd: "publish", topic, payload, qos, messageId, dup, retain: false });
    return messageId;
  }

  /** Sends SUBSCRIBE and returns the codes granted. */
  async subscribe(filters: readonly string[], qos: 0 | 1 | 2 = 1): Promise<readonly number[]> {
    const subscriptions = filters.map((topic) => ({ topic, qos, nl: false, rap: false, rh: 0 }));
    this.send({ cmd: "subscribe", messageId: 9000, subscriptions });
    const packet = await this.nextPacket();
    if (packet?.cmd !== "suback") {
      throw new Error(`Subscribe was answered with ${describe(packet, this.level)}`);
    }
    return packet.granted.map(Number);
  }

  /** The next packet, undefined when the connection ends first. */
  async nextPacket(): Promise<Packet | undefined> {
    while (this.#received.length === 0 && !this.#isClosed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiters.push(resolve);
      await promise;
    }
    return this.#received.shift();
  }

  /** The next packet as a short text such as `puback 1 0x99`, `v1/gateway/rpc {…}` or `closed`. */
  async next(): Promise<string> {
    return describe(await this.nextPacket(), this.level);
  }

  /** Everything that arrives until the answer to a PINGREQ sent now, or until the end. */
  async drain(): Promise<readonly string[]> {
    this.send({ cmd: "pingreq" });
    const seen: string[] = [];
    for (;;) {
      const text = await this.next();
      if (text === "pingresp") {
        return seen;
      }
      seen.push(text);
      if (text === "closed") {
        return seen;
      }
    }
  }

  /** Sends a PUBLISH and returns all that comes of it before the server is idle again. */
  async outcome(publish: RawPublish): Promise<string> {
    this.publish(publish);
    return (await this.drain()).join(", ");
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) {
      wake();
    }
  }
}

function describe(packet: Packet | undefined, level: number): string {
  if (packet === undefined) {
    return "closed";
  }
  switch (packet.cmd) {
    case "publish":
      return `${packet.topic} ${packet.payload.toString()}`;
    case "puback":
      return level === 5
        ? `puback ${packet.messageId} ${hex(packet.reasonCode)}`
        : `puback ${packet.messageId}`;
    case "connack":
      return level === 5 ? `connack ${hex(packet.reasonCode)}` : `connack ${packet.returnCode}`;
    case "disconnect":
      return `disconnect ${hex(packet.reasonCode)}`;
    default:
      return packet.cmd;
  }
}

function hex(code: number | undefined): string {
  return `0x${(code ?? 0).toString(16).padStart(2, "0")}`;
}
