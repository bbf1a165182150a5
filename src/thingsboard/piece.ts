import type { RecordKind } from "#sdk/batch";
import { publishedNow } from "#sdk/latency";
import type { Device, Item } from "./device.ts";
import {
  type DevicePart,
  gatewayAttributes,
  gatewayTelemetry,
  ownAttributes,
  ownTelemetry,
} from "./payloads.ts";
import type { Cost } from "./rate-limit.ts";

/** The records of one device in a piece, in order. */
export interface PieceGroup {
  readonly device: Device;
  /** The platform's name as a JSON string. */
  readonly name: string;
  readonly items: readonly Item[];
}

/** The content of one publish: what is sent, refused, halved and sent again as a whole. */
export interface Piece {
  readonly kind: RecordKind;
  readonly groups: readonly PieceGroup[];
  /** Place among all pieces: when the first publish of its records was made. Parts of a piece share it. */
  order: number;
  /** Nobody knows whether it ended a connection: it goes alone, so that the next end has one suspect. */
  suspect: boolean;
  /** It ended a connection while others passed: it also waits until everything before it is settled. */
  wary: boolean;
  /** Ends of a connection right after it, alone in flight. */
  closes: number;
  /** Of those, the ones with another data publish acknowledged since the one before. */
  strikes: number;
  /** Count of acknowledged data publishes at the last strike. */
  acksAtStrike: number;
  /** Count of connection ends that no record explains at the last strike. */
  strayEndsAtStrike: number;
  /** Expiries of its PUBACK deadline while other data publishes were acknowledged. */
  silences: number;
  /** Refusals that are no verdict on its records. */
  refusals: number;
  /** Monotonic milliseconds before which it is not sent again. */
  notBeforeMs: number;
  /** Whether the later records of its devices wait for it. */
  holds: boolean;
}

/** A piece with a clean record. */
export function newPiece(kind: RecordKind, groups: readonly PieceGroup[]): Piece {
  return {
    kind,
    groups,
    order: 0,
    suspect: false,
    wary: false,
    closes: 0,
    strikes: 0,
    acksAtStrike: -1,
    strayEndsAtStrike: 0,
    silences: 0,
    refusals: 0,
    notBeforeMs: 0,
    holds: false,
  };
}

/** The records of a piece that nobody has acknowledged yet. */
export function openItems(piece: Piece): readonly Item[] {
  return piece.groups.flatMap((group) => group.items.filter((item) => !item.done));
}

/** The groups of a piece without the records that are done. */
export function openGroups(piece: Piece): readonly PieceGroup[] {
  return piece.groups
    .map((group) => ({ ...group, items: group.items.filter((item) => !item.done) }))
    .filter((group) => group.items.length > 0);
}

/** Records in a piece. */
export function itemCount(piece: Piece): number {
  let count = 0;
  for (const group of piece.groups) {
    count += group.items.length;
  }
  return count;
}

/** Whether a piece is the gateway's own data, which has its own limits. */
export function isOwnPiece(piece: Piece): boolean {
  return piece.kind === "gateway-telemetry" || piece.kind === "gateway-attributes";
}

/** What a piece costs: a message for each device in it, and its values. */
export function costOf(piece: Piece): Cost {
  let points = 0;
  for (const group of piece.groups) {
    for (const item of group.items) {
      points += item.points;
    }
  }
  return { messages: piece.groups.length, points };
}

/** The JSON text to publish. `nowMs` is the wall clock, for entries that carry the times of their way; its length does not depend on it. */
export function payloadOf(piece: Piece, nowMs = 0): string {
  const parts: DevicePart[] = piece.groups.map((group) => ({
    name: group.name,
    jsons: group.items.map((item) =>
      piece.kind === "telemetry" ? publishedNow(item.json, nowMs) : item.json,
    ),
  }));
  switch (piece.kind) {
    case "telemetry":
      return gatewayTelemetry(parts);
    case "attributes":
      return gatewayAttributes(parts);
    case "gateway-telemetry":
      return ownTelemetry(parts.flatMap((part) => part.jsons));
    case "gateway-attributes":
      return ownAttributes(parts.flatMap((part) => part.jsons));
  }
}

/**
 * The piece in up to `ways` smaller ones, in order, devices kept together where that is even; done records are left out.
 * One piece when it holds one record, none when all are done.
 */
export function divide(piece: Piece, ways: number): readonly Piece[] {
  const flat = piece.groups.flatMap((group) =>
    group.items.filter((item) => !item.done).map((item) => ({ group, item })),
  );
  const size = Math.max(1, Math.ceil(flat.length / ways));
  const pieces: Piece[] = [];
  for (let start = 0; start < flat.length; start += size) {
    const groups = new Map<Device, PieceGroup & { readonly items: Item[] }>();
    for (const { group, item } of flat.slice(start, start + size)) {
      const known = groups.get(group.device);
      if (known === undefined) {
        groups.set(group.device, { device: group.device, name: group.name, items: [item] });
      } else {
        known.items.push(item);
      }
    }
    pieces.push({ ...newPiece(piece.kind, [...groups.values()]), order: piece.order });
  }
  return pieces;
}
