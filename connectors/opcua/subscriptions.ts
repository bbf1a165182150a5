import type { ClientSubscription, DataValue, MonitoredItemNotification } from "node-opcua-client";
import { Alarm } from "#sdk/alarm";
import type { ConnectorHost } from "#sdk/connector";
import type { ServerSession } from "./client.ts";
import { BUILTIN } from "./codec.ts";
import type { Item } from "./device.ts";
import { isBad, ServiceFault, type Status } from "./failures.ts";
import type { Intake } from "./intake.ts";
import { partsOf } from "./limits.ts";
import type { ServerConfig } from "./server-config.ts";
import { startSubscription, type Timing } from "./subscription-start.ts";

/** Items of one subscription, where the server allows more. */
const MAX_ITEMS = 5000;
/** Notifications with structures that may wait for their types. */
const MAX_WAITING_STRUCTURES = 100;
/** A subscription is silent after so many of its keep-alive times. */
const SILENT_TIMES = 3;
const MIN_SILENT_MS = 10_000;
/** The server has no room for more. */
const FULL = new Set(["BadTooManyMonitoredItems", "BadTooManySubscriptions", "BadOutOfMemory"]);

/** A monitored item on the server. */
interface Monitored {
  readonly item: Item;
  readonly shared: Shared;
  id: number;
  /** The samples of the notification that is being read, when there are several. */
  samples: DataValue[] | undefined;
}

/** A subscription with its items. */
interface Shared {
  readonly subscription: ClientSubscription;
  readonly silentMs: number;
  size: number;
  heardMs: number;
  dataMs: number;
}

/** What subscriptions are made from. */
export interface SubscriptionsOptions {
  readonly session: ServerSession;
  readonly server: ServerConfig;
  readonly host: ConnectorHost;
  readonly intake: Intake;
  /** Aborts with the session. */
  readonly signal: AbortSignal;
  /** The store failed, or there is a defect. */
  readonly onDefect: (error: unknown) => void;
}

/** What became of an item. */
export type Watched = "watched" | "full" | { readonly refused: Status };

