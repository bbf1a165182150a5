import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { TransientError } from "#sdk/errors";
import { Connection } from "./connection.ts";
import type { Platform } from "./platform.ts";
import { Session } from "./session.ts";

/** Certificates of the server, as PEM text. */
export interface TlsOptions {
  readonly key: string;
  readonly cert: string;
  /** Certificates of those who sign client certificates. */
  readonly ca?: string;
  /** Asks clients for a certificate; one without is let in all the same. Default false. */
  readonly requestCert?: boolean;
}

/** Where to listen. */
export interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls: TlsOptions | undefined;
}

/** The listening socket and the connections it accepted. It can go down and come up again on the same port. */
export class Listener {
  readonly #platform: Platform;
  readonly #options: ListenOptions;
  readonly #sessions = new Set<Session>();
  #server: Server | undefined;
  #port: number;

  constructor(platform: Platform, options: ListenOptions) {
    this.#platform = platform;
    this.#options = options;
    this.#port = options.port;
  }

  /** The port, 0 before the first `open`. */
  get port(): number {
    return this.#port;
  }

  get isOpen(): boolean {
    return this.#server !== undefined;
  }

  /** The live connections, oldest first. */
  sessions(): readonly Session[] {
    return [...this.#sessions].filter((session) => !session.isClosed);
  }

  /** Listens; the first time fixes the port. @throws TransientError when the port is taken. */
  async open(): Promise<void> {
    if (this.#server !== undefined) {
      return;
    }
    const { tls, host } = this.#options;
    const accept = (socket: Socket): void => this.#accept(socket);
    // Any client certificate passes the handshake; whether it is known is decided by CONNECT.
    const server =
      tls === undefined
        ? createServer(accept)
        : createTlsServer({ minVersion: "TLSv1.2", ...tls, rejectUnauthorized: false }, accept);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", (error) => {
      reject(new TransientError(`Cannot listen on ${host}:${this.#port}`, { cause: error }));
    });
    server.listen(this.#port, host, () => resolve());
    await promise;
    const address = server.address();
    this.#port = typeof address === "object" && address !== null ? address.port : this.#port;
    this.#server = server;
  }

  /** Stops listening and cuts every connection. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const session of this.#sessions) {
      session.connection.reset();
    }
    this.#sessions.clear();
    if (server !== undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      await promise;
    }
  }

  /** Closes sessions that were silent for too long and forgets those that ended. */
  sweep(): void {
    for (const session of this.#sessions) {
      if (session.isClosed) {
        this.#sessions.delete(session);
      } else {
        session.sweep();
      }
    }
  }

  #accept(socket: Socket): void {
    if (this.#platform.faults.refuseTcp || this.#server === undefined) {
      socket.on("error", () => socket.destroy());
      socket.destroy();
      return;
    }
    const { counters } = this.#platform;
    counters.connections += 1;
    const connection = new Connection(socket, this.#platform, counters.connections);
    const session = new Session(connection, this.#platform);
    this.#sessions.add(session);
    socket.once("close", () => this.#sessions.delete(session));
    connection.start(session);
  }
}
