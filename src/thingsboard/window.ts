import type { Alarm } from "#sdk/alarm";
import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import type { Backlog } from "./backlog.ts";
import type { Item } from "./device.ts";
import type { LinkEnd } from "./link.ts";
import type { Delivery } from "./outstanding.ts";
import { Pace } from "./pace.ts";
import { openItems, type Piece, payloadOf } from "./piece.ts";
import type { QuietChildren } from "./quiet-children.ts";
import {
  classifyPuback,
  mayBlamePacket,
  type PubackClass,
  quarantineReason,
  reasonText,
} from "./reasons.ts";
import { type NextRetry, Retries } from "./retries.ts";
import type { Session } from "./session.ts";
import { DATA_TOPICS } from "./topics.ts";
import {
  type Evidence,
  explainsEnd,
  judgeClose,
  judgeRefusal,
  judgeSilence,
  suspectAll,
  type Verdict,
} from "./verdict.ts";

/** Under MQTT 3.1.1 a PUBACK is believed when the session is still open after this long. */
const SETTLE_MS = 1000;

/** A connection that ends within this time after a publish may have ended because of it. */
const BLAME_MS = 5000;

/** One piece on its way. */
class Flight implements Delivery {
  readonly piece: Piece;
  readonly sentAtMs: number;
  readonly acksBefore: number;
  /** Overdue: its records are on their way again, but a late PUBACK still counts for them. */
  abandoned = false;
  /** Monotonic time at which an acknowledgement under MQTT 3.1.1 is believed. */
  settledAtMs = 0;
  readonly #sender: FlightOwner;

  constructor(sender: FlightOwner, piece: Piece, at: { nowMs: number; acks: number }) {
    this.#sender = sender;
    this.piece = piece;
    this.sentAtMs = at.nowMs;
    this.acksBefore = at.acks;
  }

  acked(code: number): void {
    this.#sender.acked(this, code);
  }

  overdue(): void {
    this.#sender.overdue(this);
  }

  lost(): void {
    this.#sender.lost(this);
  }
}

/** Where a flight reports to. */
interface FlightOwner {
  acked(flight: Flight, code: number): void;
  overdue(flight: Flight): void;
  lost(flight: Flight): void;
}

/** What a window needs. */
export interface WindowHost {
  readonly session: Session;
  readonly backlog: Backlog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly alarm: Alarm;
  readonly quietChildren: QuietChildren;
  /** A record is delivered (`reason` undefined) or to be set aside; once for each. */
  readonly finished: (item: Item, reason: string | undefined) => void;
  /** Something may be sent that could not before. */
  readonly changed: () => void;
}

/**
 * The publishes without a PUBACK, and what becomes of each: released, sent again, divided, or set aside. Nothing is kept here
 * that the store does not also hold.
 */
export class Window implements FlightOwner {
  readonly #host: WindowHost;
  readonly #retries: Retries;
  readonly #flights = new Set<Flight>();
  readonly #pace: Pace;
  /** Acknowledged under MQTT 3.1.1, in order, but not yet believed. */
  #settling: Flight[] = [];
  #lost: Flight[] = [];
  #order = 0;
  #dataAcks = 0;
  #strayEnds = 0;
  #lastAckMs: number | undefined;
  /** Kinds of which the platform has accepted something. */
  readonly #accepted = new Set<string>();
  publishes = 0;
  resends = 0;
  refusals = 0;
  payloadBytes = 0;
  maxInFlight = 0;

  constructor(host: WindowHost) {
    this.#host = host;
    this.#pace = new Pace(host);
    this.#retries = new Retries((device) => host.backlog.place(device));
  }

  /** Data publishes without a PUBACK; those that are overdue are on their way again and not counted. */
  get inFlight(): number {
    return this.#flights.size;
  }

  get settling(): number {
    return this.#settling.length;
  }

  /** Pieces that wait to be sent again. */
  get waitingAgain(): number {
    return this.#retries.size;
  }

