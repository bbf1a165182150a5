import { connect, createServer, type Server, type Socket } from "node:net";

/**
 * A TCP server of a test on 127.0.0.1. What it has accepted and what it has opened itself ends with it; `serve` of
 * the class built on it is how it behaves.
 */
export abstract class LoopbackServer implements AsyncDisposable {
  /** Connections it has accepted so far. */
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  protected constructor() {
    this.#server = createServer((socket) => {
      this.connections += 1;
      this.serve(this.#keep(socket));
    });
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Sockets that are open at this moment. */
  get open(): number {
    return this.#sockets.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.hangUp();
    await promise;
  }

  /** Takes a connection. */
  protected abstract serve(socket: Socket): void;

  /** Resolves when it listens, on a free port unless one is given. */
  protected async listen(port = 0): Promise<this> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.listen(port, "127.0.0.1", resolve);
    await promise;
    return this;
  }

  /** Opens a connection to a port of this machine that lasts as long as `near`, and the other way round. */
  protected reach(near: Socket, port: number): Socket {
    const far = this.#keep(connect({ host: "127.0.0.1", port }));
    far.on("close", () => near.destroy());
    near.on("close", () => far.destroy());
    return far;
  }

  /** Ends every connection. */
  protected hangUp(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    // A reset on one side is told to the other by its close.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
    return socket;
  }
}
