import { REFUSED_RETRY_MS } from "#sdk/backoff";
import { TransientError } from "#sdk/errors";

/** Reason code of a DISCONNECT: another session of the same device has begun (MQTT 5 §3.14.2.1). */
const SESSION_TAKEN_OVER = 0x8e;

/** Two take-overs within this time, and somebody else keeps connecting. */
const CONTEST_MS = 60_000;

const ADVICE =
  "Another client connected with the credentials of this gateway: give each gateway its own device in ThingsBoard, or stop the other one";

/**
 * ThingsBoard keeps one session for each device: the later one ends the earlier. A single take-over is a restart somewhere; when
 * it comes again within a minute two clients fight, and connecting at once would only disturb both.
 */
export class TakeOvers {
  #lastMs = Number.NEGATIVE_INFINITY;
  #contested = false;

  /** Whether a connection is not to be trusted until it has lasted. */
  get isContested(): boolean {
    return this.#contested;
  }

  /** How long a contested connection must last to be trusted, in milliseconds. */
  get trustAfterMs(): number {
    return CONTEST_MS;
  }

  /** A connection has lasted: whoever took it over is gone. */
  lasted(): void {
    this.#contested = false;
  }

  /** The error for a connection that ended with this code; `undefined` when nobody took it over. */
  ended(code: number | undefined, nowMs: number): TransientError | undefined {
    if (code !== SESSION_TAKEN_OVER) {
      return undefined;
    }
    this.#contested ||= nowMs - this.#lastMs <= CONTEST_MS;
    this.#lastMs = nowMs;
    return new TransientError(ADVICE, this.#contested ? { retryAfterMs: REFUSED_RETRY_MS } : {});
  }
}
