import type { Device } from "./device.ts";
import { openItems, type Piece } from "./piece.ts";

/** What the sender is doing, for the choice of the next piece. */
export interface SendingNow {
  readonly nowMs: number;
  /** Data publishes without a PUBACK. */
  readonly inFlight: number;
  /** Acknowledged publishes whose time to be believed is not over. */
  readonly settling: number;
}

/** `piece`: send it; `quiet`: one must go alone, so send nothing until all is settled; `wakeAtMs`: nothing before that time. */
export type NextRetry =
  | { readonly piece: Piece }
  | { readonly quiet: true }
  | { readonly wakeAtMs: number }
  | undefined;

/** Pieces that must be sent again, in the order of their first publish; later records of their devices wait for them. */
export class Retries {
  readonly #pieces: Piece[] = [];
  readonly #changed: (device: Device) => void;

  /** `changed` is called for each device whose `held` count has changed. */
  constructor(changed: (device: Device) => void) {
    this.#changed = changed;
  }

  get size(): number {
    return this.#pieces.length;
  }

  /** Puts pieces in, each before those that were first sent later. */
  add(pieces: readonly Piece[]): void {
    let index = 0;
    let previous: Piece | undefined;
    for (const piece of pieces) {
      // Parts of one piece share their order and stay in the order given.
      index = previous?.order === piece.order ? index + 1 : this.#placeFor(piece);
      previous = piece;
      this.#pieces.splice(index, 0, piece);
      if (!piece.holds) {
        piece.holds = true;
        this.#hold(piece, 1);
      }
    }
  }

  /** Lets the devices of a piece go on without it: it has been sent once, so nothing overtakes it. */
  setAside(piece: Piece): void {
    if (piece.holds) {
      piece.holds = false;
      this.#hold(piece, -1);
    }
  }

  /** Chooses what is to be sent again at this moment; a chosen piece is taken out and holds its devices no more. */
  next(now: SendingNow): NextRetry {
    const blocked = new Set<Device>();
    let wakeAtMs = Number.POSITIVE_INFINITY;
    this.#dropDone();
    for (const piece of this.#pieces) {
      const devices = piece.groups.map((group) => group.device);
      const free = devices.every((device) => isFree(device) && !blocked.has(device));
      if (piece.holds) {
        for (const device of devices) {
          blocked.add(device);
        }
      }
      if (!free) {
        continue;
      }
      if (piece.notBeforeMs > now.nowMs) {
        wakeAtMs = Math.min(wakeAtMs, piece.notBeforeMs);
        continue;
      }
      if (piece.suspect && (now.inFlight > 0 || (piece.wary && now.settling > 0))) {
        return { quiet: true };
      }
      this.#take(piece);
      return { piece };
    }
    return Number.isFinite(wakeAtMs) ? { wakeAtMs } : undefined;
  }

  #placeFor(piece: Piece): number {
    const index = this.#pieces.findIndex((other) => other.order >= piece.order);
    return index < 0 ? this.#pieces.length : index;
  }

  /** A late PUBACK may have covered all of a piece. */
  #dropDone(): void {
    for (const piece of this.#pieces.filter((waiting) => openItems(waiting).length === 0)) {
      this.#take(piece);
    }
  }

  #take(piece: Piece): void {
    this.#pieces.splice(this.#pieces.indexOf(piece), 1);
    this.setAside(piece);
  }

  #hold(piece: Piece, by: 1 | -1): void {
    for (const { device } of piece.groups) {
      device.held += by;
      this.#changed(device);
    }
  }
}

/** Whether the platform takes data of the device and nothing of it is on its way. */
function isFree(device: Device): boolean {
  return device.announcement === "announced" && device.inFlight === 0;
}
