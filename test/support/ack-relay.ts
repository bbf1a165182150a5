import { connect, createServer, type Server, type Socket } from "node:net";
import * as mqttPacket from "mqtt-packet";

/** A cable between a client and a broker that notes which QoS 1 messages the client has acknowledged. */
export class AckRelay implements AsyncDisposable {
  /** Payloads of the acknowledged messages, by topic. */
  readonly acknowledged = new Map<string, Set<string>>();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens on a free port of 127.0.0.1 and leads to `port`; a connection lasts as long as both its ends. */
  static async open(port: number): Promise<AckRelay> {
    const server = createServer();
    const relay = new AckRelay(server);
    server.on("connection", (near) => relay.#join(near, connect({ host: "127.0.0.1", port })));
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(0, "127.0.0.1", () => resolve());
    await promise;
    return relay;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }

  #join(near: Socket, far: Socket): void {
    const open = new Map<number, { readonly topic: string; readonly payload: string }>();
    const fromBroker = mqttPacket.parser();
    const fromClient = mqttPacket.parser();
    fromBroker.on("packet", (packet) => {
      if (packet.cmd === "publish" && packet.qos === 1) {
        open.set(packet.messageId ?? 0, {
          topic: packet.topic,
          payload: packet.payload.toString(),
        });
      }
    });
    fromClient.on("packet", (packet) => {
      const message = packet.cmd === "puback" ? open.get(packet.messageId ?? 0) : undefined;
      if (message !== undefined) {
        open.delete(Number(packet.messageId));
        const payloads = this.acknowledged.get(message.topic) ?? new Set();
        this.acknowledged.set(message.topic, payloads.add(message.payload));
      }
    });
    near.on("data", (bytes: Buffer) => {
      // Noted when the broker can have it: what is cut off before that is no acknowledgement.
      fromClient.parse(bytes);
      far.write(bytes);
    });
    far.on("data", (bytes: Buffer) => {
      fromBroker.parse(bytes);
      near.write(bytes);
    });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
