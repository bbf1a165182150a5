import { EchoFilter } from "./echo.ts";
import type { PendingRequest, PortCounters } from "./framed-port.ts";
import {
  answerSize,
  decodeAscii,
  decodeMbap,
  decodeRtu,
  type Frame,
  type Framing,
  isAnswer,
} from "./frames.ts";

/** More than any frame; what is older cannot become one. */
const MAX_BUFFER = 2048;

type OnAnswer = (request: PendingRequest, frame: Frame) => void;
type Pending = ReadonlyMap<number, PendingRequest>;

/**
 * Finds the answers to pending requests in what a line brings, in pieces of any size. A frame of another unit, function, length or
 * transaction is counted and dropped, and so is one with a wrong check sum.
 */
export class AnswerReader {
  readonly #framing: Framing;
  readonly #datagrams: boolean;
  readonly #counters: PortCounters;
  #buffer = new Uint8Array(0);
  readonly #echo = new EchoFilter();
  /** A check sum has been wrong since the last answer: each request counts one at most. */
  #saidWrong = false;

  constructor(options: {
    readonly framing: Framing;
    readonly datagrams: boolean;
    readonly counters: PortCounters;
  }) {
    this.#framing = options.framing;
    this.#datagrams = options.datagrams;
    this.#counters = options.counters;
  }

  /** The line repeats what was sent: these bytes are dropped when they come first. */
  expectEcho(bytes: Uint8Array): void {
    this.#echo.expect(bytes);
  }

  /** Forgets what belongs to no frame yet. */
  discard(): void {
    if (this.#buffer.length > 0 && this.#framing !== "socket") {
      this.#counters.foreignFrames += 1;
      this.#buffer = new Uint8Array(0);
    }
    this.#echo.clear();
    this.#saidWrong = false;
  }

  /** Takes what has come. `false` when a stream cannot be followed any more. */
  push(bytes: Uint8Array, pending: Pending, onAnswer: OnAnswer): boolean {
    const heard = this.#echo.strip(bytes);
    if (heard.length === 0) {
      return true;
    }
    const joined = new Uint8Array(this.#buffer.length + heard.length);
    joined.set(this.#buffer);
    joined.set(heard, this.#buffer.length);
    this.#buffer = joined;
    switch (this.#framing) {
      case "socket":
        return this.#readMbap(pending, onAnswer);
      case "rtu":
        this.#readRtu(pending, onAnswer);
        break;
      case "ascii":
        this.#readAscii(pending, onAnswer);
        break;
    }
    if (this.#datagrams) {
      this.#buffer = new Uint8Array(0);
    } else if (this.#buffer.length > MAX_BUFFER) {
      this.#buffer = this.#buffer.slice(-MAX_BUFFER);
    }
    return true;
  }

  #readMbap(pending: Pending, onAnswer: OnAnswer): boolean {
    for (;;) {
      const result = decodeMbap(this.#buffer);
      if (result.state === "frame") {
        this.#buffer = this.#buffer.slice(result.size);
        this.#match(result.frame, pending, { transaction: result.transaction, onAnswer });
        continue;
      }
      const isReadable = result.state === "short" || this.#datagrams;
      if (this.#datagrams) {
        this.#counters.foreignFrames += this.#buffer.length > 0 ? 1 : 0;
        this.#buffer = new Uint8Array(0);
      }
      return isReadable;
    }
  }

  #match(
    frame: Frame,
    pending: Pending,
    {
      transaction,
      onAnswer,
    }: { readonly transaction: number | undefined; readonly onAnswer: OnAnswer },
  ): void {
    for (const request of pending.values()) {
      const isSame = transaction === undefined || request.transaction === transaction;
      if (isSame && request.unit === frame.unit && isAnswer(request.pdu, frame.pdu)) {
        this.#saidWrong = false;
        onAnswer(request, frame);
        return;
      }
    }
    this.#counters.foreignFrames += 1;
  }

  /** Looks for the answer at every place: noise may be in front of it. */
  #readRtu(pending: Pending, onAnswer: OnAnswer): void {
    const [request] = pending.values();
    if (request === undefined) {
      this.#counters.foreignFrames += 1;
      this.#buffer = new Uint8Array(0);
      return;
    }
    for (let start = 0; start + 5 <= this.#buffer.length; start += 1) {
      if (this.#buffer[start] !== request.unit) {
        continue;
      }
      const end = this.#endOfRtu(start, request);
      if (end === undefined || end > this.#buffer.length) {
        continue;
      }
      const frame = decodeRtu(this.#buffer.subarray(start, end));
      if (frame !== undefined && isAnswer(request.pdu, frame.pdu)) {
        this.#counters.foreignFrames += start > 0 ? 1 : 0;
        this.#saidWrong = false;
        this.#buffer = this.#buffer.slice(end);
        onAnswer(request, frame);
        return;
      }
      if (frame === undefined && !this.#saidWrong) {
        this.#saidWrong = true;
        this.#counters.crcErrors += 1;
      }
    }
  }

  /** Where the frame that begins at `start` would end if it answered `request`. */
  #endOfRtu(start: number, request: PendingRequest): number | undefined {
    const code = this.#buffer[start + 1];
    if (code === ((request.pdu[0] ?? 0) | 0x80)) {
      return start + 5;
    }
    if (code !== request.pdu[0]) {
      return undefined;
    }
    const size = answerSize(request.pdu);
    // Only the answer tells how long it is: it ends where the line falls silent.
    return size === undefined ? this.#buffer.length : start + size + 3;
  }

  #readAscii(pending: Pending, onAnswer: OnAnswer): void {
    for (;;) {
      const end = this.#buffer.indexOf(0x0a);
      if (end === -1) {
        return;
      }
      const text = String.fromCharCode(...this.#buffer.subarray(0, Math.min(end, MAX_BUFFER)));
      this.#buffer = this.#buffer.slice(end + 1);
      // A colon begins a frame anew, wherever it stands (Modbus over serial line §2.5.2.1).
      const line = text.slice(Math.max(0, text.lastIndexOf(":"))).trimEnd();
      const frame = decodeAscii(line);
      if (frame === undefined) {
        this.#counters.crcErrors += 1;
      } else {
        this.#match(frame, pending, { transaction: undefined, onAnswer });
      }
    }
  }
}
