import { abortable } from "#sdk/abortable";
import { backoffMs } from "#sdk/backoff";
import type { ConnectorHost } from "#sdk/connector";
import { errorText, RejectedError, TransientError } from "#sdk/errors";
import type { BrokerClient } from "./client.ts";
import { reasonText } from "./reasons.ts";
import type { RememberedFilters } from "./remembered.ts";
import {
  planSubscriptions,
  REPLY_IDENTIFIER,
  type SubscribePacket,
  type Wanted,
} from "./subscriptions.ts";
import { filterCovers } from "./topics.ts";

/** What the subscriber needs of its surroundings. */
export interface SubscriberOptions {
  readonly host: ConnectorHost;
  readonly wanted: readonly Wanted[];
  /** MQTT 5: when the broker sends retained messages. */
  readonly retainHandling: 0 | 1 | 2;
  /** What a persistent session holds; `undefined` when the session ends with the connection. */
  readonly remembered: RememberedFilters | undefined;
  /** Told under which subscription identifier the broker delivers which filter, before anything is delivered. */
  readonly setIdentifiers: (identifiers: ReadonlyMap<string, number>) => void;
}

/** A topic somebody holds a subscription of. */
interface Held {
  readonly qos: 0 | 1 | 2;
  users: number;
  /** Settles with the broker's answer. */
  granted: Promise<void>;
}

/** Why filters are not served. */
interface Problems {
  readonly refused: ReadonlyMap<string, string>;
  readonly impossible: ReadonlyMap<string, string>;
}

/**
 * Keeps the subscriptions of a link: those of the configuration for as long as there is a connection, and those that single
 * calls need for the time of the call. Each connection begins anew.
 */
export class Subscriber {
  readonly #options: SubscriberOptions;
  readonly #optional: ReadonlySet<string>;
  readonly #held = new Map<string, Held>();
  /** Filters the broker serves on the current connection. */
  #granted = new Set<string>();
  #client: BrokerClient | undefined;
  /** The configured filters have been sent and answered on the current connection. */
  #ready = Promise.withResolvers<void>();
  readonly #goodbyes = new Set<Promise<void>>();

