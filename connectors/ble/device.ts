import { type DataError, errorText, RejectedError, TransientError } from "#sdk/errors";
import type { AttributeUpdate, DeviceData, Json, RpcRequest } from "#sdk/model";
import { Schedule } from "#sdk/schedule";
import type { Adapter, Listener } from "./adapter.ts";
import { normalAddress } from "./addresses.ts";
import { readAdvertisement, readingsOf, signature } from "./advertisement.ts";
import { connectPauseMs } from "./backoff.ts";
import { Changes } from "./changes.ts";
import { DeviceCounters, type DeviceHost } from "./counters.ts";
import type { DeviceConfig } from "./device-config.ts";
import type { Characteristic } from "./gatt-client.ts";
import { gattMap } from "./gatt-map.ts";
import type { PeripheralLink } from "./link.ts";
import { Presence } from "./presence.ts";
import { callMethod } from "./rpc.ts";
import { targetText } from "./target.ts";
import type { BoundItem, DeviceUplink, ItemGroup, Reading } from "./uplink.ts";
import { PendingWrites } from "./writes.ts";

/** What a device needs besides its configuration. */
export interface DeviceContext {
  readonly adapter: Adapter;
  /** Its counters are those of this device. */
  readonly host: DeviceHost;
  readonly uplink: DeviceUplink;
  put(records: readonly DeviceData[], signal: AbortSignal): Promise<void>;
  /** Whether there are more devices than links: then this one gives its link back after each cycle. */
  readonly takesTurns: boolean;
}

/** Where a device is in its life. `listening`: its advertisements are enough. */
export type DeviceState =
  | "listening"
  | "waiting"
  | "connecting"
  | "discovering"
  | "subscribing"
  | "ready"
  | "backoff";

/** No attempt to connect to a peripheral that was not seen for this long. */
const FRESH_MS = 30_000;

/** One peripheral: waits until it is seen, connects, subscribes, reads in cycles, and begins again when the link is lost. */
export class Device implements Listener {
  readonly address: string;
  readonly config: DeviceConfig;
  readonly #context: DeviceContext;
  readonly #connects: boolean;
  readonly #presence: Presence;
  readonly #writes: PendingWrites;
  readonly #sighted = new Changes();
  #link: PeripheralLink | undefined;
  #state: DeviceState;
  #rssi: number | undefined;
  #seenTs: number | undefined;
  #seenMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #failedMs = 0;
  #hasShownMap = false;
  #published: { readonly signature: string; readonly atMs: number } | undefined;

  constructor(config: DeviceConfig, context: DeviceContext) {
    this.config = config;
    this.address = normalAddress(config.MACAddress);
    this.#context = context;
    this.#connects =
      context.uplink.needsConnection ||
      config.showMap ||
      config.attributeUpdates.length + config.serverSideRpc.length > 0;
    this.#state = this.#connects ? "waiting" : "listening";
    this.#presence = new Presence(config, context.host);
    this.#writes = new PendingWrites(config, context.host);
  }

  /** Whether it is ever connected; else its advertisements are enough. */
  get connects(): boolean {
    return this.#connects;
  }

  /** The link while it can be used. */
  get link(): PeripheralLink | undefined {
    return this.#state === "ready" ? this.#link : undefined;
  }

  /** Where it is, how it is heard, and what was counted. */
  get status(): Json {
    const { metrics } = this.#context.host;
    return {
      state: this.#state,
      rssi: this.#rssi ?? null,
      lastSeenTs: this.#seenTs ?? null,
      ...(metrics instanceof DeviceCounters ? metrics.counts : {}),
    };
  }

  get sharedKeys(): readonly string[] {
    return this.config.attributeUpdates.map((item) => item.attributeOnThingsBoard);
  }

  wantsScan(): boolean {
    const isWaiting = this.#connects && this.#link === undefined;
    return isWaiting || this.#context.uplink.advertised.length > 0;
  }

  seen(peripheral: NoblePeripheral): void {
    const nowMs = this.#context.host.clock.monotonicMs();
    if (nowMs - this.#seenMs > FRESH_MS) {
      this.#failures = 0;
    }
    this.#seenMs = nowMs;
    this.#seenTs = this.#context.host.clock.now();
    this.#rssi = peripheral.rssi;
    this.#sighted.notify();
    if (this.#context.uplink.advertised.length > 0) {
      this.#publish(peripheral, nowMs);
    }
  }

