import { connect, createServer, type Server, type Socket } from "node:net";

/** What a proxy of a test does otherwise. */
export interface ProxyOptions {
  /** Answers every request with this status line, such as `403 Forbidden`, and opens nothing. */
  readonly refuse?: string;
  /** Host names that only the proxy knows, and the ports of this machine they lead to. */
  readonly names?: Readonly<Record<string, number>>;
  /** Says this instead of anything of HTTP. */
  readonly garbage?: string;
  /** Takes the request and never answers. */
  readonly silent?: boolean;
}

/** A small HTTP proxy for CONNECT (RFC 9110 §9.3.6) on a free port of 127.0.0.1; it reaches this machine alone. */
export class ConnectProxy implements AsyncDisposable {
  /** `host:port` of each request, in order. */
  readonly targets: string[] = [];
  readonly #server: Server;
  readonly #options: ProxyOptions;
  readonly #sockets = new Set<Socket>();

  private constructor(options: ProxyOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#serve(this.#keep(socket)));
  }

  static async open(options: ProxyOptions = {}): Promise<ConnectProxy> {
    const proxy = new ConnectProxy(options);
    const { promise, resolve } = Promise.withResolvers<void>();
    proxy.#server.listen(0, "127.0.0.1", () => resolve());
    await promise;
    return proxy;
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

  #serve(near: Socket): void {
    let head = "";
    const onData = (bytes: Buffer): void => {
      head += bytes.toString("latin1");
      if (head.includes("\r\n\r\n")) {
        near.off("data", onData);
        this.#answer(near, head);
      }
    };
    near.on("data", onData);
  }

  #answer(near: Socket, head: string): void {
    const { garbage, refuse, silent, names = {} } = this.#options;
    const [, host = "", port = ""] = /^CONNECT (\S+):(\d+) HTTP\/1\.1\r\n/.exec(head) ?? [];
    this.targets.push(`${host}:${port}`);
    if (silent === true) {
      return;
    }
    if (garbage !== undefined || refuse !== undefined || host === "") {
      near.end(garbage ?? `HTTP/1.1 ${refuse ?? "400 Bad Request"}\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const far = this.#keep(connect({ host: "127.0.0.1", port: names[host] ?? Number(port) }));
    far.once("connect", () => {
      near.write("HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n");
      near.pipe(far);
      far.pipe(near);
    });
    far.on("close", () => near.destroy());
    near.on("close", () => far.destroy());
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    // A reset on one side is told to the other by its close.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
    return socket;
  }
}
