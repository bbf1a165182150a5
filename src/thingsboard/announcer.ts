import type { Alarm } from "#sdk/alarm";
import { backoffMs } from "#sdk/backoff";
import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import type { Backlog } from "./backlog.ts";
import type { Device } from "./device.ts";
import type { Delivery } from "./outstanding.ts";
import { connectPayload, disconnectPayload } from "./payloads.ts";
import type { QuietChildren } from "./quiet-children.ts";
import { classifyPuback, reasonText } from "./reasons.ts";
import type { Session } from "./session.ts";
import { GATEWAY_CONNECT, GATEWAY_DISCONNECT } from "./topics.ts";

/** Announcements in flight for devices whose data waits, and for the quiet ones. */
const URGENT_WINDOW = 16;
const QUIET_WINDOW = 4;

/** Part of the server's message budget that quiet devices may use; a first announcement costs two messages. */
const QUIET_SHARE = 0.5;
const ANNOUNCEMENT_COST = 2;

/** Connections lost in a row during its announcement make a device a suspect; its pause grows by 20 s up to so many times that. */
const SUSPECT_AFTER = 3;
const MAX_SUSPENSIONS = 30;
const SUSPENSION_MS = 20_000;

/** How long the session of a device that is gone stays open after the last of its data: there may be more in the store. */
const LINGER_MS = 10_000;

/** What an announcer needs. */
export interface AnnouncerHost {
  readonly session: Session;
  readonly backlog: Backlog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly alarm: Alarm;
  readonly platformName: (local: string) => string;
  readonly quietChildren: QuietChildren;
  /** Told the local name of each device that was announced. */
  readonly announced: (local: string) => void;
  /** Called when a device can be sent to, or cannot any more. */
  readonly changed: () => void;
}

/**
 * Announces devices (`v1/gateway/connect`) on each connection: those with queued data first, the known quiet ones at a measured
 * pace. A device that is refused waits alone and is tried again for ever.
 */
export class Announcer {
  readonly #host: AnnouncerHost;
  /** Known devices without data that have yet to be announced on this connection. */
  readonly #quiet = new Set<Device>();
  readonly #refused = new Set<Device>();
  /** Devices that are gone and were announced again because data of them was left. */
  readonly #leaving = new Set<Device>();
  #inFlight = 0;
  #nextQuietMs = 0;
  #suspectAsked = false;

  constructor(host: AnnouncerHost) {
    this.#host = host;
  }

  /** A connection has begun, or ended: the server knows no device. */
  reset(): void {
    this.#inFlight = 0;
    this.#suspectAsked = false;
    this.#host.quietChildren.reset();
    this.#quiet.clear();
    this.#refused.clear();
    this.#leaving.clear();
    for (const device of this.#host.backlog.devices) {
      if (device.isOwn) {
        continue;
      }
      device.announcedAs = undefined;
      if (device.losses >= SUSPECT_AFTER) {
        this.#suspend(device);
      } else {
        device.announcement = "none";
        if (device.known) {
          this.#quiet.add(device);
        }
      }
      this.#host.backlog.place(device);
    }
  }

  /** Announces the device on this connection and every later one. */
  add(device: Device): void {
    device.known = true;
    device.gone = false;
    this.#leaving.delete(device);
    if (device.announcement === "none") {
      this.#quiet.add(device);
    }
  }

  /** Leaves the device out until it has data again. */
  remove(device: Device): void {
    device.known = false;
    device.gone = true;
    device.announcement = "none";
    device.announcedAs = undefined;
    this.#host.quietChildren.remove(device);
    this.#quiet.delete(device);
    this.#refused.delete(device);
    this.#leaving.delete(device);
    this.#host.backlog.place(device);
  }

  /** Announces the device once more, because its session has another name than the platform gives it. */
  reopen(device: Device): void {
    device.announcedAs = undefined;
    device.announcement = "none";
    this.#refused.delete(device);
    this.#host.quietChildren.remove(device);
    if (device.known) {
      this.#quiet.add(device);
    }
    this.#host.backlog.place(device);
  }

  /** Sends what may be sent at this moment. */
  pump(): void {
    const { backlog, session } = this.#host;
    this.#forgive();
    let suspect: Device | undefined;
    for (const device of backlog.waiting) {
      if (this.#suspectAsked || this.#inFlight >= URGENT_WINDOW || !session.hasRoom) {
        return;
      }
      if (!this.#isAffordable()) {
        return;
      }
      if (device.losses === 0) {
        this.#announce(device);
      } else if (device.losses < (suspect?.losses ?? Number.POSITIVE_INFINITY)) {
        suspect = device;
      }
    }
    if (suspect === undefined) {
      this.#pumpQuiet();
    } else {
      this.#announceAlone(suspect);
    }
  }

  /** Closes the sessions of devices that are gone and whose data is through. */
  dismiss(): void {
    const { alarm, clock, quietChildren, session } = this.#host;
    const nowMs = clock.monotonicMs();
    for (const device of this.#leaving) {
      const isIdle = device.queued + device.inFlight + device.held === 0;
      const dueMs = (quietChildren.heardAtMs(device) ?? nowMs) + LINGER_MS;
      const delayMs = Math.max(dueMs - nowMs, session.rates.devices.regular.delayMs(1));
      if (delayMs > 0) {
        alarm.at(nowMs + delayMs);
      } else if (isIdle && session.hasRoom && device.announcedAs !== undefined) {
        const payload = disconnectPayload(device.announcedAs);
        this.remove(device);
        session.rates.devices.regular.take(1);
        session.send(GATEWAY_DISCONNECT, payload, IGNORE);
      }
    }
  }

