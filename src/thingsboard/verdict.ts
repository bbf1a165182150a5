import { backoffMs } from "#sdk/backoff";
import { divide, itemCount, type Piece } from "./piece.ts";
import type { PubackClass } from "./reasons.ts";

/** What to do with a piece that was not acknowledged: send these again, or set its one record aside. */
export type Verdict =
  | { readonly again: readonly Piece[]; readonly setAside?: boolean }
  | { readonly quarantine: true };

/** What counts as evidence when a verdict is given. */
export interface Evidence {
  /** Acknowledged data publishes so far. */
  readonly dataAcks: number;
  /** Ends of a connection so far that no record explains: a bad line, a restart of the server. */
  readonly strayEnds: number;
  readonly nowMs: number;
  /** In [0, 1): jitter of a pause. */
  readonly random: number;
}

/** Ends of a connection, each with another publish acknowledged in between, that convict one record. */
const STRIKES = 3;

/** The same where the record was acknowledged first: under MQTT 3.1.1 a rate limit looks the same, so it takes more. */
const SETTLING_STRIKES = 10;

/** So many pieces at once must be believed one by one, a second each, before anything else goes. */
const WARY_AT_ONCE = 2;

/**
 * After an end of the connection that any of `pieces` may have caused, given in the order of their PUBACKs, those without one
 * last: each goes alone. `acknowledged`: one with a PUBACK may be to blame. Then the last must be believed one by one as well: a
 * server closes soon after the packet it does not like. When it was none of them, they make the next end point at the one
 * before.
 */
export function suspectAll(pieces: readonly Piece[], acknowledged: boolean): void {
  for (const [index, piece] of pieces.entries()) {
    piece.wary ||= acknowledged && index >= pieces.length - WARY_AT_ONCE;
    piece.suspect = true;
  }
}

/** Whether the end of a connection after this piece is put down to it, and says nothing about the line. */
export function explainsEnd(piece: Piece): boolean {
  return itemCount(piece) === 1 && piece.closes >= 2;
}

/** A record without verdict lets the later ones of its device go on after this many tries: they are the evidence. */
const ASIDE_AFTER = 3;

/** A refused piece of several devices is divided after this many refusals, so that one of them does not hold the others. */
const DIVIDE_AFTER = 3;

/** Parts of a piece that ended a connection; every wrong guess costs another connection. */
const WAYS_AFTER_CLOSE = 8;

/** After a PUBACK that refuses (`invalid` or `retry`). */
export function judgeRefusal(
  piece: Piece,
  refusal: Exclude<PubackClass, "accepted">,
  evidence: Evidence,
): Verdict {
  const several = itemCount(piece) > 1;
  // The platform has named the culprit: no need to look for one.
  piece.suspect = false;
  piece.wary = false;
  if (refusal === "invalid") {
    return several ? { again: divide(piece, 2) } : { quarantine: true };
  }
  piece.refusals += 1;
  piece.notBeforeMs = evidence.nowMs + backoffMs(piece.refusals, evidence.random);
  if (refusal === "retry" && several && piece.refusals >= DIVIDE_AFTER) {
    const { notBeforeMs, refusals } = piece;
    return { again: divide(piece, 2).map((part) => ({ ...part, notBeforeMs, refusals })) };
  }
  return { again: [piece] };
}

/**
 * After the connection ended right after this piece, the only one on its way. A bad line ends connections too: so dividing is
 * free, but a record is set aside only when others pass between one end and the next, and nothing else ends a connection
 * meanwhile. `settling`: it had its PUBACK.
 */
export function judgeClose(piece: Piece, evidence: Evidence, settling: boolean): Verdict {
  piece.closes += 1;
  if (itemCount(piece) > 1) {
    return {
      again: divide(piece, WAYS_AFTER_CLOSE).map((part) => ({
        ...part,
        suspect: true,
        wary: true,
      })),
    };
  }
  if (evidence.strayEnds > piece.strayEndsAtStrike) {
    piece.strikes = 0;
    piece.strayEndsAtStrike = evidence.strayEnds;
  }
  if (evidence.dataAcks > piece.acksAtStrike) {
    piece.strikes += 1;
    piece.acksAtStrike = evidence.dataAcks;
  }
  if (piece.strikes >= (settling ? SETTLING_STRIKES : STRIKES)) {
    return { quarantine: true };
  }
  piece.suspect = true;
  piece.wary = true;
  piece.notBeforeMs = evidence.nowMs + backoffMs(piece.closes, evidence.random);
  return { again: [piece], setAside: piece.closes >= ASIDE_AFTER };
}

/** After no PUBACK came although the link lives. `passed`: whether data publishes sent later were acknowledged. */
export function judgeSilence(piece: Piece, evidence: Evidence, passed: boolean): Verdict {
  if (itemCount(piece) > 1) {
    return { again: divide(piece, 2) };
  }
  piece.refusals += 1;
  piece.silences += passed ? 1 : 0;
  if (piece.silences >= STRIKES) {
    return { quarantine: true };
  }
  piece.notBeforeMs = evidence.nowMs + backoffMs(piece.refusals, evidence.random);
  return { again: [piece], setAside: piece.refusals >= ASIDE_AFTER };
}
