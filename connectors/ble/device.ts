import { errorText, RejectedError, TransientError } from "#sdk/errors";
import type { AttributeUpdate, DeviceData, EpochMs, Json, RpcRequest } from "#sdk/model";
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
import { DeviceSink } from "./sink.ts";
import { problemText } from "./summary.ts";
import type { BoundItem, DeviceUplink, ItemGroup, Reading } from "./uplink.ts";
import { usableItems } from "./usable.ts";
import { PendingWrites } from "./writes.ts";

/** What a device needs besides its configuration. */
export interface DeviceContext {
  readonly adapter: Adapter;
  /** Its counters are those of this device. */
  readonly host: DeviceHost;
  readonly uplink: DeviceUplink;
  put(records: readonly DeviceData[], signal: AbortSignal): Promise<void>;
  /** Called when `problem` may have changed. */
  changed(): void;
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
  readonly #sink: DeviceSink;
  readonly #sighted = new Changes();
  #link: PeripheralLink | undefined;
  #current: DeviceState;
  #rssi: number | undefined;
  #seenTs: EpochMs | undefined;
  #seenMs = Number.NEGATIVE_INFINITY;
  /** When it was there the last time. */
  #thereTs: EpochMs | undefined;
  #lastError: string | undefined;
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
    this.#current = this.#connects ? "waiting" : "listening";
    this.#presence = new Presence(config, context.host, () => context.changed());
    this.#writes = new PendingWrites(config, context.host);
    this.#sink = new DeviceSink(config.name, context);
  }

  /** Whether it is ever connected; else its advertisements are enough. */
  get connects(): boolean {
    return this.#connects;
  }

  /** The link while it can be used. */
  get link(): PeripheralLink | undefined {
    return this.#current === "ready" ? this.#link : undefined;
  }

  /** Where it is, how it is heard, and what was counted. */
  get status(): Json {
    const { metrics } = this.#context.host;
    return {
      state: this.#current,
      rssi: this.#rssi ?? null,
      lastSeenTs: this.#seenTs ?? null,
      ...(metrics instanceof DeviceCounters ? metrics.counts : {}),
    };
  }

  /** What is the matter; `undefined`: it is there. */
  get problem(): string | undefined {
    const isThere =
      this.#connects && !this.#context.takesTurns
        ? this.#current === "ready"
        : this.#presence.isTold && this.#lastError === undefined;
    return isThere
      ? undefined
      : problemText({
          connects: this.#connects,
          heardTs: this.#seenTs,
          thereTs: this.#thereTs,
          error: this.#lastError,
        });
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
    const isFirst = this.#seenTs === undefined;
    this.#seenTs = this.#context.host.clock.now();
    this.#rssi = peripheral.rssi;
    if (isFirst) {
      this.#context.changed();
    }
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
      this.#enter("waiting");
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

  #enter(state: DeviceState): void {
    this.#current = state;
    this.#context.changed();
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
    this.#lastError = errorText(error);
    this.#failures += 1;
    this.#failedMs = host.clock.monotonicMs();
    this.#enter("backoff");
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
    this.#enter("connecting");
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
      if (this.#current === "ready") {
        this.#thereTs = host.clock.now();
      }
      this.#enter("waiting");
      this.#presence.lost();
      host.metrics.count("disconnects");
      await link[Symbol.asyncDispose]();
      adapter.look();
    }
  }

  async #prepare(link: PeripheralLink, signal: AbortSignal): Promise<void> {
    const { host } = this.#context;
    this.#enter("discovering");
    await link.discover(signal);
    this.#enter("subscribing");
    await this.#subscribe(link, signal);
    this.#failures = 0;
    this.#lastError = undefined;
    this.#enter("ready");
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

  #usable(
    link: PeripheralLink,
    groups: readonly ItemGroup[],
    properties: readonly string[],
  ): ReadonlyMap<Characteristic, readonly BoundItem[]> {
    const warn = (...args: readonly [string, string]): void => this.#warnOf(...args);
    return usableItems(link, groups, { properties, warn });
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
    const { host } = this.#context;
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
    await this.#context.put(this.#sink.records(readings), signal);
  }

  #notified(items: readonly BoundItem[], data: Uint8Array): void {
    this.#context.host.metrics.count("notifications");
    this.#sink.offer(items.map((item) => ({ item, data })));
  }

  #publish(peripheral: NoblePeripheral, nowMs: number): void {
    const advertisement = readAdvertisement(peripheral);
    const readings = readingsOf(this.#context.uplink.advertised, advertisement);
    if (readings.length === 0) {
      return;
    }
    if (!this.#connects) {
      this.#thereTs = this.#context.host.clock.now();
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
      this.#sink.offer(readings);
    }
  }
}
