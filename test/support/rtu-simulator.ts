import { encodeRtu, type Frame } from "../../connectors/modbus/frames.ts";
import { RequestReader } from "../../connectors/modbus/request-reader.ts";
import { serve } from "../../connectors/modbus/server-pdu.ts";
import { createTables } from "../../connectors/modbus/server-tables.ts";
import { openSerialPort, type SerialPort } from "../../src/platform/serial-port.ts";
import { systemClock } from "../../src/sdk/clock.ts";

const FOREVER = new AbortController().signal;
/** Bits of a character with parity. */
const BITS = 11;

/** What a simulated slave does with its answer; `undefined` sends nothing. */
export type Distort = (answer: Uint8Array, request: Frame) => Uint8Array | undefined;

/**
 * Slaves on one end of a pair of pseudo-terminals, at the pace of a real line: an answer is there after both frames and the silence of
 * 3.5 characters between them have taken their time. Register a of unit u holds u × 1000 + a.
 */
export class RtuSimulator implements AsyncDisposable {
  /** Units that do not answer. */
  readonly silent = new Set<number>();
  /** Milliseconds a unit thinks before it answers. */
  readonly slow = new Map<number, number>();
  /** Requests by unit. */
  readonly requests = new Map<number, number>();
  /** The line repeats to the master what it sends. */
  echoes = false;
  /** Changes answers on their way. */
  distort: Distort = (answer) => answer;
  readonly #port: SerialPort;
  readonly #charMs: number;
  readonly #tables = createTables();
  #sending: Promise<void> = Promise.resolve();

  private constructor(port: SerialPort, charMs: number) {
    this.#port = port;
    this.#charMs = charMs;
    const reader = new RequestReader("rtu");
    port.onData = (bytes) => {
      const startMs = systemClock.monotonicMs();
      if (this.echoes) {
        port.write(Uint8Array.from(bytes));
      }
      for (const request of reader.push(bytes) ?? []) {
        this.#sending = this.#sending.then(() => this.#answer(request, startMs));
      }
    };
  }

  /** Opens a port. Without a speed answers come at once. */
  static async open(path: string, baudRate?: number): Promise<RtuSimulator> {
    const settings = {
      path,
      baudRate: baudRate ?? 115_200,
      dataBits: 8,
      parity: "N",
      stopBits: 1,
    } as const;
    const charMs = baudRate === undefined ? 0 : (1000 * BITS) / baudRate;
    return new RtuSimulator(await openSerialPort(settings, systemClock), charMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#port[Symbol.asyncDispose]();
  }

  async #answer(request: Frame, startMs: number): Promise<void> {
    this.requests.set(request.unit, (this.requests.get(request.unit) ?? 0) + 1);
    if (this.silent.has(request.unit)) {
      return;
    }
    for (let address = 0; address < 200; address += 1) {
      this.#tables[3].write(address, [request.unit * 1000 + address]);
    }
    const { pdu } = serve(request.pdu, this.#tables, new Map());
    const answer = this.distort(encodeRtu({ unit: request.unit, pdu }), request);
    if (answer === undefined) {
      return;
    }
    const characters = request.pdu.length + 3 + 3.5 + answer.length;
    const thinkMs = this.slow.get(request.unit) ?? 0;
    const waitMs = startMs + thinkMs + characters * this.#charMs - systemClock.monotonicMs();
    if (waitMs > 0) {
      await systemClock.sleep(waitMs, FOREVER);
    }
    this.#port.write(answer);
  }
}
