import type { RecordKind } from "#sdk/batch";
import type { Backlog } from "./backlog.ts";
import { type Device, type Item, LANES, type Lane, type Whole } from "./device.ts";
import { newPiece, type Piece, type PieceGroup } from "./piece.ts";
import type { Cost, Meter } from "./rate-limit.ts";
import { deviceOverhead, type SplitRecord, splitAttributes, splitTelemetry } from "./split.ts";

/** A device's name on the platform as a JSON string, kept until it changes. */
interface Label {
  readonly name: string;
  readonly json: string;
  readonly bytes: number;
}

/** What a packer needs besides the records. */
export interface PackerHost {
  /** The platform's name of a device, by its local name. */
  readonly platformName: (local: string) => string;
  /** A record of which nothing, or not everything, can be sent: no part of it is smaller than the limit. */
  readonly tooLarge: (item: Item) => void;
  /** The limits of the gateway's own data, or of the devices behind it. */
  readonly meter: (isOwn: boolean) => Meter;
  /** Records wait until the meter has this much. */
  readonly denied: (meter: Meter, cost: Cost) => void;
}

/** Data points that the limits let a device have in a draft, and the most that one record may ever have. */
interface Room {
  readonly points: number;
  readonly largest: number;
}

/** Room around the list of devices. */
const FRAME_BYTES = 2;

/** Packs queued records into publishes: as many devices and moments as fit and the limits allow, each device's records in order. */
export class Packer {
  readonly #backlog: Backlog;
  readonly #host: PackerHost;
  readonly #labels = new WeakMap<Device, Label>();
  /** Whose limits allow no more during this call of `next`, so that a large record is not overtaken for ever. */
  #denied = { own: false, devices: false };

  constructor(backlog: Backlog, host: PackerHost) {
    this.#backlog = backlog;
    this.#host = host;
  }

  /** The next publish of at most `limitBytes`, its records taken out of their queues; `undefined` when nobody's turn has come. */
  next(limitBytes: number): Piece | undefined {
    this.#denied = { own: false, devices: false };
    for (const lane of LANES) {
      const piece = this.#pack(lane, limitBytes);
      if (piece !== undefined) {
        return piece;
      }
    }
    return undefined;
  }

  /** The platform's name of a device as a JSON string. */
  label(device: Device): Label {
    const name = this.#host.platformName(device.name);
    const known = this.#labels.get(device);
    if (known?.name === name) {
      return known;
    }
    const json = JSON.stringify(name);
    const label = { name, json, bytes: Buffer.byteLength(json) };
    this.#labels.set(device, label);
    return label;
  }

  /** A record in parts that fit beside the device's name and into the limits; `undefined` when no part of it does. */
  split(device: Device, lane: Lane, item: Item, limitBytes: number): readonly Item[] | undefined {
    const limit = {
      // One more for the comma that `#fill` counts with each record.
      bytes: limitBytes - FRAME_BYTES - 1 - deviceOverhead(this.label(device).bytes),
      keys: this.#host.meter(device.isOwn).largest.points,
    };
    let result: SplitRecord;
    try {
      result =
        lane === "telemetry" ? splitTelemetry(item.json, limit) : splitAttributes(item.json, limit);
    } catch {
      return undefined; // Not JSON, and too large to find out from the platform: the caller sets it aside.
    }
    if (result.pieces.length === 0) {
      return undefined;
    }
    const { values, cursor } = item;
    const whole: Whole = item.whole ?? { cursor, values, pending: 1, reason: undefined };
    whole.pending += result.pieces.length - 1;
    whole.reason ??= result.tooLarge.length > 0 ? "too-large" : undefined;
    return result.pieces.map((json, index) => ({
      cursor,
      lane,
      json,
      bytes: Buffer.byteLength(json),
      values: 0,
      points: result.counts[index] ?? 1,
      whole,
      done: false,
    }));
  }