  /** Until `signal` aborts; rejects with its reason. */
  async run(signal: AbortSignal): Promise<void> {
    const { adapter, host } = this.#context;
    using _listening = adapter.listen(this);
    using _presence = this.#presence;
    if (!this.#connects) {
      for (;;) {
        await host.clock.sleep(FRESH_MS, signal);
      }
    }
    const schedule = new Schedule(this.config.pollPeriod, host);
    for (;;) {
      this.#state = "waiting";
      await this.#untilSeen(signal);
      try {
        await this.#session(schedule, signal);
        this.#failures = 0;
      } catch (error) {
        signal.throwIfAborted();
        await this.#fail(error, signal);
      }
    }
  }

  async rpc(request: RpcRequest, signal: AbortSignal): Promise<Json | void> {
    const { host } = this.#context;
    return await callMethod(request, { config: this.config, link: this.link, host }, signal);
  }

  async update(update: AttributeUpdate, signal: AbortSignal): Promise<void> {
    this.#writes.take(update);
    const { link } = this;
    if (link !== undefined) {
      await this.#writes.flush(link, signal);
    }
  }

  async #untilSeen(signal: AbortSignal): Promise<void> {
    const { clock } = this.#context.host;
    while (clock.monotonicMs() - this.#seenMs > FRESH_MS) {
      this.#context.adapter.look();
      await this.#sighted.next(signal);
    }
  }

  async #fail(error: unknown, signal: AbortSignal): Promise<void> {
    const { host, adapter } = this.#context;
    if (!(error instanceof TransientError || error instanceof RejectedError)) {
      throw error;
    }
    host.devices.failed(this.config.name, errorText(error));
    if (!adapter.isReady) {
      // Everybody on it has failed; only a new sighting tells that it works again.
      this.#seenMs = Number.NEGATIVE_INFINITY;
      return;
    }
    this.#failures += 1;
    this.#failedMs = host.clock.monotonicMs();
    this.#state = "backoff";
    const pauseMs = connectPauseMs(this.#failures, this.config);
    host.log[this.#failures === 1 ? "warn" : "debug"]("Cannot use the peripheral now", {
      device: this.config.name,
      error: errorText(error),
      retryInMs: pauseMs,
    });
    await host.clock.sleep(pauseMs, signal);
  }

  /** One connection, to its loss or to the end of a cycle that gives it back. */
  async #session(schedule: Schedule, signal: AbortSignal): Promise<void> {
    const { adapter, host, takesTurns } = this.#context;
    const { reads } = this.#context.uplink;
    const { timeout, name } = this.config;
    if (takesTurns) {
      await schedule.next(signal);
    }
    const request = { address: this.address, timeoutMs: timeout, failedMs: this.#failedMs };
    this.#state = "connecting";
    let link: PeripheralLink;
    try {
      link = await adapter.connect(request, signal);
    } catch (error) {
      host.metrics.count("connectFailures");
      throw error;
    }
    host.metrics.count("connects");
    this.#link = link;
    adapter.look();
    try {
      await this.#prepare(link, signal);
      host.log.debug("The peripheral is ready", { device: name });
      await (takesTurns
        ? this.#cycle(link, this.#usable(link, reads, ["read"]), signal)
        : this.#poll(link, schedule, signal));
    } finally {
      this.#link = undefined;
      this.#state = "waiting";
      this.#presence.lost();
      host.metrics.count("disconnects");
      await link[Symbol.asyncDispose]();
      adapter.look();
    }
  }

  async #prepare(link: PeripheralLink, signal: AbortSignal): Promise<void> {
    const { host } = this.#context;
    this.#state = "discovering";
    await link.discover(signal);
    this.#state = "subscribing";
    await this.#subscribe(link, signal);
    this.#failures = 0;
    this.#state = "ready";
    await this.#presence.here();
    await this.#writes.flush(link, signal);
    if (this.config.showMap && !this.#hasShownMap) {
      this.#hasShownMap = true;
      host.log.info("GATT map of the peripheral", {
        device: this.config.name,
        map: await gattMap(this.config.name, link, signal),
      });
    }
  }

  async #subscribe(link: PeripheralLink, signal: AbortSignal): Promise<void> {
    const { notifies } = this.#context.uplink;
    for (const [found, items] of this.#usable(link, notifies, ["notify", "indicate"])) {
      try {
        await link.subscribe(found, (bytes) => this.#notified(items, bytes), signal);
      } catch (error) {
        if (!(error instanceof RejectedError)) {
          throw error;
        }
        this.#warnOf(found.uuid, errorText(error));
      }
    }
  }

  /** The characteristics of items, each once however it is named and whatever number of items it feeds. */
  #usable(
    link: PeripheralLink,
    groups: readonly ItemGroup[],
    properties: readonly string[],
  ): ReadonlyMap<Characteristic, readonly BoundItem[]> {
    const usable = new Map<Characteristic, readonly BoundItem[]>();
    for (const { target, items } of groups) {
      try {
        const found = link.find(target);
        if (!properties.some((property) => found.properties.includes(property))) {
          const has = found.properties.join(", ");
          throw new RejectedError(`It cannot ${properties.join(" or ")}: it has ${has}`);
        }
        usable.set(found, [...(usable.get(found) ?? []), ...items]);
      } catch (error) {
        if (!(error instanceof RejectedError)) {
          throw error;
        }
        this.#warnOf(targetText(target), errorText(error));
      }
    }
    return usable;
  }

  #warnOf(characteristic: string, reason: string): void {
    this.#context.host.log.warn("A characteristic cannot be used", {
      device: this.config.name,
      characteristic,
      reason,
    });
  }

  async #poll(link: PeripheralLink, schedule: Schedule, signal: AbortSignal): Promise<void> {
    const readable = this.#usable(link, this.#context.uplink.reads, ["read"]);
    if (readable.size === 0) {
      throw await link.loss.wait(signal);
    }
    const stop = new AbortController();
    using _loss = link.loss.listen((cause) => stop.abort(cause));
    const either = AbortSignal.any([signal, stop.signal]);
    let isFirst = true;
    for (;;) {
      if (!isFirst) {
        await schedule.next(either);
      }
      isFirst = false;
      await this.#cycle(link, readable, signal);
    }
  }

  /** Reads everything once. A characteristic that is refused costs no other. */
  async #cycle(
    link: PeripheralLink,
    readable: ReadonlyMap<Characteristic, readonly BoundItem[]>,
    signal: AbortSignal,
  ): Promise<void> {
    const { host, uplink } = this.#context;
    const readings: Reading[] = [];
    for (const [characteristic, items] of readable) {
      try {
        const data = await link.read(characteristic, signal);
        host.metrics.count("reads");
        readings.push(...items.map((item) => ({ item, data })));
      } catch (error) {
        host.metrics.count("readErrors");
        if (!(error instanceof RejectedError)) {
          throw error;
        }
        host.devices.failed(this.config.name, `${characteristic.uuid}: ${errorText(error)}`);
      }
    }
    await this.#context.put(uplink.records(readings, host.clock.now(), this.#onBad), signal);
  }

  #notified(items: readonly BoundItem[], data: Uint8Array): void {
    this.#context.host.metrics.count("notifications");
    this.#offer(items.map((item) => ({ item, data })));
  }

  #publish(peripheral: NoblePeripheral, nowMs: number): void {
    const advertisement = readAdvertisement(peripheral);
    const readings = readingsOf(this.#context.uplink.advertised, advertisement);
    if (readings.length === 0) {
      return;
    }
    if (!this.#connects) {
      // Its failure is the core's to tell of.
      this.#presence.here().catch(() => undefined);
      this.#presence.lost();
    }
    const now = { signature: signature(advertisement), atMs: nowMs };
    const last = this.#published;
    const isNews =
      last === undefined ||
      last.signature !== now.signature ||
      nowMs - last.atMs >= this.config.pollPeriod;
    if (isNews) {
      this.#published = now;
      this.#context.host.metrics.count("advertisements");
      this.#offer(readings);
    }
  }

  /** For what comes by itself and cannot be held up. */
  #offer(readings: readonly Reading[]): void {
    const { host, uplink } = this.#context;
    for (const record of uplink.records(readings, host.clock.now(), this.#onBad)) {
      try {
        if (host.uplink.tryAccept(record).status === "overflow") {
          host.metrics.count("dropped");
        }
      } catch (error) {
        if (!(error instanceof RejectedError)) {
          throw error;
        }
        // The core has counted it.
        const fields = { device: this.config.name, error: errorText(error) };
        host.converterLog.debug("A record is refused", fields);
      }
    }
  }

  readonly #onBad = (item: BoundItem, error: DataError): void => {
    const { host } = this.#context;
    host.metrics.rejected(error.reason);
    host.converterLog.debug("A value cannot be converted", {
      device: this.config.name,
      key: item.key,
      error: errorText(error),
    });
  };
}
