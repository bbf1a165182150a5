import type { Socket } from "node:net";
import { encodeFrame, encodeMbap, type Framing } from "../../connectors/modbus/frames.ts";
import { type ReceivedRequest, RequestReader } from "../../connectors/modbus/request-reader.ts";
import { LoopbackServer } from "./loopback-server.ts";

/** One request with the means to answer it, rightly or not. */
export interface ScriptedRequest extends ReceivedRequest {
  readonly socket: Socket;
  /** Place in the order of arrival, from 0. */
  readonly index: number;
  /** The right answer to a read: register a of unit u holds u × 1000 + a. */
  readonly right: Uint8Array;
}

/** A device behind a TCP port that does with each request what the test says. */
export class ScriptedModbus extends LoopbackServer {
  readonly requests: ReceivedRequest[] = [];
  readonly #onRequest: (request: ScriptedRequest) => void;
  readonly #framing: Framing;

  private constructor(onRequest: (request: ScriptedRequest) => void, framing: Framing) {
    super();
    this.#onRequest = onRequest;
    this.#framing = framing;
  }

  static async listen(
    onRequest: (request: ScriptedRequest) => void,
    framing: Framing = "socket",
  ): Promise<ScriptedModbus> {
    return await new ScriptedModbus(onRequest, framing).listen();
  }

  protected override serve(socket: Socket): void {
    const reader = new RequestReader(this.#framing);
    socket.on("data", (chunk: Buffer) => {
      for (const request of reader.push(chunk) ?? []) {
        const index = this.requests.push(request) - 1;
        this.#onRequest({ ...request, socket, index, right: answerTo(request, this.#framing) });
      }
    });
  }
}

/** The answer of a device that does what it is asked. */
function answerTo({ unit, pdu, transaction }: ReceivedRequest, framing: Framing): Uint8Array {
  const [code = 0] = pdu;
  const address = ((pdu[1] ?? 0) << 8) | (pdu[2] ?? 0);
  const count = ((pdu[3] ?? 0) << 8) | (pdu[4] ?? 0);
  if (code > 4) {
    return encodeFrame(framing, { unit, pdu: pdu.slice(0, 5) }, transaction);
  }
  const words = Array.from({ length: count }, (_, index) => unit * 1000 + address + index);
  const bytes = words.flatMap((word) => [word >> 8, word & 0xff]);
  const answer = Uint8Array.from([code, bytes.length, ...bytes]);
  return encodeFrame(framing, { unit, pdu: answer }, transaction);
}

/** An exception as the answer to a request. */
export function exceptionTo({ unit, pdu, transaction }: ReceivedRequest, code: number): Uint8Array {
  return encodeMbap({ unit, pdu: Uint8Array.of((pdu[0] ?? 0) | 0x80, code) }, transaction);
}
