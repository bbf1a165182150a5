import type { ConnectorHost } from "#sdk/connector";
import { type InvariantError, TransientError } from "#sdk/errors";
import { supervise } from "#sdk/supervise";
import type { BrokerConfig } from "./broker-config.ts";
import { BrokerClient, type Outgoing } from "./client.ts";
import type { ClientOptions } from "./held-acks.ts";
import { Intake } from "./intake.ts";
import type { Publisher } from "./publisher.ts";
import { RememberedFilters } from "./remembered.ts";
import type { Routes } from "./routes.ts";
import { tlsSettings } from "./security.ts";
import { Subscriber } from "./subscriber.ts";
import type { Wanted } from "./subscriptions.ts";

/** Unacknowledged messages an MQTT 5 broker may have on the way to us. */
const RECEIVE_MAXIMUM = 1000;
/** Messages that may wait for the store before reading stops; QoS 0 and brokers before MQTT 5 know no other limit. */
const MAX_WAITING_MESSAGES = 2000;
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** At the end: time for messages already taken to become durable and be acknowledged. */
const DRAIN_MS = 500;

/** What the link is made from. */
export interface LinkOptions {
  readonly broker: BrokerConfig;
  readonly host: ConnectorHost;
  readonly routes: Routes;
  readonly wanted: readonly Wanted[];
  /** Messages for devices that wait for a connection. */
  readonly publisher: Publisher;
}

/** Sessions in use in this process: two clients of one name end each other's connection for ever (MQTT 5 §3.1.4). */
const sessionsInUse = new Map<string, string>();

/** The link to one broker: connects, subscribes, takes messages, and connects again, until it is told to stop. */
export class BrokerLink {
  readonly #options: LinkOptions;
  readonly #clientId: string;
  readonly #clean: boolean;
  readonly #intake: Intake;
  /** A defect of the program, and who is to be told of it while there is a connection. */
  #defect: InvariantError | undefined;
  #onDefect: ((error: InvariantError) => void) | undefined;
  readonly #subscriber: Subscriber;
  #client: BrokerClient | undefined;

