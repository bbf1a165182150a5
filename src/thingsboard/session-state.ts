import { REFUSED_RETRY_MS } from "#sdk/backoff";
import { TransientError } from "#sdk/errors";
import type { EpochMs } from "#sdk/model";
import { NOT_A_GATEWAY } from "./connection.ts";
import type { SessionLimits } from "./limits.ts";
import type { LinkEnd } from "./link.ts";
import { reasonText } from "./reasons.ts";

/** Where the link to the platform stands. `refused`: bad credentials. `not-a-gateway`: the device lacks the gateway flag. */
export type LinkState =
  | "idle"
  | "connecting"
  | "connected"
  | "down"
  | "refused"
  | "not-a-gateway"
  | "stopped";

/** The session as status shows it; plain data. Counters run since the start of the process. */
export interface SessionState {
  readonly link: LinkState;
  /** Why, in words; empty when connected. */
  readonly detail: string;
  readonly host: string | undefined;
  readonly protocol: "5" | "3.1.1" | undefined;
  readonly since: EpochMs;
  /** When the next attempt to connect begins; `undefined` while there is one or none is needed. */
  readonly retryAt: EpochMs | undefined;
  readonly limits: SessionLimits;
  /** Filters the server refused on this connection. */
  readonly refusedFilters: readonly string[];
  readonly connects: number;
  readonly published: number;
  /** Bytes handed to the sockets, TLS excluded. */
  readonly wireBytes: number;
  readonly rttMs: number | undefined;
  readonly inFlight: number;
}

/** The state after a connection failed or ended with `error`. */
export function stateAfter(error: unknown): LinkState {
  if (!(error instanceof TransientError)) {
    return "down";
  }
  if (error.message === NOT_A_GATEWAY) {
    return "not-a-gateway";
  }
  const refused = (error.retryAfterMs ?? 0) >= REFUSED_RETRY_MS;
  return refused ? "refused" : "down";
}

/** The end of a connection in words, for `supervise`. */
export function endError(end: LinkEnd): TransientError {
  if (end.code !== undefined) {
    return new TransientError(`The platform closed the connection: ${reasonText(end.code)}`);
  }
  if (end.byPeer || end.error === undefined) {
    return new TransientError("The platform closed the connection");
  }
  return new TransientError("The connection to the platform broke", { cause: end.error });
}