  /** Whether the limits allow an announcement at this moment; asks for a wake-up when not. Answers to calls go first. */
  #isAffordable(): boolean {
    const { alarm, clock, session } = this.#host;
    const delayMs = session.rates.devices.regular.delayMs(ANNOUNCEMENT_COST);
    if (delayMs > 0) {
      alarm.at(clock.monotonicMs() + delayMs);
    }
    return delayMs === 0 && !session.hasWaiting;
  }

  #pumpQuiet(): void {
    const { alarm, clock, session } = this.#host;
    for (const device of this.#quiet) {
      if (this.#suspectAsked || this.#inFlight >= QUIET_WINDOW || !session.hasRoom) {
        return;
      }
      if (device.announcement !== "none") {
        this.#quiet.delete(device);
        continue;
      }
      const nowMs = clock.monotonicMs();
      if (nowMs < this.#nextQuietMs) {
        alarm.at(this.#nextQuietMs);
        return;
      }
      if (!this.#isAffordable()) {
        return;
      }
      this.#nextQuietMs =
        nowMs +
        (1000 * ANNOUNCEMENT_COST) / (session.rates.devices.regular.perSecond * QUIET_SHARE);
      if (device.losses === 0) {
        this.#announce(device);
      } else {
        this.#announceAlone(device);
      }
    }
  }

  /** Devices whose pause after a refusal is over. */
  #forgive(): void {
    const { alarm, backlog, clock } = this.#host;
    const nowMs = clock.monotonicMs();
    for (const device of this.#refused) {
      if (device.retryAtMs > nowMs) {
        alarm.at(device.retryAtMs);
        continue;
      }
      this.#refused.delete(device);
      device.announcement = "none";
      backlog.place(device);
      if (device.known) {
        this.#quiet.add(device);
      }
    }
  }

  /** The last connection ended while it was being announced: nothing else is, until its PUBACK, so that the next end tells. */
  #announceAlone(device: Device): void {
    if (this.#inFlight === 0 && this.#host.session.hasRoom) {
      this.#suspectAsked = true;
      this.#announce(device);
    }
  }

  #announce(device: Device): void {
    const { backlog, platformName, session } = this.#host;
    const name = platformName(device.name);
    this.#quiet.delete(device);
    device.announcedAs = name;
    device.announcement = "asked";
    backlog.place(device);
    this.#inFlight += 1;
    session.rates.devices.regular.take(ANNOUNCEMENT_COST);
    session.send(GATEWAY_CONNECT, connectPayload(name, device.type), this.#delivery(device, name));
  }

  #delivery(device: Device, name: string): Delivery {
    let waits = true;
    const settle = (): void => {
      this.#inFlight -= waits ? 1 : 0;
      this.#suspectAsked &&= this.#inFlight > 0;
      waits = false;
    };
    return {
      acked: (code) => {
        settle();
        if (!device.known && device.queued === 0 && device.held === 0) {
          return; // Taken out meanwhile.
        }
        if (device.announcedAs !== name) {
          return; // It has another name meanwhile.
        }
        if (classifyPuback(code) === "accepted") {
          this.#accepted(device);
        } else {
          device.refusedAtMs = this.#host.clock.monotonicMs();
          this.#refuse(device, reasonText(code));
        }
      },
      // The server may be opening the device still: a PUBACK that comes late counts.
      overdue: () => {
        settle();
        this.#refuse(device, "no answer");
      },
      lost: () => {
        device.losses += waits ? 1 : 0; // `reset` follows.
      },
    };
  }

  #accepted(device: Device): void {
    if (device.refusals > 0) {
      this.#host.log.info("The platform accepts the device again", { device: device.name });
    }
    device.refusals = 0;
    device.losses = 0;
    device.announcement = "announced";
    if (device.gone) {
      this.#leaving.add(device);
    }
    this.#host.quietChildren.active(device);
    this.#refused.delete(device);
    this.#host.backlog.place(device);
    this.#host.announced(device.name);
    this.#host.changed();
  }

  /** Each connection ends as this device is announced: the others go first, and it is tried more and more rarely. */
  #suspend(device: Device): void {
    const { clock, log } = this.#host;
    const times = Math.min(MAX_SUSPENSIONS, device.losses - SUSPECT_AFTER + 1);
    if (device.losses === SUSPECT_AFTER) {
      log.warn("Announcing a device seems to end the connection: it waits", {
        device: device.name,
      });
    }
    device.announcement = "refused";
    device.retryAtMs = clock.monotonicMs() + times * SUSPENSION_MS;
    this.#refused.add(device);
  }

  #refuse(device: Device, reason: string): void {
    const { backlog, changed, clock, log } = this.#host;
    device.refusals += 1;
    if (device.refusals === 1) {
      log.warn("The platform refuses a device: its data waits", { device: device.name, reason });
    }
    device.announcement = "refused";
    device.retryAtMs = clock.monotonicMs() + backoffMs(device.refusals, Math.random());
    this.#refused.add(device);
    backlog.place(device);
    changed();
  }
}

/** A session that is lost is closed. */
const IGNORE: Delivery = {
  acked: () => undefined,
  overdue: () => undefined,
  lost: () => undefined,
};
