import { connect, createServer, type Server, type Socket } from "node:net";

/** A cable with an ear: passes connections on to another port of this machine and keeps what the clients say. */
export class RecordingRelay implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #heard: Buffer[] = [];
  connections = 0;
  /** Cuts the connection instead of passing on an answer with this text, once. */
  cutAt: string | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens on a free port of 127.0.0.1 and leads to `port`. */
  static async open(port: number): Promise<RecordingRelay> {
    const server = createServer();
    const relay = new RecordingRelay(server);
    server.on("connection", (near) => {
      relay.connections += 1;
      const far = relay.#keep(connect({ host: "127.0.0.1", port }));
      relay.#keep(near);
      near.on("data", (bytes: Buffer) => {
        relay.#heard.push(bytes);
        far.write(bytes);
      });
      far.on("data", (bytes: Buffer) => {
        if (relay.cutAt !== undefined && bytes.includes(relay.cutAt)) {
          relay.cutAt = undefined;
          near.destroy();
        } else {
          near.write(bytes);
        }
      });
      near.on("close", () => far.destroy());
      far.on("close", () => near.destroy());
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(0, "127.0.0.1", () => resolve());
    await promise;
    return relay;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** All bytes the clients have sent, in the order they came. */
  get heard(): Buffer {
    return Buffer.concat(this.#heard);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    // A reset on one side is told to the other by its close.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
    return socket;
  }
}
