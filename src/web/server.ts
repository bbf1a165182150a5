import { type HttpReply, type HttpRequest, HttpServer } from "#platform/server";
import { backoffMs } from "#sdk/backoff";
import type { Clock } from "#sdk/clock";
import { errorText } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { isAllowedHost, isLoopback } from "./auth.ts";
import { htmlReply, jsonReply, textReply } from "./reply.ts";
import { healthRoute, readyRoute } from "./routes/health.ts";
import { metricsRoute } from "./routes/metrics.ts";
import { pageRoute } from "./routes/page.ts";
import type { WebSources } from "./sources.ts";

/** Where the web server listens: `tbgw.web`. */
export interface WebSettings {
  readonly host: string;
  readonly port: number;
}

/** What the web server needs of its surroundings. */
export interface WebServerOptions extends WebSettings {
  readonly clock: Clock;
  readonly log: Logger;
  readonly sources: WebSources;
}

/** Requests that are answered at one time; more are told to come again. */
const MAX_REQUESTS = 32;

type Route = (sources: WebSources) => Promise<HttpReply>;

const ROUTES: ReadonlyMap<string, Route> = new Map([
  ["/", async (sources) => htmlReply(await pageRoute(sources))],
  ["/healthz", healthRoute],
  ["/readyz", readyRoute],
  ["/metrics", metricsRoute],
]);

/**
 * Status page, `/metrics`, `/healthz` and `/readyz`: read-only, without secrets. A gateway works without it: a port that is taken is a
 * warning, and tried again for as long as the gateway runs.
 */
export class WebServer implements AsyncDisposable {
  readonly #options: WebServerOptions;
  readonly #stop = new AbortController();
  #server: HttpServer | undefined;
  #running: Promise<void> = Promise.resolve();
  #requests = 0;

  constructor(options: WebServerOptions) {
    this.#options = options;
  }

  /** The port it listens on; `undefined` while it does not. */
  get port(): number | undefined {
    return this.#server?.port;
  }

  /** Begins to listen; returns at once, whether it can or not. */
  start(): void {
    const { host, log } = this.#options;
    if (!isLoopback(host)) {
      log.warn("Anybody who can reach this address can read the status: there is no password", {
        host,
        advice: 'set tbgw.web.host to "127.0.0.1", or let a firewall or reverse proxy guard it',
      });
    }
    const error = this.#listen();
    if (error !== undefined) {
      this.#running = this.#listenLater(error, this.#stop.signal).catch(() => undefined);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }

  /** One attempt; gives the error when it fails. */
  #listen(): unknown {
    const { host, port, log } = this.#options;
    try {
      const answer = (request: HttpRequest): Promise<HttpReply> => this.#answer(request);
      this.#server = HttpServer.listen({ host, port, answer });
    } catch (error) {
      return error;
    }
    log.info("Web server listens", { host, port: this.#server.port });
    return undefined;
  }

  async #listenLater(first: unknown, signal: AbortSignal): Promise<void> {
    const { clock, host, log, port } = this.#options;
    log.warn("The web server cannot listen; the gateway runs without it and tries again", {
      host,
      port,
      error: errorText(first),
      advice: "set tbgw.web.port to a free port, or tbgw.web.enabled to false",
    });
    for (let attempt = 1; this.#server === undefined; attempt += 1) {
      await clock.sleep(backoffMs(attempt, Math.random()), signal);
      this.#listen();
    }
  }

  async #answer(request: HttpRequest): Promise<HttpReply> {
    const refusal = this.#refusal(request);
    if (refusal !== undefined) {
      return refusal;
    }
    const route = ROUTES.get(request.path);
    if (route === undefined) {
      return textReply(404, `There is no ${request.path.slice(0, 100)} here: see / and /metrics`);
    }
    this.#requests += 1;
    try {
      return await route(this.#options.sources);
    } catch (error) {
      return jsonReply(503, { error: errorText(error) });
    } finally {
      this.#requests -= 1;
    }
  }

  #refusal({ method, host }: HttpRequest): HttpReply | undefined {
    if (isLoopback(this.#options.host) && !isAllowedHost(host)) {
      // A page elsewhere may have made the browser believe that its own name leads to this machine.
      return textReply(403, "This server is reached as localhost or 127.0.0.1 only");
    }
    if (method !== "GET") {
      const only = textReply(405, "Only GET");
      return { ...only, headers: { ...only.headers, allow: "GET" } };
    }
    return this.#requests >= MAX_REQUESTS ? textReply(503, "Too many requests") : undefined;
  }
}
