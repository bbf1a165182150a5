import type { ClientSubscription } from "node-opcua-client";
import { Alarm } from "#sdk/alarm";
import type { ConnectorHost } from "#sdk/connector";
import { assert } from "#sdk/errors";
import type { ServerSession } from "./client.ts";
import type { Item } from "./device.ts";
import { isBad, isTalkFailure, ServiceFault, type Status, whateverItSays } from "./failures.ts";
import type { Intake } from "./intake.ts";
import { ItemRoom, isFull } from "./item-room.ts";
import {
  NotificationReader,
  type NotificationSource,
  newSampled,
  type Sampled,
} from "./notifications.ts";
import type { ServerConfig } from "./server-config.ts";
import { SharedSubscription, type SubscriptionListener } from "./shared-subscription.ts";
import { recoverSubscriptions, suspendPublishing } from "./subscription-recovery.ts";

/** While the store is behind, it is asked so often whether it still is. */
const BEHIND_MS = 500;

/** A monitored item on the server. */
interface Monitored extends Sampled {
  readonly shared: SharedSubscription;
  id: number;
}

/** What subscriptions are made from. */
export interface SubscriptionsOptions {
  readonly server: ServerConfig;
  readonly host: ConnectorHost;
  readonly intake: Intake;
}

/** The session they are on. */
export interface Attachment extends NotificationSource {
  /** Reads these once. @throws when the server does not answer */
  readonly readAll: (items: readonly Item[]) => Promise<unknown>;
  /** What became of the items of a subscription that was replaced. */
  readonly rebuilt: (items: readonly Item[], answers: readonly Watched[]) => void;
}

/** What became of an item. */
export type Watched = "watched" | "full" | { readonly refused: Status };

