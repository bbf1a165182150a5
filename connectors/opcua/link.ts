import type { ClientSession } from "node-opcua-client";
import { backoffMs } from "#sdk/backoff";
import type { ConnectorHost } from "#sdk/connector";
import { TransientError } from "#sdk/errors";
import { supervise } from "#sdk/supervise";
import { runAll } from "#sdk/tasks";
import { installChangeDecoder } from "./change-decoder.ts";
import { ServerSession } from "./client.ts";
import type { Commands } from "./commands.ts";
import type { Device } from "./device.ts";
import { endpointOf } from "./endpoint.ts";
import { isTalkFailure, SessionLost } from "./failures.ts";
import type { Intake } from "./intake.ts";
import { type Library, loadLibrary } from "./library.ts";
import { Poller } from "./poller.ts";
import type { Said } from "./said.ts";
import type { Scanner } from "./scan.ts";
import { prepareSecurity, wantedSecurity } from "./security.ts";
import { type ServerConfig, usesSubscriptions } from "./server-config.ts";
import { quietLibrary } from "./stack-log.ts";
import { type Attachment, Subscriptions } from "./subscriptions.ts";
import { Watch } from "./watch.ts";

/** How often the server is asked whether it is there. */
const KEEP_ALIVE_MS = 5000;
/** A session that lived this long is worth an attempt at once. */
const WORTH_MS = 10_000;
/** A scan that had no answer is tried again after this. */
const SCAN_RETRY_MS = 5000;
/** Nodes whose changes could not be decoded are read no more often. */
const READ_AGAIN_MS = 10_000;
/** Devices stay connected for so many timeouts of the session. */
const GRACE_TIMES = 2;

/** What the link is made from. */
export interface LinkOptions {
  readonly server: ServerConfig;
  readonly host: ConnectorHost;
  readonly scanner: Scanner;
  readonly intake: Intake;
  readonly commands: Commands;
  readonly devices: Map<string, Device>;
  readonly said: Said;
}

