import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import { supervise } from "#sdk/supervise";
import type { Cursor, EventStore } from "../storage/event-store.ts";
import { Alarm } from "./alarm.ts";
import { Announcer } from "./announcer.ts";
import { Backlog } from "./backlog.ts";
import { type Item, laneOf } from "./device.ts";
import type { LinkEnd } from "./link.ts";
import { Packer } from "./packer.ts";
import { disconnectPayload } from "./payloads.ts";
import { divide, newPiece, openGroups, openItems, type Piece, payloadOf } from "./piece.ts";
import { Releaser } from "./releaser.ts";
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
}

/** Counters since the start of the process; plain data. */
export interface SenderStats {
  readonly acknowledgedValues: number;
  readonly acknowledgedRecords: number;
  readonly quarantinedRecords: number;
  /** Data publishes, those sent again included. */
  readonly publishes: number;
  /** Publishes that carried a record for the second time or later. */
  readonly resends: number;
  /** PUBACKs that refused. */
  readonly refusals: number;
  readonly payloadBytes: number;
  readonly inFlight: number;
  /** Largest number of data publishes that were in flight together. */
  readonly maxInFlight: number;
  readonly waitingAgain: number;
  readonly backlogRecords: number;
  readonly backlogBytes: number;
}

/** The backlog is asked for room again after this long when a record that cannot be sent takes it all. */
const RELIEF_MS = 1000;

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
  #quarantinedRecords = 0;
  #draining = false;
  #pumping = false;
  #pumpAgain = false;
  #drained: (() => void)[] = [];
  #roomWaiter: (() => void) | undefined;
  #rewound: (() => void) | undefined;

  constructor(host: SenderHost) {
    const { clock, log, session, platformName = (local) => local } = host;
    this.#host = host;
    // Whoever runs the sender sees the failure; nobody may be running it.
    this.#failure.promise.catch(() => undefined);
    const changed = (): void => this.#pump();
    this.#alarm = new Alarm(clock, changed);
    const shared = { session, backlog: this.#backlog, clock, log, alarm: this.#alarm, changed };
    this.#packer = new Packer(this.#backlog, {
      platformName,
      tooLarge: (item) => this.#finished(item, "too-large"),
    });
    this.#announcer = new Announcer({ ...shared, platformName });
    this.#releaser = new Releaser({ store: host.store, clock, log });
    this.#window = new Window({
      ...shared,
      finished: (item, reason) => this.#finished(item, reason),
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
        run: (readSignal) => this.#read(readSignal),
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
    const { platformName = (local: string) => local, session } = this.#host;
    const device = this.#backlog.device(name, "");
    const told = device.announcement === "announced" || device.announcement === "asked";
    this.#announcer.remove(device);
    if (told && session.isOpen) {
      await session.publish(GATEWAY_DISCONNECT, disconnectPayload(platformName(name)), signal);
    }
  }

  stats(): SenderStats {
    const window = this.#window;
    return {
      acknowledgedValues: this.#acknowledgedValues,
      acknowledgedRecords: this.#acknowledgedRecords,
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

  opened(): void {
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
    }
    if (this.#backlog.rewind()) {
      this.#rewound?.();
    }
    if (this.#backlog.room !== undefined) {
      this.#roomWaiter?.();
    }
    this.#reportDrained();
  }

  /** The store is slow to confirm: what is acknowledged meanwhile would pile up here. */
  #isStoreBehind(): boolean {
    if (this.#releaser.pending < MAX_UNCONFIRMED) {
      return false;
    }
    this.#releaser.whenIdle(() => this.#pump());
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
      this.#sendAgain(retry.piece, limit);
      return true;
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

  /** A piece is sent as it was, but under the names of today, and smaller when the limit has shrunk or a late PUBACK came. */
  #sendAgain(refused: Piece, limit: number): void {
    const groups = openGroups(refused).map((group) => ({
      ...group,
      name: this.#packer.label(group.device).json,
    }));
    const piece: Piece = { ...refused, groups };
    const names = new Set(groups.map((group) => group.name));
    if (names.size === groups.length && Buffer.byteLength(payloadOf(piece)) <= limit) {
      this.#window.send(piece);
      return;
    }
    const open = openItems(piece);
    const [item] = open;
    const [group] = piece.groups;
    if (open.length > 1 || item === undefined || group === undefined) {
      this.#window.putBack(divide(piece, 2));
      return;
    }
    const parts =
      item.whole === undefined
        ? this.#packer.split(group.device, laneOf(piece.kind), item, limit)
        : undefined;
    if (parts === undefined) {
      this.#finished(item, "too-large");
      return;
    }
    this.#backlog.swap(item, parts);
    this.#window.putBack(
      parts.map((part) => ({
        ...newPiece(piece.kind, [{ ...group, items: [part] }]),
        order: piece.order,
      })),
    );
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
      this.#acknowledgedRecords += 1;
      this.#acknowledgedValues += whole?.values ?? item.values;
      this.#releaser.release(item.cursor);
    } else {
      this.#quarantine(item.cursor, verdict);
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

  /** Reads ahead as long as there is room. */
  async #read(signal: AbortSignal): Promise<void> {
    for (;;) {
      const room = await this.#room(signal);
      const stop = new AbortController();
      let rewound = false;
      this.#rewound = () => {
        rewound = true;
        stop.abort();
      };
      try {
        const reading = AbortSignal.any([signal, stop.signal]);
        const { records, last } = await this.#host.store.next(
          this.#backlog.position,
          room,
          reading,
        );
        if (!rewound) {
          for (const { cursor, reason } of this.#backlog.take(records, last)) {
            this.#quarantine(cursor, reason);
          }
          this.#pump();
        }
      } catch (error) {
        signal.throwIfAborted();
        if (!rewound) {
          throw error;
        }
      } finally {
        this.#rewound = undefined;
      }
    }
  }

  /** Resolves when the backlog has room. Devices that cannot be sent to make way when it has none. */
  async #room(signal: AbortSignal): Promise<{ readonly records: number; readonly bytes: number }> {
    for (;;) {
      signal.throwIfAborted();
      const { room } = this.#backlog;
      if (room !== undefined) {
        return room;
      }
      if (this.#host.session.isOpen && this.#backlog.relieve()) {
        continue;
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      const wake = (): void => resolve();
      this.#roomWaiter = wake;
      using _timer = this.#host.clock.timer(RELIEF_MS, wake);
      signal.addEventListener("abort", wake, { once: true });
      await promise;
      this.#roomWaiter = undefined;
      signal.removeEventListener("abort", wake);
    }
  }
}
