import { chmodSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { Clock } from "#sdk/clock";
import { errorText } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { MAX_REQUEST_BYTES, SOCKET_NAME, type StatusAnswer } from "./status-protocol.ts";

/** Connections at one time; more are closed at once. */
const MAX_CONNECTIONS = 16;
/** A connection without a request for so long is closed. */
const IDLE_MS = 60_000;
/** How long the owner of a socket that is there already has to take a connection. */
const PROBE_MS = 1000;

/** What the socket needs. */
export interface StatusSocketOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Answers one request. What it throws becomes the error of the answer. */
  readonly answer: (request: unknown) => Promise<unknown>;
}

/**
 * The local socket that `tbgw status` asks. Without it the gateway works all the same, so that whatever prevents it is a warning, not
 * an error.
 */
export class StatusSocket implements AsyncDisposable {
  readonly #options: StatusSocketOptions;
  readonly #path: string;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  private constructor(options: StatusSocketOptions) {
    this.#options = options;
    this.#path = join(options.dataDir, SOCKET_NAME);
  }

  /** Opens the socket in the place of one that a dead process has left. Never throws. */
  static async open(options: StatusSocketOptions): Promise<StatusSocket> {
    const socket = new StatusSocket(options);
    try {
      await socket.#open();
    } catch (error) {
      options.log.warn("Cannot open the local socket: tbgw status cannot see this gateway", {
        path: socket.#path,
        error,
        advice: adviceOn(error, socket.#path),
      });
    }
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const server = this.#server;
    if (server === undefined) {
      return;
    }
    this.#server = undefined;
    rmSync(this.#path, { force: true });
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
  }

  async #open(): Promise<void> {
    if (await this.#isServed()) {
      throw new Error("another gateway serves it");
    }
    const server = createServer((socket) => this.#accept(socket));
    // Born in a folder that nobody else can enter, and moved into place with its mode: at no moment can another user connect, and a
    // dead socket is replaced in one step.
    const folder = mkdtempSync(join(this.#options.dataDir, ".s"));
    const born = join(folder, "s");
    try {
      await listen(server, born);
      chmodSync(born, 0o600);
      renameSync(born, this.#path);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    server.on("error", (error) => this.#options.log.warn("The local socket failed", { error }));
    this.#server = server;
  }

  /** Whether a living process answers on the path. */
  async #isServed(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const probe = connect(this.#path);
    probe.once("connect", () => resolve(true));
    probe.once("error", () => resolve(false));
    using _timer = this.#options.clock.timer(PROBE_MS, () => resolve(true));
    try {
      return await promise;
    } finally {
      probe.destroy();
    }
  }

  #accept(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    if (this.#sockets.size >= MAX_CONNECTIONS) {
      socket.destroy();
      return;
    }
    const connection = new Connection(socket, this.#options);
    this.#sockets.add(socket);
    socket.on("close", () => {
      connection[Symbol.dispose]();
      this.#sockets.delete(socket);
    });
    socket.on("data", (chunk: Buffer) => connection.receive(chunk));
  }
}

/** One client: its requests one after another. */
class Connection implements Disposable {
  readonly #socket: Socket;
  readonly #options: StatusSocketOptions;
  #text = "";
  #last: Promise<void> = Promise.resolve();
  #idle: Disposable;

  constructor(socket: Socket, options: StatusSocketOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#idle = this.#idleTimer();
  }

  [Symbol.dispose](): void {
    this.#idle[Symbol.dispose]();
  }

  receive(chunk: Buffer): void {
    this.#idle[Symbol.dispose]();
    this.#idle = this.#idleTimer();
    this.#text += chunk.toString("utf8");
    const lines = this.#text.split("\n");
    this.#text = lines.pop() ?? "";
    if (this.#text.length > MAX_REQUEST_BYTES || lines.length > MAX_CONNECTIONS) {
      this.#socket.destroy();
      return;
    }
    for (const line of lines) {
      this.#last = this.#last.then(() => this.#reply(line));
    }
  }

  #idleTimer(): Disposable {
    return this.#options.clock.timer(IDLE_MS, () => this.#socket.destroy());
  }

  async #reply(line: string): Promise<void> {
    const answer = await this.#answerTo(line);
    if (!this.#socket.destroyed) {
      this.#socket.write(`${JSON.stringify(answer)}\n`);
    }
  }

  async #answerTo(line: string): Promise<StatusAnswer<unknown>> {
    try {
      return { ok: true, result: await this.#options.answer(JSON.parse(line)) };
    } catch (error) {
      return { ok: false, error: errorText(error) };
    }
  }
}

async function listen(server: Server, path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(path, () => resolve());
  await promise;
  server.off("error", reject);
}

function adviceOn(error: unknown, path: string): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  // sockaddr_un of Linux has room for 107 bytes.
  if (code === "EINVAL" || code === "ENAMETOOLONG" || Buffer.byteLength(path) > 100) {
    return "choose a data directory with a shorter path (--data), 100 bytes with the socket's name";
  }
  return "make the data directory writable for the user of the gateway, on a file system that has sockets";
}