  /** Whether one more publish may go out; asks for a wake-up when only time is missing. */
  get hasRoom(): boolean {
    const { session } = this.#host;
    const isFree = session.hasRoom && this.#flights.size < this.#pace.size;
    return !this.#pace.mustWait && isFree && !this.#isAlone();
  }

  /** Monotonic milliseconds of the last data publish that the platform has taken; `undefined` before the first. */
  get lastAckMs(): number | undefined {
    return this.#lastAckMs;
  }

  /** Whether the platform has asked for a pause. */
  get isThrottled(): boolean {
    return this.#pace.isThrottled;
  }

  /** Chooses what is to be sent again at this moment. */
  nextRetry(): NextRetry {
    return this.#retries.next({
      nowMs: this.#host.clock.monotonicMs(),
      inFlight: this.#flights.size,
      settling: this.#settling.length,
    });
  }

  /** Puts a piece back that does not fit any more, in smaller ones. */
  putBack(pieces: readonly Piece[]): void {
    this.#retries.add(pieces);
  }

  /** Publishes a piece; its first publish decides its place among all pieces. */
  send(piece: Piece): void {
    const { backlog, clock, quietChildren, session } = this.#host;
    if (piece.order === 0) {
      this.#order += 1;
      piece.order = this.#order;
    } else {
      this.resends += 1;
    }
    const flight = new Flight(this, piece, { nowMs: clock.monotonicMs(), acks: this.#dataAcks });
    this.#flights.add(flight);
    for (const { device } of piece.groups) {
      device.inFlight += 1;
      quietChildren.active(device);
      backlog.place(device);
    }
    const payload = payloadOf(piece, clock.now());
    this.publishes += 1;
    this.payloadBytes += payload.length;
    this.#pace.sent(piece, payload.length);
    this.maxInFlight = Math.max(this.maxInFlight, this.#flights.size);
    session.send(DATA_TOPICS[piece.kind], payload, flight);
  }

  acked(flight: Flight, code: number): void {
    const kind = this.#classify(flight, code);
    const wasFull = this.#flights.size >= this.#pace.size;
    if (flight.abandoned) {
      if (kind === "accepted" && this.#host.session.tellsReasons) {
        this.#deliver(flight);
      }
      return;
    }
    this.#land(flight);
    if (kind === "accepted") {
      const rttMs = this.#host.clock.monotonicMs() - flight.sentAtMs;
      this.#pace.accepted(flight.piece, rttMs, wasFull);
      this.#acceptedFlight(flight);
    } else {
      this.#refusedFlight(flight, kind, code);
    }
    this.#host.changed();
  }

  overdue(flight: Flight): void {
    flight.abandoned = true;
    this.#pace.overdue();
    this.#land(flight);
    const passed = this.#dataAcks > flight.acksBefore;
    this.#carryOut(flight.piece, judgeSilence(flight.piece, this.#evidence(), passed), "no-ack");
    this.#host.changed();
  }

  lost(flight: Flight): void {
    if (!flight.abandoned) {
      this.#land(flight);
      this.#lost.push(flight);
    }
  }

  /** The connection has ended: everything on its way is sent again, one by one, so that a culprit shows. */
  closed(end: LinkEnd): void {
    const settling = this.#settling;
    const lost = this.#lost;
    this.#settling = [];
    this.#lost = [];
    this.#settles(settling, -1);
    this.#pace.closed(lost.map(({ piece }) => piece));
    const blames = end.byPeer && mayBlamePacket(end.code) && !this.#pace.wasTooFast;
    const flights = [...settling, ...lost];
    suspectAll(
      flights.map(({ piece }) => piece),
      blames && settling.length > 0,
    );
    const [only] = flights;
    if (blames && only !== undefined && flights.length === 1 && this.#isRecent(only)) {
      const verdict = judgeClose(only.piece, this.#evidence(), settling.length > 0);
      this.#strayEnds += explainsEnd(only.piece) ? 0 : 1;
      this.#carryOut(only.piece, verdict, "closes-connection");
    } else {
      this.#strayEnds += 1;
      this.#retries.add(flights.map((flight) => flight.piece));
    }
  }

  /** Believes the acknowledgements under MQTT 3.1.1 whose time is over. */
  settle(): void {
    const { alarm, clock } = this.#host;
    const nowMs = clock.monotonicMs();
    const due = this.#settling.filter((flight) => flight.settledAtMs <= nowMs);
    this.#settling = this.#settling.filter((flight) => flight.settledAtMs > nowMs);
    this.#settles(due, -1);
    for (const flight of due) {
      this.#deliver(flight);
    }
    const [next] = this.#settling;
    if (next !== undefined) {
      alarm.at(next.settledAtMs);
    }
  }

  #isRecent(flight: Flight): boolean {
    return this.#host.clock.monotonicMs() - flight.sentAtMs <= BLAME_MS;
  }

  /** A suspect is on its way: alone, so that an end of the connection points at it. */
  #isAlone(): boolean {
    for (const flight of this.#flights) {
      return flight.piece.suspect;
    }
    return false;
  }

  /** A topic that was never accepted is at fault itself, not the records: that is a retry. */
  #classify(flight: Flight, code: number): PubackClass {
    const kind = classifyPuback(code);
    return code === 0x90 && !this.#accepted.has(flight.piece.kind) ? "retry" : kind;
  }

  #acceptedFlight(flight: Flight): void {
    const { alarm, clock, session } = this.#host;
    if (session.tellsReasons) {
      this.#deliver(flight);
      return;
    }
    flight.settledAtMs = clock.monotonicMs() + SETTLE_MS;
    this.#settling.push(flight);
    this.#settles([flight], 1);
    alarm.at(flight.settledAtMs);
  }

  #settles(flights: readonly Flight[], by: 1 | -1): void {
    for (const { piece } of flights) {
      for (const { device } of piece.groups) {
        device.settling += by;
        this.#host.backlog.place(device);
      }
    }
  }

  #refusedFlight(flight: Flight, kind: Exclude<PubackClass, "accepted">, code: number): void {
    const { log } = this.#host;
    this.refusals += 1;
    const evidence = this.#evidence();
    for (const { device } of flight.piece.groups) {
      device.refusedAtMs = evidence.nowMs;
    }
    if (kind === "throttled") {
      this.#pace.refused(flight.piece);
    }
    if (flight.piece.refusals === 0 && kind !== "invalid") {
      log.warn("The platform does not take data: it is sent again later", {
        topic: DATA_TOPICS[flight.piece.kind],
        reason: reasonText(code),
      });
    }
    const verdict = judgeRefusal(flight.piece, kind, evidence);
    this.#carryOut(flight.piece, verdict, quarantineReason(code));
  }

  #carryOut(piece: Piece, verdict: Verdict, reason: string): void {
    const { alarm } = this.#host;
    if ("quarantine" in verdict) {
      for (const item of openItems(piece)) {
        this.#host.finished(item, reason);
      }
      return;
    }
    this.#retries.add(verdict.again);
    for (const again of verdict.again) {
      if (verdict.setAside === true) {
        this.#retries.setAside(again);
      }
      if (again.notBeforeMs > 0) {
        alarm.at(again.notBeforeMs);
      }
    }
  }

  #deliver(flight: Flight): void {
    this.#dataAcks += 1;
    this.#lastAckMs = this.#host.clock.monotonicMs();
    this.#accepted.add(flight.piece.kind);
    for (const group of flight.piece.groups) {
      for (const item of group.items) {
        this.#host.finished(item, undefined);
      }
    }
  }

  /** Takes a publish out of flight. */
  #land(flight: Flight): void {
    this.#flights.delete(flight);
    for (const { device } of flight.piece.groups) {
      device.inFlight -= 1;
      this.#host.backlog.place(device);
    }
  }

  #evidence(): Evidence {
    return {
      dataAcks: this.#dataAcks,
      strayEnds: this.#strayEnds,
      nowMs: this.#host.clock.monotonicMs(),
      random: Math.random(),
    };
  }
}
