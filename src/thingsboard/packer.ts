import type { RecordKind } from "#sdk/batch";
import type { Backlog } from "./backlog.ts";
import { type Device, type Item, LANES, type Lane, type Whole } from "./device.ts";
import { newPiece, type Piece, type PieceGroup } from "./piece.ts";
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
}

/** Room around the list of devices. */
const FRAME_BYTES = 2;

/** Packs queued records into publishes: as many devices and moments as fit, each device's records in order. */
export class Packer {
  readonly #backlog: Backlog;
  readonly #host: PackerHost;
  readonly #labels = new WeakMap<Device, Label>();

  constructor(backlog: Backlog, host: PackerHost) {
    this.#backlog = backlog;
    this.#host = host;
  }

  /** The next publish of at most `limitBytes`, its records taken out of their queues; `undefined` when nobody's turn has come. */
  next(limitBytes: number): Piece | undefined {
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

  /** A record in parts that fit beside the device's name; `undefined` when no part of it does. */
  split(device: Device, lane: Lane, item: Item, limitBytes: number): readonly Item[] | undefined {
    const room = limitBytes - FRAME_BYTES - deviceOverhead(this.label(device).bytes);
    let result: SplitRecord;
    try {
      result =
        lane === "telemetry" ? splitTelemetry(item.json, room) : splitAttributes(item.json, room);
    } catch {
      return undefined; // Not JSON, and too large to find out from the platform: the caller sets it aside.
    }
    if (result.pieces.length === 0) {
      return undefined;
    }
    const whole: Whole = {
      cursor: item.cursor,
      values: item.values,
      pending: result.pieces.length,
      reason: result.tooLarge.length > 0 ? "too-large" : undefined,
    };
    return result.pieces.map((json) => ({
      cursor: item.cursor,
      json,
      bytes: Buffer.byteLength(json),
      values: 0,
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
    const items: Item[] = [];
    const queue = device.queue(lane);
    let bytes = device.isOwn ? 0 : deviceOverhead(label.bytes);
    for (let item = queue.peek(); item !== undefined; item = queue.peek()) {
      if (draft.bytes + bytes + item.bytes + 1 > draft.limitBytes) {
        if (draft.groups.length > 0 || items.length > 0) {
          draft.full = true;
          break;
        }
        this.#splitHead(device, lane, draft.limitBytes);
        continue;
      }
      this.#backlog.shift(device, lane);
      items.push(item);
      bytes += item.bytes + 1;
    }
    if (items.length > 0) {
      draft.add({ device, name: label.json, items }, bytes);
    }
    return !draft.full;
  }

  #splitHead(device: Device, lane: Lane, limitBytes: number): void {
    const item = this.#backlog.shift(device, lane);
    if (item === undefined) {
      return;
    }
    const parts = item.whole === undefined ? this.split(device, lane, item, limitBytes) : undefined;
    if (parts === undefined) {
      this.#host.tooLarge(item);
    } else {
      this.#backlog.replace(device, lane, item, parts);
    }
    this.#backlog.place(device);
  }
}

/** A publish in the making. */
class Draft {
  readonly limitBytes: number;
  readonly groups: PieceGroup[] = [];
  readonly names = new Set<string>();
  bytes = FRAME_BYTES;
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

  add(group: PieceGroup, bytes: number): void {
    this.groups.push(group);
    this.names.add(group.name);
    this.bytes += bytes;
  }

  kind(lane: Lane): RecordKind {
    return this.isOwn ? `gateway-${lane}` : lane;
  }
}
