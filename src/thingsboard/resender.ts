import type { Alarm } from "#sdk/alarm";
import type { Clock } from "#sdk/clock";
import type { Backlog } from "./backlog.ts";
import { type Item, laneOf } from "./device.ts";
import type { Packer } from "./packer.ts";
import {
  costOf,
  divide,
  isOwnPiece,
  newPiece,
  openGroups,
  openItems,
  type Piece,
  payloadOf,
} from "./piece.ts";
import type { Session } from "./session.ts";
import type { Window } from "./window.ts";

/** What a resender needs. */
export interface ResenderHost {
  readonly session: Session;
  readonly clock: Clock;
  readonly alarm: Alarm;
  readonly backlog: Backlog;
  readonly packer: Packer;
  readonly window: Window;
  /** No part of a record is smaller than the limit. */
  readonly tooLarge: (item: Item) => void;
}

/** Sends pieces that were refused or lost, under the names and limits of today. */
export class Resender {
  readonly #host: ResenderHost;

  constructor(host: ResenderHost) {
    this.#host = host;
  }

  /**
   * Sends a piece as it was, or puts it back in smaller ones when a limit has shrunk, names have changed or a late PUBACK came.
   * False when the rate limits make it wait: then it is put back as it was, and nothing else may go before it.
   */
  send(refused: Piece, limitBytes: number): boolean {
    const { alarm, clock, packer, session, window } = this.#host;
    const groups = openGroups(refused).map((group) => ({
      ...group,
      name: packer.label(group.device).json,
    }));
    const piece: Piece = { ...refused, groups };
    const meter = isOwnPiece(piece) ? session.rates.own : session.rates.devices;
    const { largest } = meter;
    const cost = costOf(piece);
    const names = new Set(groups.map((group) => group.name));
    const fits = cost.messages <= largest.messages && cost.points <= largest.points;
    if (!fits || names.size < groups.length || Buffer.byteLength(payloadOf(piece)) > limitBytes) {
      this.#putBackSmaller(piece, limitBytes);
      return true;
    }
    const delayMs = meter.delayMs(cost);
    if (delayMs > 0) {
      window.putBack([piece]);
      alarm.at(clock.monotonicMs() + delayMs);
      return false;
    }
    window.send(piece);
    return true;
  }

  #putBackSmaller(piece: Piece, limitBytes: number): void {
    const { backlog, packer, tooLarge, window } = this.#host;
    const open = openItems(piece);
    const [item] = open;
    const [group] = piece.groups;
    if (open.length > 1 || item === undefined || group === undefined) {
      window.putBack(divide(piece, 2));
      return;
    }
    const parts = packer.split(group.device, laneOf(piece.kind), item, limitBytes);
    if (parts === undefined) {
      tooLarge(item);
      return;
    }
    backlog.swap(item, parts);
    window.putBack(
      parts.map((part) => ({
        ...newPiece(piece.kind, [{ ...group, items: [part] }]),
        order: piece.order,
      })),
    );
  }
}
