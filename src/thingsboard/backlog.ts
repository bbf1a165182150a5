import type { Cursor, StoredRecord } from "../storage/event-store.ts";
import { Device, type Item, LANES, type Lane, laneOf } from "./device.ts";

// What is read ahead of the platform's acknowledgements, at most.
const MAX_BACKLOG_RECORDS = 10_000;
const MAX_BACKLOG_BYTES = 2 * 1024 * 1024;

/** ThingsBoard opens no device with a longer name. */
const MAX_NAME_LENGTH = 255;

/** A device that was refused is tried again within 20 s: so long after a refusal it should have been. */
const REFUSED_MS = 60_000;

/** Names of devices that are gone, remembered for data of them that may still be in the store. */
const MAX_GONE = 20_000;

// Before the first record: every cursor is above 0, and any non-negative integer is a position.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
const START = 0n as Cursor;

/** A record that can never be sent, by its form alone. */
export interface Unsendable {
  readonly cursor: Cursor;
  readonly reason: string;
}

/** Devices with records to send, in the order in which their turn comes. `idle`: nothing in flight; `busy`: something. */
interface Ready {
  readonly idle: Set<Device>;
  readonly busy: Set<Device>;
}

/**
 * The part of the store that is in memory: records by device in order, bounded in number and bytes. A device that cannot be
 * sent to gives its place to the others when memory is short: its records are let go and read again when it can.
 */