  constructor(options: LinkOptions) {
    const { broker, host, routes } = options;
    this.#options = options;
    // Editors write an empty text for "none".
    const { clientId = "" } = broker;
    this.#clientId = clientId.trim() === "" ? clientIdOf(host.id) : clientId;
    this.#clean = broker.version === 5 ? broker.cleanStart : broker.cleanSession;
    this.#intake = new Intake({
      host,
      convert: (message) => routes.convert(message),
      maxMessages: MAX_WAITING_MESSAGES,
      maxBytes: MAX_WAITING_BYTES,
      onDefect: (error) => {
        this.#defect ??= error;
        this.#onDefect?.(error);
      },
    });
    this.#subscriber = new Subscriber({
      host,
      wanted: options.wanted,
      retainHandling: broker.retainHandling,
      remembered: this.#clean ? undefined : new RememberedFilters(host, this.#session),
      setIdentifiers: (identifiers) => routes.setIdentifiers(identifiers),
    });
  }

  /** Runs until `signal` aborts. @throws InvariantError on a defect of the program */
  async run(signal: AbortSignal): Promise<void> {
    const { broker, host } = this.#options;
    this.#giveAdvice();
    const session = this.#session;
    await using _intake = this.#intake;
    try {
      await supervise(
        {
          name: `broker ${broker.host}:${broker.port}`,
          host,
          run: (stop, healthy) => this.#connection(stop, healthy),
        },
        signal,
      );
    } finally {
      if (sessionsInUse.get(session) === host.id) {
        sessionsInUse.delete(session);
      }
    }
  }

  /** Publishes one message now. @throws as `BrokerClient.publish`, TransientError when there is no connection */
  async publish(message: Outgoing): Promise<void> {
    if (this.#client === undefined) {
      throw new TransientError("broker not connected");
    }
    await this.#client.publish(message);
  }

  /** @see Subscriber.hold */
  async hold(topic: string, qos: 0 | 1 | 2, signal: AbortSignal): Promise<Disposable> {
    return await this.#subscriber.hold(topic, qos, signal);
  }

  get #session(): string {
    const { host, port } = this.#options.broker;
    return `${this.#clientId}@${host}:${port}`;
  }

  #giveAdvice(): void {
    const { broker, host } = this.#options;
    const { security } = broker;
    if (tlsSettings(security) === undefined && (security.pathToCACert ?? "") !== "") {
      host.log.warn("The connection is not encrypted although a CA is given", {
        because: `security.type is ${security.type}`,
        instead: '"tls": true',
      });
    }
    if (this.#clean) {
      const key = broker.version === 5 ? "cleanStart" : "cleanSession";
      host.log.warn("Messages published while the gateway is away from the broker are lost", {
        because: `${key} is true`,
      });
    } else if (broker.version === 5 && broker.sessionExpiryInterval === 0) {
      host.log.warn("Messages published while the gateway is away from the broker are lost", {
        because: "sessionExpiryInterval is 0",
      });
    }
  }

  /** One connection from its start to its end. */
  async #connection(signal: AbortSignal, healthy: () => void): Promise<void> {
    const { host } = this.#options;
    host.setStatus("connecting");
    try {
      this.#claimSession();
      await using client = await BrokerClient.open(this.#clientOptions(), signal);
      this.#client = client;
      await this.#serve(client, signal, healthy);
    } catch (error) {
      if (!signal.aborted) {
        host.setStatus("disconnected", error instanceof Error ? error.message : undefined);
      }
      throw error;
    } finally {
      this.#client = undefined;
      await this.#subscriber.leave();
    }
  }

  async #serve(client: BrokerClient, signal: AbortSignal, healthy: () => void): Promise<void> {
    const { clock } = this.#options.host;
    if (this.#defect !== undefined) {
      throw this.#defect; // It came to light between two connections.
    }
    // Of this connection alone: on a promise that outlives it each connection would leave something behind.
    const defect = Promise.withResolvers<never>();
    this.#onDefect = defect.reject;
    const stopped = Promise.withResolvers<void>();
    const over = new AbortController();
    const lost = client.closed.then((error) => Promise.reject(error));
    const onAbort = (): void => stopped.resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    const subscribing = this.#subscriber.keep(client, over.signal, healthy);
    const publishing = this.#options.publisher.run(
      (message) => client.publish(message),
      over.signal,
    );
    try {
      const active = subscribing.then(() => stopped.promise);
      await Promise.race([active, stopped.promise, lost, defect.promise]);
      client.stopReading();
      await this.#intake.drained(clock.deadline(DRAIN_MS, new AbortController().signal));
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#onDefect = undefined;
      this.#client = undefined;
      over.abort();
      // What still waits for an answer of the broker ends with the connection.
      await client[Symbol.asyncDispose]();
      await subscribing.catch(() => undefined);
      await publishing;
    }
    signal.throwIfAborted();
  }

  #claimSession(): void {
    const { id, name } = this.#options.host;
    const session = this.#session;
    const owner = sessionsInUse.get(session) ?? id;
    if (owner !== id) {
      throw new TransientError(
        `Client identifier "${this.#clientId}" of "${name}" is in use at this broker by the connector ${owner}: give one of them another "clientId"`,
        { retryAfterMs: 60_000 },
      );
    }
    sessionsInUse.set(session, id);
  }

  #clientOptions(): ClientOptions {
    const { broker, host } = this.#options;
    const { security } = broker;
    return {
      endpoint: { host: broker.host, port: broker.port, tls: tlsSettings(security) },
      version: broker.version,
      clientId: this.#clientId,
      username: security.username,
      password: security.username === undefined ? undefined : security.password,
      clean: this.#clean,
      sessionExpiryS: broker.sessionExpiryInterval,
      keepAliveS: broker.keepAlive,
      receiveMaximum: RECEIVE_MAXIMUM,
      intake: this.#intake,
      clock: host.clock,
    };
  }
}

/** The same at each start. MQTT 3.1 (§3.1) allows 23 characters. */
function clientIdOf(connectorId: string): string {
  return `tbgw${connectorId.replaceAll("-", "")}`.slice(0, 23);
}
