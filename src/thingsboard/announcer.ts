import { backoffMs, REFUSED_RETRY_MS } from "#sdk/backoff";
import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import type { Alarm } from "./alarm.ts";
import type { Backlog } from "./backlog.ts";
import type { Device } from "./device.ts";
import type { RateWindow } from "./limits.ts";
import type { Delivery } from "./outstanding.ts";
import { connectPayload } from "./payloads.ts";
import { classifyPuback, reasonText } from "./reasons.ts";
import type { Session } from "./session.ts";
import { GATEWAY_CONNECT } from "./topics.ts";

/** Announcements in flight for devices whose data waits, and for the quiet ones. */
const URGENT_WINDOW = 16;
const QUIET_WINDOW = 4;

/** Part of the server's message budget that quiet devices may use; a first announcement costs two messages. */
const QUIET_SHARE = 0.5;
const ANNOUNCEMENT_COST = 2;

/** Connections lost in a row during its announcement make a device a suspect; its pause grows up to this many minutes. */
const SUSPECT_AFTER = 3;
const MAX_SUSPENSIONS = 10;

/** What an announcer needs. */
export interface AnnouncerHost {
  readonly session: Session;
  readonly backlog: Backlog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly alarm: Alarm;
  readonly platformName: (local: string) => string;
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
    this.#quiet.clear();
    this.#refused.clear();
    for (const device of this.#host.backlog.devices) {
      if (device.isOwn) {
        continue;
      }
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
    if (device.announcement === "none") {
      this.#quiet.add(device);
    }
  }

  /** Leaves the device out until it has data again. */
  remove(device: Device): void {
    device.known = false;
    device.announcement = "none";
    this.#quiet.delete(device);
    this.#refused.delete(device);
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
      this.#nextQuietMs = nowMs + quietIntervalMs(session.limits.devices.messages);
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
    const payload = connectPayload(platformName(device.name), device.type);
    this.#quiet.delete(device);
    device.announcement = "asked";
    backlog.place(device);
    this.#inFlight += 1;
    session.send(GATEWAY_CONNECT, payload, this.#delivery(device));
  }

  #delivery(device: Device): Delivery {
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
        if (classifyPuback(code) === "accepted") {
          this.#accepted(device);
        } else {
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
    this.#refused.delete(device);
    this.#host.backlog.place(device);
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
    device.retryAtMs = clock.monotonicMs() + times * REFUSED_RETRY_MS;
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

/** Milliseconds between two quiet announcements, so that the tightest message limit keeps half its budget. */
function quietIntervalMs(limits: readonly RateWindow[]): number {
  let intervalMs = 0;
  for (const { capacity, seconds } of limits) {
    const each = (seconds * 1000 * ANNOUNCEMENT_COST) / (capacity * QUIET_SHARE);
    intervalMs = Math.max(intervalMs, each);
  }
  return intervalMs;
}