/** The subscriptions of one server: few, shared by all devices, one monitored item for each node. They outlive a session where the server lets them. */
export class Subscriptions implements Disposable {
  readonly #options: SubscriptionsOptions;
  readonly #reader: NotificationReader;
  #attachment: Attachment | undefined;
  #shared: SharedSubscription[] = [];
  /** By client handle. */
  readonly #handles: (Monitored | undefined)[] = [undefined];
  readonly #byKey = new Map<string, number>();
  readonly #alarm: Alarm;
  /** Changes are made one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #isPaused = false;
  readonly #room = new ItemRoom();

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
    const { host, intake } = options;
    this.#alarm = new Alarm(host.clock, () => this.#watch());
    this.#reader = new NotificationReader(host, intake, () => {
      if (intake.isBehind !== this.#isPaused) {
        // Reading goes on; the server keeps what comes meanwhile.
        this.#alarm.at(host.clock.monotonicMs() + (intake.isBehind ? BEHIND_MS : 1));
      }
    });
  }

  /** Whether the node of this key is watched. */
  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  /**
   * Goes on with a session. Subscriptions that the server still has go on with what they kept meanwhile, unless `areValid` is
   * false; the items of the others are no longer watched. @throws SessionLost, NoAnswer
   */
  async attach(attachment: Attachment, areValid: boolean): Promise<void> {
    this.#attachment = attachment;
    const { session } = attachment;
    const subscriptions = this.#shared.map(({ subscription }) => subscription);
    for (const shared of this.#shared) {
      shared.resume();
    }
    const going = areValid
      ? await recoverSubscriptions(session, subscriptions)
      : new Set<ClientSubscription>();
    for (const shared of this.#shared) {
      if (going.has(shared.subscription)) {
        shared.touch();
        this.#alarm.at(shared.dueMs);
      } else {
        this.#forgetAll(shared);
        if (session.isResumed) {
          await this.#delete(shared);
        }
      }
    }
    if (subscriptions.length > 0) {
      const taken = going.size;
      this.#options.host.log.info(
        taken === 0
          ? "The subscriptions are built anew"
          : "The subscriptions go on; nothing that the server kept is lost",
        { taken, anew: subscriptions.length - taken },
      );
    }
    if (this.#isPaused) {
      this.#alarm.at(this.#options.host.clock.monotonicMs() + 1);
    }
  }

  /** The session is over; whatever the server keeps may be taken up by the next one. */
  detach(): void {
    this.#attachment = undefined;
    this.#alarm[Symbol.dispose]();
    for (const { subscription } of this.#shared) {
      suspendPublishing(subscription);
    }
  }

  /** Watches nodes. The answers are in order; each first value follows by itself. @throws SessionLost, NoAnswer */
  async add(items: readonly Item[]): Promise<readonly Watched[]> {
    return await this.#inTurn(() => this.#add(items));
  }

  /** Watches nodes no more. What the server says to it does not matter. */
  async remove(keys: readonly string[]): Promise<void> {
    await this.#inTurn(() => this.#remove(keys));
  }

  [Symbol.dispose](): void {
    this.#alarm[Symbol.dispose]();
    for (const shared of this.#shared) {
      shared.mute();
    }
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return await mine;
  }

  get #session(): ServerSession {
    const session = this.#attachment?.session;
    assert(session !== undefined, "subscriptions are changed within a session");
    return session;
  }

  async #add(items: readonly Item[]): Promise<readonly Watched[]> {
    const answers = new Map<Item, Watched>();
    let left: readonly Item[] = items.filter(({ key }) => !this.#byKey.has(key));
    while (left.length > 0) {
      const shared = await this.#withRoom();
      const some = left.slice(0, shared === undefined ? left.length : this.#room.sizeOf(shared));
      const made = shared === undefined ? [] : await this.#create(shared, some);
      for (const [index, item] of some.entries()) {
        answers.set(item, made[index] ?? "full");
      }
      const refused = some.filter((item) => answers.get(item) === "full");
      left = left.slice(some.length);
      if (shared !== undefined && refused.length > 0) {
        this.#room.refused(shared);
        left = [...refused, ...left]; // Another subscription may take them.
      }
    }
    return items.map((item) => answers.get(item) ?? "watched");
  }

  async #remove(keys: readonly string[]): Promise<void> {
    const bySubscription = new Map<SharedSubscription, number[]>();
    for (const key of keys) {
      const handle = this.#byKey.get(key);
      const monitored = handle === undefined ? undefined : this.#handles[handle];
      if (handle !== undefined && monitored !== undefined) {
        this.#forget(handle);
        const ids = bySubscription.get(monitored.shared) ?? [];
        ids.push(monitored.id);
        bySubscription.set(monitored.shared, ids);
      }
    }
    const session = this.#session;
    for (const [{ subscription }, ids] of bySubscription) {
      const { subscriptionId } = subscription;
      await whateverItSays(
        session.many("monitor", ids, (part) =>
          session.call("the deletion of monitored items", async () => {
            const request = { subscriptionId, monitoredItemIds: [...part] };
            return (await session.rawService().deleteMonitoredItems(request)).results ?? [];
          }),
        ),
      );
    }
  }

  async #create(shared: SharedSubscription, items: readonly Item[]): Promise<readonly Watched[]> {
    const { server } = this.#options;
    const session = this.#session;
    const { AttributeIds, MonitoringMode } = session.library;
    const samplingInterval =
      server.subSamplingIntervalInMillis ?? Math.max(100, server.subCheckPeriodInMillis);
    const handles = items.map((item) => this.#register(shared, item));
    const requests = items.map((item, index) => ({
      itemToMonitor: { nodeId: item.id, attributeId: AttributeIds.Value },
      monitoringMode: MonitoringMode.Reporting,
      requestedParameters: {
        clientHandle: handles[index] ?? 0,
        samplingInterval,
        queueSize: server.subQueueSize,
        discardOldest: true,
        filter: null,
      },
    }));
    try {
      const { subscriptionId } = shared.subscription;
      const most = server.subscriptionProcessBatchSize;
      const results = await session.monitor(subscriptionId, requests, most);
      return handles.map((handle, index) => this.#note(handle, results[index]));
    } catch (error) {
      for (const handle of handles) {
        this.#forget(handle); // The next scan asks for them again.
      }
      throw error;
    }
  }

  /** What the server said to the creation of an item. */
  #note(
    handle: number,
    result: { readonly statusCode: Status; readonly monitoredItemId: number } | undefined,
  ): Watched {
    const monitored = this.#handles[handle];
    if (result !== undefined && monitored !== undefined && !isBad(result.statusCode)) {
      monitored.id = result.monitoredItemId;
      return "watched";
    }
    this.#forget(handle);
    const refused = result?.statusCode ?? this.#session.library.StatusCodes.BadUnexpectedError;
    return isFull(refused) ? "full" : { refused };
  }

  #register(shared: SharedSubscription, item: Item): number {
    const handle = this.#handles.push({ ...newSampled(item), shared, id: 0 }) - 1;
    this.#byKey.set(item.key, handle);
    shared.size += 1;
    return handle;
  }

  #forget(handle: number): void {
    const monitored = this.#handles[handle];
    if (monitored !== undefined) {
      this.#handles[handle] = undefined;
      this.#byKey.delete(monitored.item.key);
      monitored.shared.size -= 1;
    }
  }

  #itemsOf(shared: SharedSubscription): readonly Item[] {
    return this.#handles
      .filter((monitored) => monitored?.shared === shared)
      .flatMap((monitored) => (monitored === undefined ? [] : [monitored.item]));
  }

  /** The items of a subscription that is no more. */
  #forgetAll(shared: SharedSubscription): readonly Item[] {
    const items = this.#itemsOf(shared);
    for (const { key } of items) {
      this.#forget(this.#byKey.get(key) ?? 0);
    }
    shared.mute();
    this.#shared = this.#shared.filter((other) => other !== shared);
    this.#room.clear();
    return items;
  }

  /** A subscription that takes more; `undefined` when the server has no room. */
  async #withRoom(): Promise<SharedSubscription | undefined> {
    const found = this.#room.of(this.#shared);
    if (found !== "another") {
      return found === "none" ? undefined : found;
    }
    try {
      return await this.#open();
    } catch (error) {
      if (error instanceof ServiceFault && isFull(error.status) && this.#shared.length > 0) {
        this.#room.noOther();
        return await this.#withRoom();
      }
      throw error;
    }
  }

  async #open(): Promise<SharedSubscription> {
    const { server, host } = this.#options;
    const listener: SubscriptionListener = {
      data: (changes, mayRepeat) => {
        if (this.#attachment !== undefined) {
          const source = { ...this.#attachment, mayRepeat };
          this.#reader.take(changes, (handle) => this.#handles[handle], source);
        }
      },
      undecodable: () => this.#attachment?.session.noteUndecodable(),
      ended: (why) => this.#attachment?.session.lose(`The subscription ended: ${why}`),
    };
    const { clock } = host;
    const signal = this.#attachment?.signal ?? AbortSignal.abort();
    const shared = await SharedSubscription.open(
      this.#session,
      { server, clock },
      listener,
      signal,
    );
    this.#shared.push(shared);
    this.#alarm.at(shared.dueMs);
    return shared;
  }

  /** Tells the server to keep its notifications, or to send them again. */
  #setPaused(isPaused: boolean): void {
    if (isPaused === this.#isPaused) {
      return;
    }
    this.#isPaused = isPaused;
    if (isPaused) {
      this.#options.host.metrics.count("publishingPaused");
    }
    for (const { subscription } of this.#shared) {
      subscription.setPublishingMode(!isPaused).catch(() => undefined); // The watchdog sees a dead session.
    }
  }

  /** Whether each subscription still speaks. */
  #watch(): void {
    const { host, intake } = this.#options;
    if (this.#attachment === undefined) {
      return;
    }
    const nowMs = host.clock.monotonicMs();
    this.#setPaused(intake.isBehind);
    if (intake.isBehind) {
      this.#alarm.at(nowMs + BEHIND_MS);
    }
    for (const shared of this.#shared) {
      const { trouble } = shared;
      if (trouble !== undefined) {
        shared.touch(); // The server has time for the repair.
        this.#rebuild(shared, trouble);
      }
      this.#alarm.at(Math.max(shared.dueMs, nowMs + 10));
    }
  }

  /** Replaces a subscription that seems dead. What the session makes of it decides about the session. */
  #rebuild(shared: SharedSubscription, because: string): void {
    const attachment = this.#attachment;
    if (attachment === undefined) {
      return;
    }
    const { session, onDefect } = attachment;
    if (!shared.isHeard) {
      session.lose(`The subscription cannot be used: ${because}`);
      return;
    }
    const { log, metrics } = this.#options.host;
    const work = async (): Promise<void> => {
      if (this.#attachment === attachment && this.#shared.includes(shared)) {
        log.warn("A subscription is built anew", { because, nodes: shared.size });
        metrics.count("subscriptionsRebuilt");
        await attachment.readAll(this.#itemsOf(shared));
        const items = this.#forgetAll(shared);
        await this.#delete(shared);
        attachment.rebuilt(items, await this.#add(items));
      }
    };
    this.#inTurn(work).catch((error: unknown) => {
      if (isTalkFailure(error)) {
        session.lose(error.message);
      } else {
        onDefect(error);
      }
    });
  }

  async #delete({ subscription }: SharedSubscription): Promise<void> {
    await whateverItSays(
      this.#session.call("the deletion of a subscription", () => subscription.terminate()),
    );
  }
}
