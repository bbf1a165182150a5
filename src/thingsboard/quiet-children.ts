import type { Alarm } from "#sdk/alarm";
import type { Clock } from "#sdk/clock";
import type { Device } from "./device.ts";
import type { Delivery } from "./outstanding.ts";
import type { Session } from "./session.ts";
import { GATEWAY_ATTRIBUTES_REQUEST } from "./topics.ts";

/** The platform ends the session of a device after 10 minutes without a message that names it: half of that. */
const QUIET_MS = 300_000;

/** Requests without a PUBACK, at most. */
const WINDOW = 4;

/** Ids of these requests, apart from those of requests whose answer somebody waits for. */
const FIRST_ID = 1_000_000_000;
const LAST_ID = 2_000_000_000;

/** Any name will do: the answer is not read. */
const KEY = "keepAlive";

/** What is needed to keep quiet devices alive. */
export interface QuietChildrenHost {
  readonly session: Session;
  readonly clock: Clock;
  readonly alarm: Alarm;
  readonly platformName: (local: string) => string;
}

/**
 * Keeps the sessions of announced devices that send nothing: without one the platform delivers no calls and no attributes. A
 * request for one attribute counts as activity there; a repeated `connect` does not.
 */
export class QuietChildren {
  readonly #host: QuietChildrenHost;
  /** Announced devices, the longest silent first, with the monotonic time of their last message. */
  readonly #heardAtMs = new Map<Device, number>();
  #inFlight = 0;
  #nextId = FIRST_ID;

  constructor(host: QuietChildrenHost) {
    this.#host = host;
  }

  /** A message that names an announced device goes out. */
  active(device: Device): void {
    if (!device.isOwn) {
      this.#heardAtMs.delete(device);
      this.#heardAtMs.set(device, this.#host.clock.monotonicMs());
    }
  }

  /** Monotonic milliseconds of the last message that names an announced device. */
  heardAtMs(device: Device): number | undefined {
    return this.#heardAtMs.get(device);
  }

  /** The device has no session any more. */
  remove(device: Device): void {
    this.#heardAtMs.delete(device);
  }

  /** The connection has ended, and every session with it. */
  reset(): void {
    this.#heardAtMs.clear();
    this.#inFlight = 0;
  }

  /** Sends what is due, and asks for a wake-up for the rest. */
  pump(): void {
    const { alarm, clock, session } = this.#host;
    const nowMs = clock.monotonicMs();
    for (const [device, heardAtMs] of this.#heardAtMs) {
      if (nowMs - heardAtMs < QUIET_MS) {
        alarm.at(heardAtMs + QUIET_MS);
        return;
      }
      if (this.#inFlight >= WINDOW || !session.hasRoom || session.hasWaiting) {
        return; // A PUBACK comes back here.
      }
      const delayMs = session.rates.devices.regular.delayMs(1);
      if (delayMs > 0) {
        alarm.at(nowMs + delayMs);
        return;
      }
      this.#ask(device);
    }
  }

  #ask(device: Device): void {
    const { platformName, session } = this.#host;
    const id = this.#nextId;
    this.#nextId = id >= LAST_ID ? FIRST_ID : id + 1;
    this.active(device);
    this.#inFlight += 1;
    session.rates.devices.regular.take(1);
    const request = { id, device: platformName(device.name), client: false, key: KEY };
    session.send(GATEWAY_ATTRIBUTES_REQUEST, JSON.stringify(request), this.#delivery());
  }

  #delivery(): Delivery {
    let waits = true;
    const settle = (): void => {
      this.#inFlight -= waits ? 1 : 0;
      waits = false;
    };
    return {
      acked: settle,
      overdue: settle,
      lost: () => {
        waits = false; // `reset` follows.
      },
    };
  }
}
