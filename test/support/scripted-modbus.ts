import { createServer, type Server, type Socket } from "node:net";
import { encodeMbap } from "../../connectors/modbus/frames.ts";
import { type ReceivedRequest, RequestReader } from "../../connectors/modbus/request-reader.ts";

/** One request with the means to answer it, rightly or not. */
export interface ScriptedRequest extends ReceivedRequest {
  readonly socket: Socket;
  /** Place in the order of arrival, from 0. */
  readonly index: number;
  /** The right answer to a read: register a of unit u holds u × 1000 + a. */
  readonly right: Uint8Array;
}

/** A Modbus TCP device that does with each request what the test says. */
export class ScriptedModbus implements AsyncDisposable {
  readonly requests: ReceivedRequest[] = [];
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(onRequest: (request: ScriptedRequest) => void) {
    this.#server = createServer((socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => this.#sockets.delete(socket));
      const reader = new RequestReader("socket");
      socket.on("data", (chunk: Buffer) => {
        for (const request of reader.push(chunk) ?? []) {
          const index = this.requests.push(request) - 1;
          onRequest({ ...request, socket, index, right: answerTo(request) });
        }
      });
    });
  }

  static async listen(onRequest: (request: ScriptedRequest) => void): Promise<ScriptedModbus> {
    const scripted = new ScriptedModbus(onRequest);
    const { promise, resolve } = Promise.withResolvers<void>();
    scripted.#server.listen(0, "127.0.0.1", resolve);
    await promise;
    return scripted;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }
}

/** The answer of a device that does what it is asked. */
function answerTo({ unit, pdu, transaction }: ReceivedRequest): Uint8Array {
  const [code = 0] = pdu;
  const address = ((pdu[1] ?? 0) << 8) | (pdu[2] ?? 0);
  const count = ((pdu[3] ?? 0) << 8) | (pdu[4] ?? 0);
  if (code > 4) {
    return encodeMbap({ unit, pdu: pdu.slice(0, 5) }, transaction);
  }
  const words = Array.from({ length: count }, (_, index) => unit * 1000 + address + index);
  const bytes = words.flatMap((word) => [word >> 8, word & 0xff]);
  return encodeMbap({ unit, pdu: Uint8Array.from([code, bytes.length, ...bytes]) }, transaction);
}

/** An exception as the answer to a request. */
export function exceptionTo({ unit, pdu, transaction }: ReceivedRequest, code: number): Uint8Array {
  return encodeMbap({ unit, pdu: Uint8Array.of((pdu[0] ?? 0) | 0x80, code) }, transaction);
}
