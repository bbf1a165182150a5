import { backoffMs } from "#sdk/backoff";
import type { ConnectorHost } from "#sdk/connector";
import { TransientError } from "#sdk/errors";
import { supervise } from "#sdk/supervise";
import type { BrokerConfig } from "./broker-config.ts";
import { BrokerClient, type ClientOptions } from "./client.ts";
import { Intake } from "./intake.ts";
import { reasonText } from "./reasons.ts";
import { RememberedFilters } from "./remembered.ts";
import type { Routes } from "./routes.ts";
import { tlsSettings } from "./security.ts";
import { planSubscriptions, type SubscriptionPlan, type Wanted } from "./subscriptions.ts";

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
}

/** Sessions in use in this process: two clients of one name end each other's connection for ever (MQTT 5 §3.1.4). */
const sessionsInUse = new Map<string, string>();

/** The link to one broker: connects, subscribes, takes messages, and connects again, until it is told to stop. */
export class BrokerLink {
  readonly #options: LinkOptions;
  readonly #clientId: string;
  readonly #clean: boolean;
  readonly #intake: Intake;
  readonly #defect = Promise.withResolvers<never>();

  constructor(options: LinkOptions) {
    const { broker, host, routes } = options;
    this.#options = options;
    this.#clientId = broker.clientId ?? clientIdOf(host.id);
    this.#clean = broker.version === 5 ? broker.cleanStart : broker.cleanSession;
    this.#intake = new Intake({
      host,
      convert: (message) => routes.convert(message),
      maxMessages: MAX_WAITING_MESSAGES,
      maxBytes: MAX_WAITING_BYTES,
      onDefect: (error) => this.#defect.reject(error),
    });
    // Nobody may be listening between two connections; the next one sees it.
    this.#defect.promise.catch(() => undefined);
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
      await this.#serve(client, signal, healthy);
    } catch (error) {
      if (!signal.aborted) {
        host.setStatus("disconnected", error instanceof Error ? error.message : undefined);
      }
      throw error;
    }
  }

  async #serve(client: BrokerClient, signal: AbortSignal, healthy: () => void): Promise<void> {
    const { clock } = this.#options.host;
    const stopped = Promise.withResolvers<void>();
    const over = new AbortController();
    const lost = client.closed.then((error) => Promise.reject(error));
    const onAbort = (): void => stopped.resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    const subscribing = this.#keepSubscribed(client, over.signal, healthy);
    try {
      const active = subscribing.then(() => stopped.promise);
      await Promise.race([active, stopped.promise, lost, this.#defect.promise]);
      client.stopReading();
      await this.#intake.drained(clock.deadline(DRAIN_MS, new AbortController().signal));
    } finally {
      signal.removeEventListener("abort", onAbort);
      over.abort();
      await subscribing.catch(() => undefined);
    }
    signal.throwIfAborted();
  }

  /** Subscribes, and goes on trying what the broker refuses; resolves when there is nothing to try any more. */
  async #keepSubscribed(
    client: BrokerClient,
    signal: AbortSignal,
    healthy: () => void,
  ): Promise<void> {
    const { host } = this.#options;
    await this.#unsubscribeOld(client);
    const granted = new Set<string>();
    let said = "";
    for (let attempt = 1; ; attempt += 1) {
      const { refused, impossible } = await this.#subscribe(client, granted);
      await this.#remember([...granted]);
      if (attempt === 1) {
        healthy();
      }
      const problems = [...impossible, ...refused].map(
        ([filter, reason]) => `${filter}: ${reason}`,
      );
      if (problems.length === 0) {
        host.setStatus("connected");
        return;
      }
      const detail = problems.join("; ");
      host.setStatus("degraded", detail);
      if (detail !== said) {
        host.log.error("The broker refuses subscriptions", { filters: detail });
        said = detail;
      }
      if (refused.size === 0) {
        return;
      }
      await host.clock.sleep(backoffMs(attempt, Math.random()), signal);
    }
  }

  /** Sends what is not granted yet. A refused filter covers no other any more, so those it covered are sent too. */
  async #subscribe(
    client: BrokerClient,
    granted: Set<string>,
  ): Promise<{
    readonly refused: ReadonlyMap<string, string>;
    readonly impossible: ReadonlyMap<string, string>;
  }> {
    const { broker, routes, wanted } = this.#options;
    const refused = new Map<string, string>();
    for (;;) {
      const plan = planSubscriptions(wanted, client.limits, new Set(refused.keys()));
      routes.setIdentifiers(plan.identifiers);
      const before = refused.size;
      for (const packet of plan.packets) {
        const filters = packet.filters.filter(({ filter }) => !granted.has(filter));
        if (filters.length === 0) {
          continue;
        }
        const retainHandling = broker.retainHandling;
        const codes = await client.subscribe({ ...packet, filters, retainHandling });
        for (const [index, { filter }] of filters.entries()) {
          const code = codes[index] ?? 0x80;
          if (code >= 0x80) {
            refused.set(filter, reasonText(code));
          } else {
            granted.add(filter);
          }
        }
      }
      if (refused.size === before) {
        return { refused, impossible: impossibleOf(plan) };
      }
    }
  }

  /** A persistent session keeps filters that are no longer configured, and their messages. */
  async #unsubscribeOld(client: BrokerClient): Promise<void> {
    if (this.#clean) {
      return;
    }
    const { host, wanted } = this.#options;
    const remembered = new RememberedFilters(host.dataDir, this.#session);
    const plan = planSubscriptions(wanted, client.limits);
    const planned = plan.packets.flatMap(({ filters }) => filters.map(({ filter }) => filter));
    const known = await remembered.read();
    const old = known.filter((filter) => !planned.includes(filter));
    // Written before anything is sent: a crash in between leaves a filter too many, never one too few.
    await this.#remember([...known, ...wanted.map(({ filter }) => filter)]);
    if (old.length > 0) {
      host.log.debug("Subscriptions that are no longer needed end", { filters: old });
      await client.unsubscribe(old);
    }
  }

  async #remember(filters: readonly string[]): Promise<void> {
    const { host } = this.#options;
    if (this.#clean) {
      return;
    }
    try {
      const remembered = new RememberedFilters(host.dataDir, this.#session);
      await remembered.write([...new Set(filters)]);
    } catch (error) {
      host.log.warn("Cannot write down the subscriptions of the session", { error });
    }
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

function impossibleOf(plan: SubscriptionPlan): ReadonlyMap<string, string> {
  return new Map(plan.impossible.map(({ filter, reason }) => [filter, reason]));
}

/** The same at each start. MQTT 3.1 (§3.1) allows 23 characters. */
function clientIdOf(connectorId: string): string {
  return `tbgw${connectorId.replaceAll("-", "")}`.slice(0, 23);
}
