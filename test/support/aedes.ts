import { createServer } from "node:net";
import { Aedes, type AedesOptions, type Client } from "aedes";

/** An aedes broker (MQTT 3.1 and 3.1.1) on a free port of 127.0.0.1. */
export class AedesBroker implements AsyncDisposable {
  readonly aedes: Aedes;
  readonly port: number;
  /** What each client has acknowledged: client id and packet identifier. */
  readonly acks: { readonly client: string; readonly topic: string }[] = [];
  readonly #close: () => Promise<void>;

  private constructor(aedes: Aedes, port: number, close: () => Promise<void>) {
    this.aedes = aedes;
    this.port = port;
    this.#close = close;
    aedes.on("ack", (packet, client) => {
      const topic = packet !== undefined && "topic" in packet ? packet.topic : "";
      this.acks.push({ client: client.id, topic });
    });
  }

  static async listen(options: AedesOptions = {}): Promise<AedesBroker> {
    const aedes = await Aedes.createBroker(options);
    const server = createServer((socket) => {
      aedes.handle(socket);
    });
    const listening = Promise.withResolvers<void>();
    server.listen(0, "127.0.0.1", listening.resolve);
    await listening.promise;
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    return new AedesBroker(aedes, port, async () => {
      const closed = Promise.withResolvers<void>();
      aedes.close(() => server.close(() => closed.resolve()));
      await closed.promise;
    });
  }

  /** Publishes a message as the broker itself. */
  async publish(topic: string, payload: string, qos: 0 | 1 | 2 = 1): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.aedes.publish(
      { cmd: "publish", topic, payload, qos, retain: false, dup: false },
      (error) => (error ? reject(error) : resolve()),
    );
    await promise;
  }

  /** Cuts the connection of a client. */
  async kick(client: Client): Promise<void> {
    const closed = Promise.withResolvers<void>();
    client.close(() => closed.resolve());
    await closed.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}
