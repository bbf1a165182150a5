import { REFUSED_RETRY_MS } from "#sdk/backoff";
import type { Clock } from "#sdk/clock";
import { assert, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import {
  ConnectRefused,
  ConnectUnanswered,
  type LinkListener,
  MqttLink,
  type ProtocolVersion,
} from "./link.ts";
import { type Identity, Provisioner } from "./provisioning.ts";
import { isCredentialsCode, isVersionCode, reasonText } from "./reasons.ts";
import type { SessionSettings } from "./settings.ts";
import { type Endpoint, type Lookup, openSocket, resolve } from "./transport.ts";

/** Connections that keep to MQTT 3.1.1 before MQTT 5 is tried again: after a plain refusal, and after a mere hang-up. */
const KEEP_AFTER_REFUSAL = 10;
const KEEP_AFTER_HANGUP = 2;
/** Longest time for the socket, and again for CONNACK. */
const STEP_TIMEOUT_MS = 10_000;
/** The same while there is another address to try; after three failures the line may be slow, not the server away. */
const SHORT_STEP_MS = 4000;
const SHORT_STEPS = 3;

/** What a dialer needs. */
export interface DialerHost {
  readonly clock: Clock;
  readonly log: Logger;
  readonly lookup?: Lookup;
}

/** One connection to open. */
interface Dial {
  readonly endpoint: Endpoint;
  readonly identity: Identity;
  readonly listener: LinkListener;
}

/**
 * Opens connections: hosts and their addresses in turn, MQTT 5 first, 3.1.1 where the server refuses that. Without
 * credentials it asks the platform for them first.
 */
export class Dialer {
  readonly #settings: SessionSettings;
  readonly #host: DialerHost;
  #queue: readonly Endpoint[] = [];
  #hostIndex = 0;
  /** Whether there is another address to try when one does not answer. */
  #isOneOfSeveral: boolean;
  /** Connections that failed since the last one that did not. */
  #failures = 0;
  readonly #provisioner: Provisioner | undefined;
  /** Connections that still begin with 3.1.1, by host. */
  readonly #keep311 = new Map<string, number>();

  constructor(settings: SessionSettings, host: DialerHost) {
    this.#settings = settings;
    this.#host = host;
    this.#isOneOfSeveral = settings.hosts.length > 1;
    const { credentials, tls } = settings;
    this.#provisioner =
      credentials.kind === "provisioning" ? new Provisioner(credentials, tls, host) : undefined;
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
      // A proxy looks names up itself, perhaps better than we can.
      this.#queue =
        this.#settings.proxy === undefined
          ? await resolve(target, this.#host, signal)
          : [{ ...target, address: target.host }];
      this.#isOneOfSeveral = hosts.length > 1 || this.#queue.length > 1;
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
   * @throws TransientError in words; with `retryAfterMs` 60 s when the credentials, or the request for some, are refused.
   */
  async open(endpoint: Endpoint, listener: LinkListener, signal: AbortSignal): Promise<MqttLink> {
    this.#failures += 1;
    const identity = await this.#identity(endpoint, signal);
    const link = await this.#dial({ endpoint, identity, listener }, signal);
    this.#failures = 0;
    return link;
  }

  async #identity(endpoint: Endpoint, signal: AbortSignal): Promise<Identity> {
    const { credentials, tls } = this.#settings;
    if (credentials.kind !== "provisioning") {
      return { credentials, tls };
    }
    assert(this.#provisioner !== undefined, "without credentials there is a provisioner");
    return await this.#provisioner.identity(
      (identity, listener) => this.#dial({ endpoint, identity, listener }, signal),
      signal,
    );
  }

  async #dial(dial: Dial, signal: AbortSignal): Promise<MqttLink> {
    const { host } = dial.endpoint;
    const kept = this.#keep311.get(host) ?? 0;
    if (kept > 0) {
      this.#keep311.set(host, kept - 1);
      return await this.#attempt(dial, 4, signal).catch(refuse);
    }
    try {
      return await this.#attempt5(dial, signal);
    } catch (error) {
      const hangup = error instanceof ConnectUnanswered;
      if (!hangup && !(error instanceof ConnectRefused && isVersionCode(error.code))) {
        return refuse(error);
      }
      const link = await this.#attempt(dial, 4, signal).catch(refuse);
      this.#keep311.set(host, hangup ? KEEP_AFTER_HANGUP : KEEP_AFTER_REFUSAL);
      this.#host.log.warn(
        "The server does not accept MQTT 5: using 3.1.1, which cannot tell why it refuses data",
        { host },
      );
      return link;
    }
  }

  /** A line that is cut looks like a server that hangs up on MQTT 5, and 3.1.1 would hide refusals for as long as the connection lasts. */
  async #attempt5(dial: Dial, signal: AbortSignal): Promise<MqttLink> {
    try {
      return await this.#attempt(dial, 5, signal);
    } catch (error) {
      if (error instanceof ConnectUnanswered) {
        return await this.#attempt(dial, 5, signal);
      }
      throw error;
    }
  }

  async #attempt(dial: Dial, version: ProtocolVersion, signal: AbortSignal): Promise<MqttLink> {
    const { clock } = this.#host;
    const { credentials, tls } = dial.identity;
    const { keepAliveSeconds, proxy } = this.#settings;
    const isShort = this.#isOneOfSeveral && this.#failures <= SHORT_STEPS;
    const timeoutMs = isShort ? SHORT_STEP_MS : STEP_TIMEOUT_MS;
    const socket = await openSocket(
      { endpoint: dial.endpoint, tls, proxy, clock, timeoutMs },
      signal,
    );
    return await MqttLink.open(
      socket,
      { version, credentials, keepAliveSeconds, clock, timeoutMs },
      dial.listener,
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
