import { Alarm } from "#sdk/alarm";
import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import { supervise } from "#sdk/supervise";
import type { Cursor, EventStore } from "../storage/event-store.ts";
import { Announcer } from "./announcer.ts";
import { Backlog } from "./backlog.ts";
import type { Item, Lane } from "./device.ts";
import type { LinkEnd } from "./link.ts";
import { Packer } from "./packer.ts";
import { disconnectPayload } from "./payloads.ts";
import { QuietChildren } from "./quiet-children.ts";
import { Reader } from "./reader.ts";
import { Releaser } from "./releaser.ts";
import { Resender } from "./resender.ts";
import type { SenderProgress, SenderStats } from "./sender-stats.ts";
import type { Session, SessionUser } from "./session.ts";
import { GATEWAY_DISCONNECT } from "./topics.ts";
import { Window } from "./window.ts";

/** What a sender needs. */
export interface SenderHost {
  readonly store: EventStore;
  readonly session: Session;
  readonly clock: Clock;
  readonly log: Logger;
  /** The platform's name of a device, by its local name; asked for each publish. Default: the same. */
  readonly platformName?: (local: string) => string;
  /** Told the local name of each device that the platform knows from here on, on this connection. */
  readonly announced?: (local: string) => void;
}

/** Acknowledged records that the store has yet to confirm, at most. */
const MAX_UNCONFIRMED = 100_000;

/**
 * Sends what the store holds, in order per device, and lets the store forget a record only after its PUBACK. Everything it
 * remembers is bounded and can be thrown away: after a restart the store tells it all again.
 */
export class Sender implements SessionUser {
  readonly #host: SenderHost;
  readonly #backlog = new Backlog();
  readonly #alarm: Alarm;
  readonly #packer: Packer;
  readonly #announcer: Announcer;
  readonly #releaser: Releaser;
  readonly #window: Window;
  readonly #failure = Promise.withResolvers<never>();
  #acknowledgedValues = 0;
  #acknowledgedRecords = 0;
  #acknowledgedTelemetryValues = 0;
  #acknowledgedAttributeRecords = 0;
  #quarantinedRecords = 0;
  #draining = false;
  #awaitsStore = false;
  /** Monotonic time of the last moment at which nothing could be expected. */
  #calmAtMs = 0;
  #pumping = false;
  #pumpAgain = false;
  #drained: (() => void)[] = [];
  readonly #quietChildren: QuietChildren;
  readonly #reader: Reader;
  readonly #resender: Resender;

