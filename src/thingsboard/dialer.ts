import { REFUSED_RETRY_MS } from "#sdk/backoff";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import {
  ConnectRefused,
  ConnectUnanswered,
  type LinkListener,
  MqttLink,
  type ProtocolVersion,
} from "./link.ts";
import { isCredentialsCode, isVersionCode, reasonText } from "./reasons.ts";
import type { SessionSettings } from "./settings.ts";
import { type Endpoint, openSocket, resolve } from "./transport.ts";

/** Connections that keep to MQTT 3.1.1 before MQTT 5 is tried again: after a plain refusal, and after a mere hang-up. */
const KEEP_AFTER_REFUSAL = 10;
const KEEP_AFTER_HANGUP = 2;

/** What a dialer needs. */
export interface DialerHost {
  readonly clock: Clock;
  readonly log: Logger;
}

/** Opens connections: hosts and their addresses in turn, MQTT 5 first, 3.1.1 where the server refuses that. */
export class Dialer {
  readonly #settings: SessionSettings;
  readonly #host: DialerHost;
  #queue: readonly Endpoint[] = [];
  #hostIndex = 0;
  /** Connections that still begin with 3.1.1, by host. */
  readonly #keep311 = new Map<string, number>();

  constructor(settings: SessionSettings, host: DialerHost) {
    this.#settings = settings;
    this.#host = host;
  }

  /** The next address to try: each host's addresses, then the next host's, round and round. @throws TransientError */
  async next(signal: AbortSignal): Promise<Endpoint> {
    if (this.#queue.length === 0) {
      const { hosts } = this.#settings;
      const target = hosts[this.#hostIndex % Math.max(1, hosts.length)];
      if (target === undefined) {
        throw new TransientError("No host of the platform is configured");
      }
      this.#hostIndex += 1;
      this.#queue = await resolve(target, this.#host.clock, signal);
    }
    const [endpoint, ...rest] = this.#queue;
    if (endpoint === undefined) {
      throw new TransientError("The host of the platform has no address");
    }
    this.#queue = rest;
    return endpoint;
  }

  /**
   * Opens a connection to one address, up to CONNACK.
   * @throws TransientError in words; with `retryAfterMs` 60 s when the credentials are refused.
   */
  async open(endpoint: Endpoint, listener: LinkListener, signal: AbortSignal): Promise<MqttLink> {
    const kept = this.#keep311.get(endpoint.host) ?? 0;
    if (kept > 0) {
      this.#keep311.set(endpoint.host, kept - 1);
      return await this.#attempt({ endpoint, version: 4, listener }, signal).catch(refuse);
    }
    try {
      return await this.#attempt({ endpoint, version: 5, listener }, signal);
    } catch (error) {
      const hangup = error instanceof ConnectUnanswered;
      if (!hangup && !(error instanceof ConnectRefused && isVersionCode(error.code))) {
        return refuse(error);
      }
      const link = await this.#attempt({ endpoint, version: 4, listener }, signal).catch(refuse);
      this.#keep311.set(endpoint.host, hangup ? KEEP_AFTER_HANGUP : KEEP_AFTER_REFUSAL);
      this.#host.log.warn(
        "The server does not accept MQTT 5: using 3.1.1, which cannot tell why it refuses data",
        { host: endpoint.host },
      );
      return link;
    }
  }

  async #attempt(
    attempt: {
      readonly endpoint: Endpoint;
      readonly version: ProtocolVersion;
      readonly listener: LinkListener;
    },
    signal: AbortSignal,
  ): Promise<MqttLink> {
    const { clock } = this.#host;
    const { credentials, keepAliveSeconds, tls } = this.#settings;
    const socket = await openSocket(attempt.endpoint, tls, clock, signal);
    return await MqttLink.open(
      socket,
      { version: attempt.version, credentials, keepAliveSeconds, clock },
      attempt.listener,
      signal,
    );
  }
}

/** Turns a failed CONNECT into the error that `supervise` acts on. */
function refuse(error: unknown): never {
  if (error instanceof ConnectRefused) {
    throw new TransientError(
      `The platform refuses the connection: ${reasonText(error.code)}`,
      isCredentialsCode(error.code) ? { retryAfterMs: REFUSED_RETRY_MS } : {},
    );
  }
  if (error instanceof ConnectUnanswered) {
    throw new TransientError("The platform closes the connection instead of answering CONNECT", {
      cause: error.cause,
    });
  }
  throw error;
}
