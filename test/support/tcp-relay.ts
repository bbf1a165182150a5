import { connect, createServer, type Server, type Socket } from "node:net";

/** A cable between a client and a server on this machine: it can be pulled and put back. */
export class TcpRelay implements Disposable {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start(targetPort: number): Promise<TcpRelay> {
    const server = createServer();
    const listening = Promise.withResolvers<void>();
    server.listen(0, "127.0.0.1", listening.resolve);
    await listening.promise;
    const address = server.address();
    const relay = new TcpRelay(server, typeof address === "object" ? (address?.port ?? 0) : 0);
    server.on("connection", (socket) => relay.#join(socket, targetPort));
    return relay;
  }

  /** Every connection breaks and none is made any more, or they are made again. */
  cut(isCut: boolean): void {
    this.#isCut = isCut;
    if (isCut) {
      this.#destroyAll();
    }
  }

  [Symbol.dispose](): void {
    this.#server.close();
    this.#destroyAll();
  }

  #destroyAll(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    this.#sockets.clear();
  }

  #join(client: Socket, targetPort: number): void {
    if (this.#isCut) {
      client.destroy();
      return;
    }
    const target = connect(targetPort, "127.0.0.1");
    for (const [from, to] of [
      [client, target],
      [target, client],
    ] as const) {
      this.#sockets.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