  constructor(host: SenderHost) {
    const { clock, log, session, announced = () => undefined } = host;
    const { platformName = (local: string) => local } = host;
    this.#host = host;
    // Whoever runs the sender sees the failure; nobody may be running it.
    this.#failure.promise.catch(() => undefined);
    const changed = (): void => this.#pump();
    this.#alarm = new Alarm(clock, changed);
    const timing = { session, clock, alarm: this.#alarm };
    this.#quietChildren = new QuietChildren({ ...timing, platformName });
    const shared = {
      ...timing,
      backlog: this.#backlog,
      log,
      changed,
      quietChildren: this.#quietChildren,
    };
    this.#packer = new Packer(this.#backlog, {
      platformName,
      tooLarge: (item) => this.#finished(item, "too-large"),
      meter: (isOwn) => (isOwn ? session.rates.own : session.rates.devices),
      denied: (meter, cost) => this.#alarm.at(clock.monotonicMs() + meter.delayMs(cost)),
    });
    this.#announcer = new Announcer({ ...shared, platformName, announced });
    this.#releaser = new Releaser({ store: host.store, clock, log });
    this.#window = new Window({
      ...shared,
      finished: (item, reason) => this.#finished(item, reason),
    });
    this.#resender = new Resender({
      ...shared,
      packer: this.#packer,
      window: this.#window,
      tooLarge: (item) => this.#finished(item, "too-large"),
    });
    this.#reader = new Reader({
      ...shared,
      store: host.store,
      unsendable: (cursor, reason) => this.#quarantine(cursor, reason),
      arrived: changed,
    });
  }

  /** Sends until `signal` aborts, then resolves; what has no PUBACK stays in the store. @throws InvariantError */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, session } = this.#host;
    const stop = new AbortController();
    const inner = AbortSignal.any([signal, stop.signal]);
    const reading = supervise(
      {
        name: "event store, reading",
        host: { clock, log },
        isInternal: true,
        run: (readSignal, healthy) => this.#reader.run(readSignal, healthy),
      },
      inner,
    );
    using _user = session.attach(this);
    const releasing = this.#releaser.run(inner);
    try {
      await Promise.race([reading, releasing, this.#failure.promise]);
    } catch (error) {
      if (!signal.aborted) {
        throw error;
      }
    } finally {
      stop.abort(signal.reason);
      this.#alarm[Symbol.dispose]();
      await Promise.allSettled([reading, releasing]);
    }
  }

  /**
   * Sends nothing more and waits, at most `waitMs`, until what is in flight is acknowledged and the store has confirmed it.
   * Resolves with whether it is. Call it before `run` is aborted.
   */
  async drain(waitMs: number): Promise<boolean> {
    this.#draining = true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    using _timer = this.#host.clock.timer(waitMs, () => resolve(false));
    this.#drained.push(() => this.#releaser.whenIdle(() => resolve(true)));
    this.#reportDrained();
    return await promise;
  }

  /** Makes the device known to the platform, on this connection and every later one, also while it has no data. */
  connectDevice(name: string, type: string): void {
    this.#announcer.add(this.#backlog.device(name, type));
    this.#pump();
  }

  /** Tells the platform that the device is gone. Data that is still queued for it announces it again. */
  async disconnectDevice(name: string, signal: AbortSignal): Promise<void> {
    const { session } = this.#host;
    const { announcedAs } = this.#backlog.device(name, "");
    this.deviceGone(name);
    if (announcedAs !== undefined && session.isOpen) {
      await session.publish(GATEWAY_DISCONNECT, disconnectPayload(announcedAs), signal);
    }
  }

  /** As `disconnectDevice` for a device that is not announced. */
  deviceGone(name: string): void {
    this.#announcer.remove(this.#backlog.device(name, ""));
    this.#pump();
  }

  /**
   * The platform has another name for a device: its session is bound to the old one, so that is closed and one under the new
   * name opened. Nothing happens when the name is the same. @throws TransientError when the link is lost meanwhile.
   */
  async deviceRenamed(name: string, signal: AbortSignal): Promise<void> {
    const { platformName = (local: string) => local, session } = this.#host;
    const device = this.#backlog.device(name, "");
    const { announcedAs } = device;
    if (!session.isOpen || announcedAs === undefined || announcedAs === platformName(name)) {
      return;
    }
    // Asked for first, so that it goes out first.
    const closed = session.publish(GATEWAY_DISCONNECT, disconnectPayload(announcedAs), signal);
    this.#announcer.reopen(device);
    this.#pump();
    await closed;
  }

  stats(): SenderStats {
    const window = this.#window;
    return {
      acknowledgedValues: this.#acknowledgedValues,
      acknowledgedRecords: this.#acknowledgedRecords,
      acknowledgedTelemetryValues: this.#acknowledgedTelemetryValues,
      acknowledgedAttributeRecords: this.#acknowledgedAttributeRecords,
      quarantinedRecords: this.#quarantinedRecords,
      publishes: window.publishes,
      resends: window.resends,
      refusals: window.refusals,
      payloadBytes: window.payloadBytes,
      inFlight: window.inFlight,
      maxInFlight: window.maxInFlight,
      waitingAgain: window.waitingAgain,
      backlogRecords: this.#backlog.records,
      backlogBytes: this.#backlog.bytes,
    };
  }

  /** Whether data gets through. To be asked for every few seconds. */
  get progress(): SenderProgress {
    const { clock, session } = this.#host;
    const { lastAckMs } = this.#window;
    const nowMs = clock.monotonicMs();
    const waiting = this.#backlog.records;
    const paused = this.#isPaused(nowMs);
    if (paused || waiting === 0 || !session.isOpen) {
      this.#calmAtMs = nowMs;
    }
    const sinceMs = Math.max(this.#calmAtMs, lastAckMs ?? Number.NEGATIVE_INFINITY);
    return { lastAckMs, waiting, paused, stalledMs: nowMs - sinceMs };
  }

  opened(): void {
    this.#calmAtMs = this.#host.clock.monotonicMs();
    this.#pump();
  }

  closed(end: LinkEnd): void {
    this.#window.closed(end);
    this.#announcer.reset();
    this.#reportDrained();
  }

  writable(): void {
    this.#pump();
  }

  /** Sends all that may be sent. Whatever happens meanwhile that would call it again is taken up by the same run. */
  #pump(): void {
    if (this.#pumping) {
      this.#pumpAgain = true;
      return;
    }
    this.#pumping = true;
    try {
      do {
        this.#pumpAgain = false;
        this.#pumpOnce();
      } while (this.#pumpAgain);
    } catch (error) {
      this.#failure.reject(error);
    } finally {
      this.#pumping = false;
    }
  }

  #pumpOnce(): void {
    this.#window.settle();
    if (this.#host.session.isOpen && !this.#draining && !this.#isStoreBehind()) {
      this.#announcer.pump();
      while (this.#window.hasRoom && this.#sendNext()) {
        // Each turn sends one piece.
      }
      this.#announcer.dismiss();
      this.#quietChildren.pump();
    }
    this.#reader.changed();
    this.#reportDrained();
  }

  /**
   * Whether nothing can be expected at this moment: the limits leave nothing for a publish or an announcement, the platform refuses
   * all that waits, or the store has to confirm first.
   */
  #isPaused(nowMs: number): boolean {
    const { own, devices } = this.#host.session.rates;
    const one = { messages: 1, points: 1 };
    const { pending } = this.#releaser;
    return (
      this.#draining ||
      this.#window.isThrottled ||
      Math.max(own.delayMs(one), devices.delayMs(one), devices.regular.delayMs(1)) > 0 ||
      this.#backlog.isRefused(nowMs) ||
      pending >= MAX_UNCONFIRMED ||
      (pending > 0 && this.#backlog.records === 0)
    );
  }

  /** The store is slow to confirm: what is acknowledged meanwhile would pile up here. */
  #isStoreBehind(): boolean {
    if (this.#releaser.pending < MAX_UNCONFIRMED) {
      return false;
    }
    if (!this.#awaitsStore) {
      this.#awaitsStore = true;
      this.#releaser.whenIdle(() => {
        this.#awaitsStore = false;
        this.#pump();
      });
    }
    return true;
  }

  /** Sends one piece, refused ones first; false when nothing can be sent. */
  #sendNext(): boolean {
    const limit = this.#host.session.payloadLimit;
    const retry = this.#window.nextRetry();
    if (retry !== undefined && "quiet" in retry) {
      return false;
    }
    if (retry !== undefined && "piece" in retry) {
      return this.#resender.send(retry.piece, limit);
    }
    if (retry !== undefined) {
      this.#alarm.at(retry.wakeAtMs);
    }
    const piece = this.#packer.next(limit);
    if (piece !== undefined) {
      this.#window.send(piece);
    }
    return piece !== undefined;
  }

  /** Counts a record once, and tells the store when all parts of it are done. */
  #finished(item: Item, reason: string | undefined): void {
    if (item.done) {
      return;
    }
    item.done = true;
    this.#backlog.forget(item);
    const { whole } = item;
    if (whole !== undefined) {
      whole.pending -= 1;
      whole.reason ??= reason;
      if (whole.pending > 0) {
        return;
      }
    }
    const verdict = whole === undefined ? reason : whole.reason;
    if (verdict === undefined) {
      this.#countAcknowledged(item.lane, whole?.values ?? item.values);
      this.#releaser.release(item.cursor);
    } else {
      this.#quarantine(item.cursor, verdict);
    }
  }

  #countAcknowledged(lane: Lane, values: number): void {
    this.#acknowledgedRecords += 1;
    this.#acknowledgedValues += values;
    if (lane === "telemetry") {
      this.#acknowledgedTelemetryValues += values;
    } else {
      this.#acknowledgedAttributeRecords += 1;
    }
  }

  #quarantine(cursor: Cursor, reason: string): void {
    this.#quarantinedRecords += 1;
    // The first of each power of ten: a flood of them must not flood the log.
    if (Number.isInteger(Math.log10(this.#quarantinedRecords))) {
      this.#host.log.error("A record was set aside: the platform will never take it", {
        reason,
        cursor: String(cursor),
        soFar: this.#quarantinedRecords,
      });
    }
    this.#releaser.quarantine(cursor, reason);
  }

  #reportDrained(): void {
    if (this.#drained.length > 0 && this.#window.inFlight === 0 && this.#window.settling === 0) {
      const drained = this.#drained;
      this.#drained = [];
      for (const callback of drained) {
        callback();
      }
    }
  }
}