/** The subscriptions of one session: few, shared by all devices, one monitored item for each node. */
export class Subscriptions implements Disposable {
  readonly #options: SubscriptionsOptions;
  readonly #shared: Shared[] = [];
  /** By client handle. */
  readonly #handles: (Monitored | undefined)[] = [undefined];
  readonly #byKey = new Map<string, number>();
  readonly #alarm: Alarm;
  #waitingStructures = 0;
  #isPaused = false;
  #isFull = false;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
    this.#alarm = new Alarm(options.host.clock, () => this.#watch());
  }

  /** Items that are watched. */
  get size(): number {
    return this.#byKey.size;
  }

  /** Whether the node of this key is watched. */
  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  /** Watches nodes. The answers are in order; each first value follows by itself. @throws SessionLost, NoAnswer */
  async add(items: readonly Item[]): Promise<readonly Watched[]> {
    const answers: Watched[] = [];
    for (const part of partsOf(items, MAX_ITEMS)) {
      answers.push(...(await this.#addPart(part)));
    }
    return answers;
  }

  /** Watches nodes no more. What the server says to it does not matter. */
  async remove(keys: readonly string[]): Promise<void> {
    const bySubscription = new Map<Shared, number[]>();
    for (const key of keys) {
      const handle = this.#byKey.get(key);
      const monitored = handle === undefined ? undefined : this.#handles[handle];
      if (handle === undefined || monitored === undefined) {
        continue;
      }
      this.#byKey.delete(key);
      this.#handles[handle] = undefined;
      monitored.shared.size -= 1;
      const ids = bySubscription.get(monitored.shared) ?? [];
      ids.push(monitored.id);
      bySubscription.set(monitored.shared, ids);
    }
    const { session } = this.#options;
    for (const [{ subscription }, ids] of bySubscription) {
      const { subscriptionId } = subscription;
      await session
        .many("monitor", ids, (part) =>
          session.call("the deletion of monitored items", async () => {
            const request = { subscriptionId, monitoredItemIds: [...part] };
            return (await session.rawService().deleteMonitoredItems(request)).results ?? [];
          }),
        )
        .catch((error: unknown) => {
          if (!(error instanceof ServiceFault)) {
            throw error;
          }
        });
    }
  }

  [Symbol.dispose](): void {
    this.#alarm[Symbol.dispose]();
    for (const { subscription } of this.#shared) {
      subscription.removeAllListeners("raw_notification");
    }
  }

  /** At most `MAX_ITEMS`. */
  async #addPart(items: readonly Item[]): Promise<readonly Watched[]> {
    const answers: Watched[] = [];
    let left = items;
    while (left.length > 0) {
      const shared = await this.#withRoom();
      if (shared === undefined) {
        return [...answers, ...left.map(() => "full" as const)];
      }
      const part = left.slice(0, MAX_ITEMS - shared.size);
      left = left.slice(part.length);
      answers.push(...(await this.#create(shared, part)));
    }
    return answers;
  }

  async #create(shared: Shared, items: readonly Item[]): Promise<readonly Watched[]> {
    const { session, server } = this.#options;
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
    const { subscriptionId } = shared.subscription;
    const results = await session.monitor(
      subscriptionId,
      requests,
      server.subscriptionProcessBatchSize,
    );
    return handles.map((handle, index) => {
      const result = results[index];
      const monitored = this.#handles[handle];
      if (result !== undefined && monitored !== undefined && !isBad(result.statusCode)) {
        monitored.id = result.monitoredItemId;
        return "watched";
      }
      this.#forget(handle);
      const refused = result?.statusCode ?? session.library.StatusCodes.BadUnexpectedError;
      if (FULL.has(refused.name)) {
        this.#isFull = true;
        return "full";
      }
      return { refused };
    });
  }

  #register(shared: Shared, item: Item): number {
    const handle = this.#handles.push({ item, shared, id: 0, samples: undefined }) - 1;
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

  /** A subscription that takes more; `undefined` when the server has no room. */
  async #withRoom(): Promise<Shared | undefined> {
    const last = this.#shared.at(-1);
    if (last !== undefined && last.size < MAX_ITEMS) {
      return this.#isFull ? undefined : last;
    }
    const { session, server, host, signal } = this.#options;
    const timing: Timing = {
      intervalMs: Math.max(100, server.subCheckPeriodInMillis),
      sessionTimeoutMs: session.timeoutMs,
    };
    try {
      const subscription = await startSubscription(session, timing, host.clock, signal);
      const { maxKeepAliveCount, publishingInterval } = subscription;
      const nowMs = host.clock.monotonicMs();
      const shared: Shared = {
        subscription,
        silentMs: Math.max(MIN_SILENT_MS, SILENT_TIMES * maxKeepAliveCount * publishingInterval),
        size: 0,
        heardMs: nowMs,
        dataMs: nowMs,
      };
      this.#listen(shared);
      this.#shared.push(shared);
      this.#alarm.at(nowMs + this.#patienceMs(shared));
      return shared;
    } catch (error) {
      if (error instanceof ServiceFault && FULL.has(error.status.name) && last !== undefined) {
        this.#isFull = true;
        return undefined;
      }
      throw error;
    }
  }

  #listen(shared: Shared): void {
    const { subscription } = shared;
    const { session, host } = this.#options;
    subscription.on("raw_notification", (message) => {
      shared.heardMs = host.clock.monotonicMs();
      for (const data of message.notificationData ?? []) {
        const items: unknown = data === null ? undefined : Reflect.get(data, "monitoredItems");
        if (data !== null && Array.isArray(items)) {
          shared.dataMs = shared.heardMs;
          // The stack would look for objects of its own, one for each value.
          Reflect.set(data, "monitoredItems", []);
          this.#take(items);
        }
      }
    });
    subscription.on("status_changed", (status) =>
      session.lose(`The subscription ended: ${status.name}`),
    );
    subscription.on("terminated", () => session.lose("The subscription ended"));
  }

  /** All samples of a notification. */
  #take(notifications: readonly MonitoredItemNotification[]): void {
    const { intake, session } = this.#options;
    const result = intake.result();
    const several: Monitored[] = [];
    const structures: { monitored: Monitored; value: DataValue }[] = [];
    const seen = repeatedHandles(notifications);
    for (const { clientHandle, value } of notifications) {
      const monitored = this.#handles[clientHandle];
      if (monitored === undefined) {
        continue; // Deleted meanwhile.
      }
      if (isStructure(value)) {
        structures.push({ monitored, value });
      } else if (seen?.has(clientHandle)) {
        if (monitored.samples === undefined) {
          monitored.samples = [];
          several.push(monitored);
        }
        monitored.samples.push(value);
      } else {
        result.add(monitored.item, value);
      }
    }
    for (const monitored of several) {
      result.addAll(monitored.item, monitored.samples ?? []);
      monitored.samples = undefined;
    }
    this.#put(result);
    if (structures.length > 0 && this.#waitingStructures < MAX_WAITING_STRUCTURES) {
      this.#waitingStructures += 1;
      const values = structures.map(({ value }) => value);
      session.library
        .promoteOpaqueStructure(session.raw, values)
        // What cannot be decoded is shown as it came.
        .catch(() => undefined)
        .then(() => {
          const decoded = intake.result();
          for (const { monitored, value } of structures) {
            decoded.add(monitored.item, value);
          }
          this.#put(decoded);
        })
        .finally(() => {
          this.#waitingStructures -= 1;
        })
        .catch(this.#options.onDefect);
    } else if (structures.length > 0) {
      this.#options.host.metrics.rejected("structures-overflow", structures.length);
    }
  }

  #put(result: ReturnType<Intake["result"]>): void {
    const { intake, signal, onDefect } = this.#options;
    if (result.isEmpty) {
      return;
    }
    intake.put(result, signal).then(
      () => this.#setPaused(intake.isBehind),
      (error: unknown) => {
        if (!signal.aborted) {
          onDefect(error);
        }
      },
    );
    // Reading goes on; the server keeps what comes meanwhile.
    this.#alarm.at(this.#options.host.clock.monotonicMs() + 500);
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

  #patienceMs({ silentMs }: Shared): number {
    const { subKeepAlivePeriodInSeconds: dataS } = this.#options.server;
    return dataS > 0 ? Math.min(silentMs, 1000 * dataS) : silentMs;
  }

  /** Whether each subscription still speaks. */
  #watch(): void {
    const { host, session, server } = this.#options;
    const nowMs = host.clock.monotonicMs();
    const dataMs = 1000 * server.subKeepAlivePeriodInSeconds;
    this.#setPaused(this.#options.intake.isBehind);
    for (const shared of this.#shared) {
      if (nowMs - shared.heardMs >= shared.silentMs) {
        session.lose(`The subscription was silent for ${Math.round(nowMs - shared.heardMs)} ms`);
        return;
      }
      if (dataMs > 0 && shared.size > 0 && nowMs - shared.dataMs >= dataMs) {
        session.lose(`No data for ${server.subKeepAlivePeriodInSeconds} s`);
        return;
      }
      const heardDueMs = shared.heardMs + shared.silentMs;
      const dueMs = dataMs > 0 ? Math.min(heardDueMs, shared.dataMs + dataMs) : heardDueMs;
      this.#alarm.at(Math.max(dueMs, nowMs + 10));
    }
  }
}

/** The stack delivers structures undecoded. */
function isStructure({ value }: DataValue): boolean {
  const type: number = value.dataType;
  return type === BUILTIN.ExtensionObject;
}

/** Handles that occur more than once; `undefined` when there are none. */
function repeatedHandles(
  notifications: readonly MonitoredItemNotification[],
): ReadonlySet<number> | undefined {
  const seen = new Set<number>();
  let repeated: Set<number> | undefined;
  for (const { clientHandle } of notifications) {
    if (seen.has(clientHandle)) {
      repeated ??= new Set();
      repeated.add(clientHandle);
    }
    seen.add(clientHandle);
  }
  return repeated;
}
