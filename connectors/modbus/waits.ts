import type { ModbusReply, ModbusRequest } from "./client.ts";
import { answerSize } from "./frames.ts";
import { type Line, type LineTiming, wireSize } from "./line.ts";

/** What a device's configuration says about talking to it. */
export interface TalkSettings {
  readonly timeoutMs: number;
  /** Replaces every computed wait. */
  readonly responseTimeoutMs: number | undefined;
  readonly retries: number;
  readonly retryWrites: boolean;
  readonly delayMs: number;
  readonly failuresToDown: number;
}

/** Waits on a shared serial line, beyond the time the frames take. */
const SERIAL_SLACK_MS = 300;
const SERIAL_PROBE_MS = 400;
/** One probe of so many waits for longer: with 27 s between two, a dead device takes less than 2 % of the line all the same. */
const PATIENT_EVERY = 10;
const PATIENT_PROBE_MS = 1200;
/** Waits on a shared TCP or UDP line. */
const LEAST_WAIT_MS = 1000;
const FIRST_WAIT_MS = 3000;
/** The line a unit is on, as far as waiting goes. */
interface WaitingLine {
  readonly line: Line;
  readonly timing: LineTiming;
  /** Others wait meanwhile. */
  readonly isShared: boolean;
}

/** A slow answer counts for at least so many further ones: one hiccup must not have the others wait for ever. */
const REMEMBERED = 1000;

/** The longest of the last 1,000 to 2,000 times; 0 when there is none. */
class RecentLongest {
  #beforeMs = 0;
  #nowMs = 0;
  #count = 0;

  get longestMs(): number {
    return Math.max(this.#beforeMs, this.#nowMs);
  }

  add(timeMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, timeMs);
    this.#count += 1;
    if (this.#count === REMEMBERED) {
      this.#beforeMs = this.#nowMs;
      this.#nowMs = 0;
      this.#count = 0;
    }
  }
}

/**
 * How long to wait for one unit: as configured while it has the line for itself, else as little as its answers so far allow, because
 * others wait meanwhile.
 */
export class AnswerWaits {
  readonly #line: WaitingLine;
  readonly #turnarounds = new RecentLongest();
  readonly #answers = new RecentLongest();

  constructor(line: WaitingLine) {
    this.#line = line;
  }

  /** An answer came. */
  seen(reply: ModbusReply, request: ModbusRequest): void {
    // Not by its first byte: on some lines that is the request, which comes back.
    this.#turnarounds.add(reply.elapsedMs - this.#charactersMs(request));
    this.#answers.add(reply.elapsedMs);
  }

  /** How long to wait for the answer to a request. */
  forRequest(request: ModbusRequest, talk: TalkSettings): number {
    if (talk.responseTimeoutMs !== undefined) {
      return talk.responseTimeoutMs;
    }
    const { line, isShared } = this.#line;
    if (!isShared) {
      return talk.timeoutMs;
    }
    if (line.kind === "serial") {
      const slackMs = Math.max(SERIAL_SLACK_MS, 4 * this.#turnarounds.longestMs);
      return Math.min(talk.timeoutMs, this.#frameMs(request) + slackMs);
    }
    return Math.min(talk.timeoutMs, this.#likelyMs());
  }

  /**
   * How long to wait for the answer of a unit that is down, from the first probe (`attempt` 1) on. On a shared serial line that is
   * short, but now and then long enough for a slow device, which nobody would ever hear otherwise: at first for one that has never
   * answered.
   */
  forProbe({ timeoutMs, responseTimeoutMs }: TalkSettings, attempt: number): number {
    const isSharedSerial = this.#line.line.kind === "serial" && this.#line.isShared;
    const isUnheard = this.#answers.longestMs === 0;
    const isPatient = attempt % PATIENT_EVERY === (isUnheard ? 1 : 0);
    const serialMs = isPatient ? PATIENT_PROBE_MS : SERIAL_PROBE_MS;
    return responseTimeoutMs ?? Math.min(timeoutMs, isSharedSerial ? serialMs : this.#likelyMs());
  }

  #likelyMs(): number {
    return this.#answers.longestMs > 0
      ? Math.max(LEAST_WAIT_MS, 8 * this.#answers.longestMs)
      : FIRST_WAIT_MS;
  }

  /** Time both frames take on a serial line, with the silence behind each. */
  #frameMs(request: ModbusRequest): number {
    return this.#charactersMs(request) + 2 * this.#line.timing.gapMs;
  }

  #charactersMs(request: ModbusRequest): number {
    const { line, timing } = this.#line;
    const [sent, answered] = pduSizes(request);
    return timing.charMs * (wireSize(line.framing, sent) + wireSize(line.framing, answered));
  }
}

/** Bytes of a request and of its answer in the application layer. */
export function pduSizes(request: ModbusRequest): readonly [number, number] {
  switch (request.functionCode) {
    case 5:
    case 6:
      return [5, 5];
    case 15:
      return [6 + Math.ceil(request.coils.length / 8), 5];
    case 16:
      return [6 + 2 * request.registers.length, 5];
    default: {
      const { functionCode, count } = request;
      const pdu = Uint8Array.of(functionCode, 0, 0, count >> 8, count & 0xff);
      return [5, answerSize(pdu) ?? 5];
    }
  }
}
