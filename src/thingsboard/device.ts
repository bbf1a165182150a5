import type { RecordKind } from "#sdk/batch";
import type { Cursor } from "../storage/event-store.ts";
import { Fifo } from "./fifo.ts";

/** The two kinds of data, each with its own topic. */
export type Lane = "attributes" | "telemetry";

/** Both lanes, attributes first. */
export const LANES: readonly Lane[] = ["attributes", "telemetry"];

/** The lane a kind of record travels in. */
export function laneOf(kind: RecordKind): Lane {
  return kind === "telemetry" || kind === "gateway-telemetry" ? "telemetry" : "attributes";
}

/** A record that was too large and went out in parts; it is done when all of them are. */
export interface Whole {
  readonly cursor: Cursor;
  readonly values: number;
  pending: number;
  /** Why the record is set aside although some parts were taken. */
  reason: string | undefined;
}

/** A record in memory on its way to the platform, or a part of one. */
export interface Item {
  readonly cursor: Cursor;
  readonly lane: Lane;
  readonly json: string;
  /** UTF-8 bytes of `json`. */
  readonly bytes: number;
  readonly values: number;
  /** Values as the platform's limits count them; a part has its own, while `values` is that of the record. */
  readonly points: number;
  /** Set for a part of a record that was too large. */
  readonly whole: Whole | undefined;
  /** Acknowledged or set aside: whatever still carries it must not count it again. */
  done: boolean;
}

/**
 * Whether the platform knows the device on this connection. `none`: it must be announced before its data; `asked`: the
 * announcement has no PUBACK yet; `refused`: it will be announced again later.
 */
export type Announcement = "none" | "asked" | "announced" | "refused";

/** A device and its queued records; `name` "" is the gateway's own device, which needs no announcement. */
export class Device {
  readonly name: string;
  type: string;
  readonly telemetry = new Fifo<Item>();
  readonly attributes = new Fifo<Item>();
  queuedBytes = 0;
  /** Publishes with its records that have no PUBACK yet. */
  inFlight = 0;
  /** Publishes with its records that are acknowledged but not yet believed, under MQTT 3.1.1. */
  settling = 0;
  /** Refused pieces with its records that will be sent again: later records wait. */
  held = 0;
  announcement: Announcement;
  /** The platform's name under which it was announced last. */
  announcedAs: string | undefined;
  /** Consecutive refusals of the announcement. */
  refusals = 0;
  /** Consecutive connections that ended while its announcement was under way. */
  losses = 0;
  /** Monotonic milliseconds from which a refused device may be announced again. */
  retryAtMs = 0;
  /** Monotonic milliseconds of the last PUBACK that refused its announcement or its data. */
  refusedAtMs = Number.NEGATIVE_INFINITY;
  /** To be announced on every connection even without data. */
  known = false;
  /** Taken back: it is announced for data that is left only, and its session is closed once that is through. */
  gone = false;
  /** The lane of its last publish: the other one is next when both wait. */
  lastLane: Lane | undefined;
  /** By lane: from this record on its data was let go from memory and is to be read again. */
  readonly parkedFrom: Record<Lane, Cursor | undefined> = {
    attributes: undefined,
    telemetry: undefined,
  };
  /** Being read again: records from `parkedFrom` on are taken. */
  returning = false;

  constructor(name: string, type: string) {
    this.name = name;
    this.type = type;
    this.announcement = this.isOwn ? "announced" : "none";
  }

  get isOwn(): boolean {
    return this.name === "";
  }

  /** Where its data is to be read again; `undefined` when all of it is in memory or on its way. */
  get firstParked(): Cursor | undefined {
    const { attributes, telemetry } = this.parkedFrom;
    if (attributes === undefined || telemetry === undefined) {
      return attributes ?? telemetry;
    }
    return attributes < telemetry ? attributes : telemetry;
  }

  get queued(): number {
    return this.telemetry.size + this.attributes.size;
  }

  /** Whether it waits for something but its own PUBACKs, so that what it has queued only takes up memory. */
  get isStuck(): boolean {
    return this.held > 0 || this.announcement === "refused";
  }

  /** Whether nothing is known of it but its name and what it is: no data in memory or on its way, no session. */
  get isIdle(): boolean {
    const waits = this.queued + this.inFlight + this.settling + this.held > 0;
    return !waits && this.firstParked === undefined && this.announcement === "none";
  }

  /** Whether any of its data waits, in memory, on its way or to be read again. */
  get isWaiting(): boolean {
    return this.queued + this.inFlight + this.held > 0 || this.firstParked !== undefined;
  }

  queue(lane: Lane): Fifo<Item> {
    return lane === "telemetry" ? this.telemetry : this.attributes;
  }

  /** Attributes first, unless that would keep telemetry waiting twice in a row. */
  mayLead(lane: Lane): boolean {
    if (lane === "attributes") {
      return this.lastLane !== "attributes" || this.telemetry.size === 0;
    }
    return this.attributes.size === 0 || this.lastLane === "attributes";
  }
}
