import { decodeAscii, decodeMbap, decodeRtu, type Frame, type Framing } from "./frames.ts";

/** More than any request; what is older cannot become one. */
const MAX_BUFFER = 1024;

/** A request with the transaction its answer must repeat. */
export interface ReceivedRequest extends Frame {
  readonly transaction: number;
}

/** Finds requests in what a line brings, in pieces of any size. */
export class RequestReader {
  readonly #framing: Framing;
  #buffer = new Uint8Array(0);

  constructor(framing: Framing) {
    this.#framing = framing;
  }

  /** The requests that are complete; `undefined` when a stream cannot be followed any more. */
  push(bytes: Uint8Array): readonly ReceivedRequest[] | undefined {
    const joined = new Uint8Array(this.#buffer.length + bytes.length);
    joined.set(this.#buffer);
    joined.set(bytes, this.#buffer.length);
    this.#buffer = joined;
    switch (this.#framing) {
      case "socket":
        return this.#readMbap();
      case "rtu":
        return this.#readRtu();
      case "ascii":
        return this.#readAscii();
    }
  }

  #readMbap(): readonly ReceivedRequest[] | undefined {
    const requests: ReceivedRequest[] = [];
    for (;;) {
      const result = decodeMbap(this.#buffer);
      if (result.state !== "frame") {
        return result.state === "bad" ? undefined : requests;
      }
      this.#buffer = this.#buffer.slice(result.size);
      requests.push({ ...result.frame, transaction: result.transaction });
    }
  }

  /** Looks for a request at every place: answers of other units and noise are between them. */
  #readRtu(): readonly ReceivedRequest[] {
    const requests: ReceivedRequest[] = [];
    for (let start = 0; start + 4 <= this.#buffer.length; start += 1) {
      const size = requestSize(this.#buffer.subarray(start + 1));
      const end = size === undefined ? undefined : start + size + 3;
      if (end === undefined || end > this.#buffer.length) {
        continue;
      }
      const frame = decodeRtu(this.#buffer.subarray(start, end));
      if (frame !== undefined) {
        requests.push({ ...frame, transaction: 0 });
        this.#buffer = this.#buffer.slice(end);
        start = -1;
      }
    }
    if (this.#buffer.length > MAX_BUFFER) {
      this.#buffer = this.#buffer.slice(-MAX_BUFFER);
    }
    return requests;
  }

  #readAscii(): readonly ReceivedRequest[] {
    const requests: ReceivedRequest[] = [];
    for (;;) {
      const end = this.#buffer.indexOf(0x0a);
      if (end === -1) {
        if (this.#buffer.length > MAX_BUFFER) {
          this.#buffer = new Uint8Array(0);
        }
        return requests;
      }
      const text = String.fromCharCode(...this.#buffer.subarray(0, Math.min(end, MAX_BUFFER)));
      this.#buffer = this.#buffer.slice(end + 1);
      const frame = decodeAscii(text.slice(Math.max(0, text.lastIndexOf(":"))).trimEnd());
      if (frame !== undefined) {
        requests.push({ ...frame, transaction: 0 });
      }
    }
  }
}

/** Size of a request by its beginning, function code included; `undefined` while it cannot be told. */
function requestSize(pdu: Uint8Array): number | undefined {
  switch (pdu[0]) {
    case 15:
    case 16:
      return pdu[5] === undefined ? undefined : 6 + pdu[5];
    case 22:
      return 7;
    case 23:
      return pdu[9] === undefined ? undefined : 10 + pdu[9];
    case 43:
      return 4;
    default:
      return 5;
  }
}