  #pack(lane: Lane, limitBytes: number): Piece | undefined {
    const draft = new Draft(limitBytes);
    for (const device of this.#backlog.idle(lane)) {
      if (device.mayLead(lane) && !this.#fill(draft, device, lane)) {
        break;
      }
      if (draft.isOwn) {
        break;
      }
    }
    if (!draft.full && this.#busyCanFill(draft, lane)) {
      for (const device of this.#backlog.busy(lane)) {
        if (!this.#fill(draft, device, lane)) {
          break;
        }
      }
    }
    for (const { device } of draft.groups) {
      device.lastLane = lane;
    }
    return draft.groups.length === 0 ? undefined : newPiece(draft.kind(lane), draft.groups);
  }

  /** Whether devices with something in flight have enough for a full payload; a half full one must wait for their PUBACKs. */
  #busyCanFill(draft: Draft, lane: Lane): boolean {
    let bytes = draft.bytes;
    for (const device of this.#backlog.busy(lane)) {
      if (device.isOwn !== draft.isOwn && draft.groups.length > 0) {
        continue;
      }
      // `queuedBytes` counts both lanes; a device rarely has much in both.
      bytes += device.queuedBytes;
      if (bytes >= draft.limitBytes) {
        return true;
      }
    }
    return false;
  }

  /** Moves records of a device into the draft; false when it is full. */
  #fill(draft: Draft, device: Device, lane: Lane): boolean {
    if (!draft.accepts(device)) {
      return true;
    }
    const label = this.label(device);
    if (draft.names.has(label.json)) {
      return true; // Two local devices with one name on the platform: equal keys in one object would lose one.
    }
    const room = this.#room(draft, device);
    if (room === undefined) {
      return !draft.full;
    }
    const group = new GroupDraft(device.isOwn ? 0 : deviceOverhead(label.bytes));
    this.#draw(draft, group, { device, lane, room });
    if (group.items.length > 0) {
      draft.add({ device, name: label.json, items: group.items }, group);
    }
    return !draft.full;
  }

  /** Moves records of a device into its group, as many as the draft and the limits have room for. */
  #draw(
    draft: Draft,
    group: GroupDraft,
    from: { readonly device: Device; readonly lane: Lane; readonly room: Room },
  ): void {
    const { device, lane, room } = from;
    const queue = device.queue(lane);
    for (let item = queue.peek(); item !== undefined; item = queue.peek()) {
      const isFirst = draft.groups.length === 0 && group.items.length === 0;
      const fits = draft.bytes + group.bytes + item.bytes + 1 <= draft.limitBytes;
      if (isFirst && (!fits || item.points > room.largest)) {
        this.#splitHead(device, lane, draft.limitBytes);
      } else if (fits && group.points + item.points <= room.points) {
        this.#backlog.shift(device, lane);
        group.add(item);
      } else {
        draft.full = !isFirst;
        this.#deny(device, isFirst ? item.points : 0);
        return;
      }
    }
  }

  /** What the limits let a device add to a draft; `undefined`, and said to the host, when that is nothing. */
  #room(draft: Draft, device: Device): Room | undefined {
    if (device.isOwn ? this.#denied.own : this.#denied.devices) {
      return undefined;
    }
    const meter = this.#host.meter(device.isOwn);
    const { messages, points } = meter.available;
    if (messages > draft.groups.length && points > draft.points) {
      return { points: points - draft.points, largest: meter.largest.points };
    }
    if (draft.groups.length > 0) {
      draft.full = true;
    } else {
      this.#deny(device, 1);
    }
    return undefined;
  }

  /** Remembers that the limits allow a device nothing until there are so many data points; nothing to do for 0. */
  #deny(device: Device, points: number): void {
    if (points > 0) {
      this.#denied[device.isOwn ? "own" : "devices"] = true;
      this.#host.denied(this.#host.meter(device.isOwn), { messages: 1, points });
    }
  }

  #splitHead(device: Device, lane: Lane, limitBytes: number): void {
    const item = this.#backlog.shift(device, lane);
    if (item === undefined) {
      return;
    }
    const parts = this.split(device, lane, item, limitBytes);
    if (parts === undefined) {
      this.#host.tooLarge(item);
    } else {
      this.#backlog.replace(device, lane, item, parts);
    }
    this.#backlog.place(device);
  }
}

/** The records of one device in a publish in the making. */
class GroupDraft {
  readonly items: Item[] = [];
  bytes: number;
  points = 0;

  constructor(overheadBytes: number) {
    this.bytes = overheadBytes;
  }

  add(item: Item): void {
    this.items.push(item);
    this.bytes += item.bytes + 1;
    this.points += item.points;
  }
}

/** A publish in the making. */
class Draft {
  readonly limitBytes: number;
  readonly groups: PieceGroup[] = [];
  readonly names = new Set<string>();
  bytes = FRAME_BYTES;
  points = 0;
  full = false;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get isOwn(): boolean {
    return this.groups[0]?.device.isOwn === true;
  }

  /** The gateway's own data has its own topic. */
  accepts(device: Device): boolean {
    return this.groups.length === 0 || (!this.isOwn && !device.isOwn);
  }

  add(group: PieceGroup, size: { readonly bytes: number; readonly points: number }): void {
    this.groups.push(group);
    this.names.add(group.name);
    this.bytes += size.bytes;
    this.points += size.points;
  }

  kind(lane: Lane): RecordKind {
    return this.isOwn ? `gateway-${lane}` : lane;
  }
}