/** The link to one server: opens sessions, one after the other, until it is told to stop. */
export class ServerLink {
  readonly #options: LinkOptions;
  readonly #subscriptions: Subscriptions | undefined;
  readonly #watch: Watch;
  /** What the last session left on the server. */
  #left: { readonly session: ClientSession; readonly namespaces: readonly string[] } | undefined;
  #grace: Disposable | undefined;
  /** Attempts in a row that led to nothing. */
  #failures = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
    const { server, host, intake, said } = options;
    this.#subscriptions = usesSubscriptions(server)
      ? new Subscriptions({ server, host, intake })
      : undefined;
    this.#watch = new Watch({ host, intake, subscriptions: this.#subscriptions, said });
  }

  /** Runs until `signal` aborts, then rejects with its reason. */
  async run(signal: AbortSignal): Promise<void> {
    const { server, host } = this.#options;
    signal.throwIfAborted();
    const library = await loadLibrary();
    quietLibrary(library, host.log);
    installChangeDecoder(library);
    this.#giveAdvice();
    try {
      await supervise(
        {
          name: endpointOf(server.url).name,
          host,
          run: (stop, healthy) => this.#connection(library, stop, healthy),
        },
        signal,
      );
    } finally {
      this.#grace?.[Symbol.dispose]();
      this.#subscriptions?.[Symbol.dispose]();
      await this.#disconnectAll();
    }
  }

  /** One session from its start to its end. */
  async #connection(library: Library, signal: AbortSignal, healthy: () => void): Promise<void> {
    const { host } = this.#options;
    let upMs: number | undefined;
    host.setStatus("connecting");
    try {
      await this.#session(library, signal, () => {
        upMs = host.clock.monotonicMs();
        healthy();
      });
    } catch (error) {
      signal.throwIfAborted();
      const text = error instanceof Error ? error.message : String(error);
      host.setStatus("disconnected", text);
      this.#startGrace();
      throw this.#next(error, upMs === undefined ? undefined : host.clock.monotonicMs() - upMs);
    }
  }

  /**
   * The failure with the pause after it: none when the session has lived for a while, else growing from attempt to attempt. A session that worked makes
   * the next pauses short again, however often it is lost.
   */
  #next(error: unknown, livedMs: number | undefined): unknown {
    if (!(isTalkFailure(error) || error instanceof TransientError)) {
      return error;
    }
    if (error instanceof TransientError && error.retryAfterMs !== undefined) {
      return error;
    }
    const { server } = this.#options;
    this.#failures += 1;
    const retryAfterMs =
      livedMs !== undefined && livedMs >= WORTH_MS
        ? 0
        : backoffMs(this.#failures, Math.random(), {
            firstMs: 1000 * server.reconnectBackoffInitialDelay,
            factor: server.reconnectBackoffFactor,
            ceilingMs: 0.8 * server.sessionTimeoutInMillis,
          });
    return new TransientError(error.message, { retryAfterMs, cause: error.cause });
  }

  async #session(library: Library, signal: AbortSignal, healthy: () => void): Promise<void> {
    const { server, host, commands } = this.#options;
    const { url, user } = endpointOf(server.url);
    const security = await prepareSecurity(url, { server, host, library }, signal);
    const { username, password = "" } = server.identity;
    const given = username === undefined || username === "" ? user : { name: username, password };
    await using session = await ServerSession.open(
      {
        url,
        user: given,
        security,
        timeoutMs: server.timeoutInMillis,
        sessionTimeoutMs: server.sessionTimeoutInMillis,
        name: `tbgw ${host.name}`,
        kept: this.#left?.session,
      },
      { library, clock: host.clock, log: host.log },
      signal,
    );
    healthy();
    using _commands = commands.attach(session);
    const before = this.#left?.namespaces ?? session.namespaces;
    this.#left = { session: session.raw, namespaces: session.namespaces };
    try {
      // Ids of nodes mean something else when the indexes of the namespaces have changed.
      await this.#serve(session, before.join("\n") === session.namespaces.join("\n"), signal);
    } catch (error) {
      if (!signal.aborted && isTalkFailure(error)) {
        session.lose(error.message); // Not closed: the next session may take up what it has.
      } else {
        session.finish();
      }
      throw error;
    }
  }

  async #serve(session: ServerSession, areSame: boolean, signal: AbortSignal): Promise<void> {
    const { server, host, intake } = this.#options;
    const subscriptions = this.#subscriptions;
    const watch = this.#watch;
    const over = new AbortController();
    const stop = AbortSignal.any([signal, over.signal]);
    const defect = Promise.withResolvers<never>();
    defect.promise.catch(() => undefined);
    const periodMs = Math.max(10, server.pollPeriodInMillis);
    const poller = new Poller({ session, host, intake, periodMs });
    watch.attach(poller);
    const attachment: Attachment = {
      session,
      signal: stop,
      onDefect: defect.reject,
      readAll: (items) => poller.readAll(items, stop),
      rebuilt: (items, answers) => watch.note(items, answers),
    };
    try {
      await subscriptions?.attach(attachment, areSame);
      await runAll(
        [
          (until) => lostOrDefect(session, defect.promise, until),
          (until) => this.#keepAlive(session, until),
          (until) => this.#scans(session, watch, until),
          (until) => poller.run(until),
          (until) => this.#readUndecodable(session, until),
        ],
        stop,
      );
    } finally {
      subscriptions?.detach();
      over.abort(new Error("the session is over"));
    }
  }

  async #readUndecodable(session: ServerSession, signal: AbortSignal): Promise<never> {
    for (;;) {
      await Promise.race([session.undecodable(), session.lost]);
      await this.#watch.readAgain(signal);
      await this.#options.host.clock.sleep(READ_AGAIN_MS, signal);
    }
  }

  async #keepAlive(session: ServerSession, signal: AbortSignal): Promise<never> {
    const { clock } = this.#options.host;
    const { AttributeIds } = session.library;
    for (;;) {
      await clock.sleep(KEEP_ALIVE_MS, signal);
      // Server.ServerStatus.State
      await session.read([{ nodeId: "i=2259", attributeId: AttributeIds.Value }], signal);
    }
  }

  async #scans(session: ServerSession, watch: Watch, signal: AbortSignal): Promise<never> {
    const { host, scanner, server } = this.#options;
    const periodMs = Math.max(1000, server.scanPeriodInMillis);
    for (;;) {
      let pauseMs = periodMs;
      try {
        const startMs = host.clock.monotonicMs();
        await scanner.scan(session, watch, signal);
        this.#failures = 0;
        this.#grace?.[Symbol.dispose]();
        this.#grace = undefined;
        const durationMs = Math.round(host.clock.monotonicMs() - startMs);
        const { size } = this.#options.devices;
        host.log.debug("The server was looked through", {
          devices: size,
          nodes: watch.size,
          durationMs,
        });
        host.setStatus("connected", `${size} devices, ${watch.size} nodes`);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof SessionLost || !isTalkFailure(error)) {
          throw error;
        }
        host.log.warn("The server could not be looked through", {
          error,
          retryInMs: SCAN_RETRY_MS,
        });
        host.setStatus("degraded", error.message);
        pauseMs = Math.min(periodMs, SCAN_RETRY_MS);
      }
      await host.clock.sleep(pauseMs, signal);
    }
  }

  /** Devices are told to be away only when the server stays away. */
  #startGrace(): void {
    const { host, server, devices } = this.#options;
    if (this.#grace === undefined && devices.size > 0) {
      const graceMs = GRACE_TIMES * server.sessionTimeoutInMillis;
      this.#grace = host.clock.timer(graceMs, () => {
        this.#disconnectAll().catch((error: unknown) => {
          host.log.error("Cannot disconnect devices", { error });
        });
      });
    }
  }

  async #disconnectAll(): Promise<void> {
    const { host, devices } = this.#options;
    for (const name of devices.keys()) {
      await host.devices.disconnect(name);
    }
  }

  #giveAdvice(): void {
    const { server, host } = this.#options;
    if (server.security !== undefined && wantedSecurity(server) === undefined) {
      host.log.warn("The connection is not secured although a policy is given", {
        because: "the identity has no certificate",
        instead: '"securityMode": "SignAndEncrypt"',
      });
    }
  }
}

async function lostOrDefect(
  session: ServerSession,
  defect: Promise<never>,
  signal: AbortSignal,
): Promise<void> {
  const onAbort = (): void => session.lose("The session is over");
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([session.lost, defect]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