export class Backlog {
  readonly #devices = new Map<string, Device>();
  /** Devices whose data was let go from memory and has yet to be read again. */
  readonly #parked = new Set<Device>();
  /** Names of devices that were taken back and of which nothing is in memory. */
  readonly #gone = new Set<string>();
  readonly #ready: Readonly<Record<Lane, Ready>> = {
    attributes: { idle: new Set(), busy: new Set() },
    telemetry: { idle: new Set(), busy: new Set() },
  };
  /** Devices with queued records that have yet to be announced. */
  readonly waiting = new Set<Device>();
  #records = 0;
  #bytes = 0;
  #position: Cursor = START;
  /** The furthest position read: below it only records of returning devices are taken. */
  #furthest: Cursor = START;

  /** Where the next read begins. */
  get position(): Cursor {
    return this.#position;
  }

  get records(): number {
    return this.#records;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What the next read may bring; no read is worth while below a quarter of the whole. */
  get room(): { readonly records: number; readonly bytes: number } | undefined {
    const records = MAX_BACKLOG_RECORDS - this.#records;
    const bytes = MAX_BACKLOG_BYTES - this.#bytes;
    return records * 4 < MAX_BACKLOG_RECORDS || bytes * 4 < MAX_BACKLOG_BYTES
      ? undefined
      : { records, bytes };
  }

  get devices(): IterableIterator<Device> {
    return this.#devices.values();
  }

  /** The device of that local name; made when it is not there. A type that is not empty replaces the one known. */
  device(name: string, type: string): Device {
    const known = this.#devices.get(name);
    if (known === undefined) {
      const device = new Device(name, type);
      device.gone = this.#gone.has(name);
      this.#devices.set(name, device);
      return device;
    }
    if (type !== "" && known.type !== type) {
      known.type = type;
    }
    return known;
  }

  /** Takes what was read after `position`; returns the records that can never be sent. */
  take(records: readonly StoredRecord[], last: Cursor): readonly Unsendable[] {
    const unsendable: Unsendable[] = [];
    for (const record of records) {
      const device = this.device(record.device, record.deviceType);
      const lane = laneOf(record.kind);
      if (!this.#wants(device, lane, record.cursor)) {
        continue;
      }
      if (device.parkedFrom[lane] !== undefined) {
        // Another device that comes back may take the position back once more.
        device.parkedFrom[lane] = positionAfter(record.cursor);
      }
      const reason = flawOf(record);
      if (reason === undefined) {
        this.#enqueue(device, record);
      } else {
        unsendable.push({ cursor: record.cursor, reason });
      }
    }
    this.#position = last;
    if (last >= this.#furthest) {
      this.#furthest = last;
      this.#arrived();
    }
    return unsendable;
  }

  /** Lets the queued records of devices go that only take up memory; whether that made room. */
  relieve(): boolean {
    let relieved = false;
    for (const device of this.#devices.values()) {
      if (device.isStuck && device.queued > 0) {
        this.#park(device);
        relieved = true;
      }
    }
    return relieved;
  }

  /** Whether a device that was let go can be sent to again: then `position` goes back, and a read that waits must begin anew. */
  rewind(): boolean {
    let rewound = false;
    for (const device of this.#parked) {
      const parked = device.firstParked;
      if (parked !== undefined && !device.returning && !device.isStuck) {
        device.returning = true;
        const from = positionBefore(parked);
        this.#position = from < this.#position ? from : this.#position;
        rewound = true;
      }
    }
    return rewound;
  }

  /** Whether all that waits is of devices that the platform refuses, or that are not to be announced yet; false when nothing does. */
  isRefused(nowMs: number): boolean {
    let waits = false;
    for (const device of this.#devices.values()) {
      const isPutOff = device.losses > 0 && device.retryAtMs > nowMs;
      if (device.isWaiting && !isPutOff && nowMs - device.refusedAtMs > REFUSED_MS) {
        return false;
      }
      waits ||= device.isWaiting;
    }
    return waits;
  }

  /** Puts the device where it belongs after any change of what decides about its turn. */
  place(device: Device): void {
    if (device.gone) {
      this.#keepWhileBusy(device);
    }
    const open = device.announcement === "announced" && device.held === 0;
    for (const lane of LANES) {
      const ready = this.#ready[lane];
      const wants = open && device.queue(lane).size > 0;
      set(ready.idle, device, wants && device.inFlight === 0);
      set(ready.busy, device, wants && device.inFlight > 0);
    }
    set(
      this.waiting,
      device,
      device.announcement === "none" && (device.queued > 0 || device.held > 0),
    );
  }

  /** Devices that may start a publish of this lane. */
  idle(lane: Lane): ReadonlySet<Device> {
    return this.#ready[lane].idle;
  }

  /** Devices that may only join a full publish of this lane. */
  busy(lane: Lane): ReadonlySet<Device> {
    return this.#ready[lane].busy;
  }

  /** Takes the oldest record of a lane out of the queue; its memory stays counted until `forget`. */
  shift(device: Device, lane: Lane): Item | undefined {
    const item = device.queue(lane).shift();
    device.queuedBytes -= item?.bytes ?? 0;
    return item;
  }

  /** Puts parts of a record at the front of the queue, in place of the record, which is no longer counted. */
  replace(device: Device, lane: Lane, record: Item, parts: readonly Item[]): void {
    device.queue(lane).prepend(parts);
    for (const part of parts) {
      device.queuedBytes += part.bytes;
    }
    this.swap(record, parts);
  }

  /** Counts the parts of a record instead of the record, for which a late PUBACK counts no more. */
  swap(record: Item, parts: readonly Item[]): void {
    record.done = true;
    this.forget(record);
    for (const part of parts) {
      this.#records += 1;
      this.#bytes += part.bytes;
    }
  }

  /** Gives back the memory of a record that is acknowledged or set aside. */
  forget(item: Item): void {
    this.#records -= 1;
    this.#bytes -= item.bytes;
  }

  #wants(device: Device, lane: Lane, cursor: Cursor): boolean {
    const parkedFrom = device.parkedFrom[lane];
    if (parkedFrom !== undefined) {
      return device.returning && cursor >= parkedFrom;
    }
    return cursor > this.#furthest;
  }

  #enqueue(device: Device, record: StoredRecord): void {
    const { kind, cursor, json, values } = record;
    const bytes = Buffer.byteLength(json);
    const lane = laneOf(kind);
    const queue = device.queue(lane);
    const whole = undefined;
    queue.push({ cursor, lane, json, bytes, values, points: values, whole, done: false });
    device.queuedBytes += bytes;
    device.known ||= !device.gone;
    this.#records += 1;
    this.#bytes += bytes;
    if (queue.size === 1) {
      this.place(device);
    }
  }

  /** The furthest position is reached again: every returning device has all its records back. */
  #arrived(): void {
    for (const device of this.#parked) {
      if (device.returning) {
        device.returning = false;
        device.parkedFrom.attributes = undefined;
        device.parkedFrom.telemetry = undefined;
        this.#parked.delete(device);
        this.place(device);
      }
    }
  }

  /** Of a device that is gone only the name is kept: they come and go for years. */
  #keepWhileBusy(device: Device): void {
    const { name } = device;
    if (!device.isIdle) {
      this.#devices.set(name, device);
      return;
    }
    this.#devices.delete(name);
    this.#gone.delete(name);
    this.#gone.add(name);
    for (const oldest of this.#gone) {
      if (this.#gone.size <= MAX_GONE) {
        break;
      }
      this.#gone.delete(oldest);
    }
  }

  /** Per lane, because what is queued in a lane comes after everything of that lane on its way; the other lane may be ahead. */
  #park(device: Device): void {
    for (const lane of LANES) {
      const items = device.queue(lane).takeAll();
      const [first] = items;
      device.parkedFrom[lane] = first?.cursor ?? device.parkedFrom[lane];
      for (const item of items) {
        this.forget(item);
      }
    }
    this.#parked.add(device);
    device.returning = false;
    device.queuedBytes = 0;
    this.place(device);
  }
}

/** Why a record can never be sent; `undefined` when it can. Only what costs nothing to see: the text is not parsed. */
function flawOf(record: StoredRecord): string | undefined {
  if (!record.json.startsWith("{") || !record.json.endsWith("}")) {
    return "payload-invalid";
  }
  const own = record.kind === "gateway-telemetry" || record.kind === "gateway-attributes";
  const { length } = record.device;
  return own === (length === 0) && length <= MAX_NAME_LENGTH ? undefined : "bad-device-name";
}

function set(devices: Set<Device>, device: Device, wanted: boolean): void {
  if (wanted) {
    devices.add(device);
  } else {
    devices.delete(device);
  }
}

/** The position after which reading begins with `cursor`. */
function positionBefore(cursor: Cursor): Cursor {
  // Any non-negative integer is a position, and every cursor is above START.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  return (cursor - 1n) as Cursor;
}

/** The first cursor that a read after `position` may bring. */
function positionAfter(position: Cursor): Cursor {
  // Any non-negative integer is a position.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  return (position + 1n) as Cursor;
}