  constructor(options: SubscriberOptions) {
    this.#options = options;
    const needed = new Set(
      options.wanted.filter(({ optional }) => optional !== true).map(({ filter }) => filter),
    );
    this.#optional = new Set(
      options.wanted.map(({ filter }) => filter).filter((filter) => !needed.has(filter)),
    );
  }

  /**
   * Serves one connection: subscribes, calls `healthy`, and goes on trying what the broker refuses. Resolves when there is nothing
   * to try any more. Call `leave` when the connection has ended.
   */
  async keep(client: BrokerClient, signal: AbortSignal, healthy: () => void): Promise<void> {
    const { host } = this.#options;
    this.#client = client;
    this.#granted = new Set();
    await this.#unsubscribeOld(client);
    let said = "";
    for (let attempt = 1; ; attempt += 1) {
      const { refused, impossible } = await this.#subscribe(client);
      await this.#remember(this.#granted);
      if (attempt === 1) {
        healthy();
        this.#renewHeld(client);
        this.#ready.resolve();
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

  /** The connection has ended. */
  async leave(): Promise<void> {
    this.#client = undefined;
    this.#ready.resolve();
    this.#ready = Promise.withResolvers<void>();
    await Promise.all(this.#goodbyes);
  }

  /**
   * Makes sure that messages of a topic arrive until the result is disposed, over reconnects too. Resolves when the broker has
   * granted it; a filter that covers the topic does. @throws RejectedError when the broker refuses it, TransientError when there
   * is no connection
   */
  async hold(topic: string, qos: 0 | 1 | 2, signal: AbortSignal): Promise<Disposable> {
    await this.#untilReady(signal);
    const client = this.#client;
    if (client === undefined) {
      throw new TransientError("broker not connected");
    }
    const known = this.#held.get(topic);
    if (known === undefined && this.#isCovered(topic)) {
      return { [Symbol.dispose]: () => undefined };
    }
    const held = known ?? { qos, users: 0, granted: Promise.resolve() };
    this.#held.set(topic, held);
    held.users += 1;
    if (known === undefined) {
      this.#grant(client, topic, held);
    }
    try {
      await abortable(held.granted, signal);
    } catch (error) {
      this.#release(topic, held);
      throw error;
    }
    return { [Symbol.dispose]: () => this.#release(topic, held) };
  }

  async #untilReady(signal: AbortSignal): Promise<void> {
    if (this.#client !== undefined) {
      await abortable(this.#ready.promise, signal);
    }
  }

  #isCovered(topic: string): boolean {
    return [...this.#granted].some((filter) => filterCovers(filter, topic));
  }

  #release(topic: string, held: Held): void {
    held.users -= 1;
    if (held.users > 0 || this.#held.get(topic) !== held) {
      return;
    }
    this.#held.delete(topic);
    const client = this.#client;
    if (client === undefined || this.#granted.has(topic)) {
      return;
    }
    // Nobody waits for the end of a subscription, but the connection must not be given up before it is sent.
    const goodbye = client
      .unsubscribe([topic])
      .catch((error: unknown) =>
        this.#options.host.log.debug("Cannot end a subscription", { topic, error }),
      )
      .then(() => {
        this.#goodbyes.delete(goodbye);
      });
    this.#goodbyes.add(goodbye);
  }

  /** Calls that began on an earlier connection still wait for their responses. */
  #renewHeld(client: BrokerClient): void {
    for (const [topic, held] of this.#held) {
      if (!this.#isCovered(topic)) {
        this.#grant(client, topic, held);
      }
    }
  }

  #grant(client: BrokerClient, topic: string, held: Held): void {
    held.granted = this.#subscribeOne(client, topic, held.qos);
    // Whoever waits for it gets the error; on a later connection nobody may.
    held.granted.catch((error: unknown) =>
      this.#options.host.log.debug("Cannot subscribe for a response", { topic, error }),
    );
  }

  async #subscribeOne(client: BrokerClient, topic: string, qos: 0 | 1 | 2): Promise<void> {
    await this.#remember(this.#granted);
    const [code = 0x80] = await client.subscribe({
      filters: [{ filter: topic, qos }],
      identifier: client.limits.subscriptionIdentifiers ? REPLY_IDENTIFIER : undefined,
      retainHandling: 2,
    });
    if (code >= 0x80) {
      throw new RejectedError(
        `The broker refuses the subscription to ${topic}: ${reasonText(code)}`,
      );
    }
  }

  /** Sends what is not granted yet. A refused filter covers no other any more, so those it covered are sent too. */
  async #subscribe(client: BrokerClient): Promise<Problems> {
    const { setIdentifiers, wanted } = this.#options;
    const refused = new Map<string, string>();
    for (;;) {
      const plan = planSubscriptions(wanted, client.limits, new Set(refused.keys()));
      setIdentifiers(plan.identifiers);
      const before = refused.size;
      for (const packet of plan.packets) {
        await this.#sendPacket(client, packet, refused);
      }
      if (refused.size === before) {
        const impossible = plan.impossible.filter(({ optional }) => !optional);
        return {
          refused: this.#needed(refused),
          impossible: new Map(impossible.map(({ filter, reason }) => [filter, reason])),
        };
      }
    }
  }

  async #sendPacket(
    client: BrokerClient,
    packet: SubscribePacket,
    refused: Map<string, string>,
  ): Promise<void> {
    const { retainHandling } = this.#options;
    const filters = packet.filters.filter(({ filter }) => !this.#granted.has(filter));
    if (filters.length === 0) {
      return;
    }
    const codes = await client.subscribe({ ...packet, filters, retainHandling });
    for (const [index, { filter }] of filters.entries()) {
      const code = codes[index] ?? 0x80;
      if (code >= 0x80) {
        refused.set(filter, reasonText(code));
      } else {
        this.#granted.add(filter);
      }
    }
  }

  /** Without those that only make things better, which are said once. */
  #needed(refused: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
    const { log } = this.#options.host;
    const needed = [...refused].filter(([filter]) => !this.#optional.has(filter));
    for (const [filter, reason] of refused) {
      if (this.#optional.has(filter)) {
        log.info("The broker refuses a subscription for responses, each call subscribes itself", {
          filter,
          reason,
        });
      }
    }
    return new Map(needed);
  }

  /** A persistent session keeps filters that are no longer configured, and their messages. */
  async #unsubscribeOld(client: BrokerClient): Promise<void> {
    const { host, wanted, remembered } = this.#options;
    if (remembered === undefined) {
      return;
    }
    const plan = planSubscriptions(wanted, client.limits);
    const planned = plan.packets.flatMap(({ filters }) => filters.map(({ filter }) => filter));
    const known = await remembered.read();
    const old = known.filter((filter) => !planned.includes(filter) && !this.#held.has(filter));
    // Written before anything is sent: a crash in between leaves a filter too many, never one too few.
    await this.#remember([...known, ...wanted.map(({ filter }) => filter)]);
    if (old.length > 0) {
      host.log.debug("Subscriptions that are no longer needed end", { filters: old });
      await client.unsubscribe(old);
    }
  }

  async #remember(filters: Iterable<string>): Promise<void> {
    const { host, remembered } = this.#options;
    try {
      await remembered?.write([...new Set([...filters, ...this.#held.keys()])]);
    } catch (error) {
      host.log.warn("Cannot write down the subscriptions of the session", {
        error: errorText(error),
      });
    }
  }
}
