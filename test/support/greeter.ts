import { createServer, type Server, type Socket } from "node:net";

/** A server on a free port of 127.0.0.1 that says the same to everyone, listens to nobody and never hangs up. */
export class Greeter implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(greeting: string) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => this.#sockets.delete(socket));
      socket.resume();
      if (greeting !== "") {
        socket.write(greeting);
      }
    });
  }

  static async open(greeting: string): Promise<Greeter> {
    const greeter = new Greeter(greeting);
    const { promise, resolve } = Promise.withResolvers<void>();
    greeter.#server.listen(0, "127.0.0.1", () => resolve());
    await promise;
    return greeter;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Connections at this moment. */
  get connections(): number {
    return this.#sockets.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }
}
