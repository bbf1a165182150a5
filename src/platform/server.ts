/** One request without its body: nothing here reads one. */
export interface HttpRequest {
  readonly method: string;
  /** Path without the query. */
  readonly path: string;
  /** The `Host` header as it came; "" when there is none. */
  readonly host: string;
}

/** What is answered. */
export interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** How a server listens. `port` 0 takes a free one. */
export interface HttpOptions {
  readonly host: string;
  readonly port: number;
  /** Must not throw. */
  readonly answer: (request: HttpRequest) => Promise<HttpReply>;
}

/** A connection on which nothing happens is closed after this long. */
const IDLE_SECONDS = 30;
/** No request has a use for a body. */
const MAX_BODY_BYTES = 1024;

/** A server that listens. */
export class HttpServer implements AsyncDisposable {
  readonly #server: Bun.Server<undefined>;

  private constructor(server: Bun.Server<undefined>) {
    this.#server = server;
  }

  /** @throws Error with `code` `EADDRINUSE`, `EADDRNOTAVAIL` or `EACCES` when it cannot listen */
  static listen({ host, port, answer }: HttpOptions): HttpServer {
    const server = Bun.serve({
      hostname: host,
      port,
      idleTimeout: IDLE_SECONDS,
      maxRequestBodySize: MAX_BODY_BYTES,
      development: false,
      // Outside development the run time shares a port with whoever else has it, and each gets some of the requests.
      reusePort: false,
      fetch: async (request) => {
        const { status, headers, body } = await answer({
          method: request.method,
          path: new URL(request.url).pathname,
          host: request.headers.get("host") ?? "",
        });
        return new Response(body, { status, headers });
      },
    });
    return new HttpServer(server);
  }

  /** The port it listens on. */
  get port(): number {
    return this.#server.port ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}
