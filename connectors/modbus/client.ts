import ModbusRTU from "modbus-serial";
import type { Clock } from "#sdk/clock";
import type { TransientError } from "#sdk/errors";
import { LineDown, ModbusException, NoAnswer } from "./failures.ts";
import { FramedPort, type PortCounters } from "./framed-port.ts";
import type { Line } from "./line.ts";
import { type OpenOptions, openTransport, type Transport } from "./transport.ts";

/** One request of the application layer. */
export type ModbusRequest =
  | {
      readonly functionCode: 1 | 2 | 3 | 4;
      readonly unit: number;
      readonly address: number;
      readonly count: number;
    }
  | {
      readonly functionCode: 5;
      readonly unit: number;
      readonly address: number;
      readonly on: boolean;
    }
  | {
      readonly functionCode: 6;
      readonly unit: number;
      readonly address: number;
      readonly register: number;
    }
  | {
      readonly functionCode: 15;
      readonly unit: number;
      readonly address: number;
      readonly coils: readonly boolean[];
    }
  | {
      readonly functionCode: 16;
      readonly unit: number;
      readonly address: number;
      readonly registers: readonly number[];
    };

/** The answer to a request. */
export interface ModbusReply {
  /** Bytes of a read: registers high byte first, or coils with the first one in the lowest bit. Empty for a write. */
  readonly bytes: Uint8Array;
  /** From the start of the request to the whole answer. */
  readonly elapsedMs: number;
}

/** Whether nobody answers a request to a unit: a broadcast on a serial line. */
export function isBroadcast(line: Line, { unit }: { readonly unit: number }): boolean {
  return line.kind === "serial" && unit === 0;
}

/** One connection with the request and response layer of modbus-serial on it. Whoever opened it disposes it. */
export class ModbusClient implements AsyncDisposable {
  readonly #line: Line;
  readonly #clock: Clock;
  readonly #transport: Transport;
  readonly #port: FramedPort;
  readonly #rtu: ModbusRTU;
  readonly #lost = Promise.withResolvers<TransientError>();
  readonly #waiting = new Set<(error: Error) => void>();

  private constructor(line: Line, transport: Transport, clock: Clock) {
    this.#line = line;
    this.#clock = clock;
    this.#transport = transport;
    this.#port = new FramedPort(transport, {
      framing: line.framing,
      datagrams: line.kind === "udp",
      localEcho: line.kind === "serial" && line.serial.localEcho,
    });
    this.#rtu = new ModbusRTU(this.#port);
    this.#rtu.open();
    // Errors come through the transport.
    this.#rtu.on("error", () => undefined);
  }

  /** Opens the line. @throws TransientError with the cause in words */
  static async open(line: Line, options: OpenOptions, signal: AbortSignal): Promise<ModbusClient> {
    const transport = await openTransport(line, options, signal);
    const client = new ModbusClient(line, transport, options.clock);
    client.#watch(transport.closed);
    client.#watch(client.#port.broken);
    return client;
  }

  /** Resolves with the cause when the connection is of no use any more; never by dispose. */
  get lost(): Promise<TransientError> {
    return this.#lost.promise;
  }

  get counters(): Readonly<PortCounters> {
    return this.#port.counters;
  }

  /** Throws away bytes of an answer that came too late. */
  discard(): void {
    this.#port.discard();
  }

  /**
   * Sends a request and waits for its answer. A broadcast resolves when it is sent.
   * @throws ModbusException, NoAnswer after `timeoutMs`, LineDown when the connection is lost
   */
  async send(request: ModbusRequest, timeoutMs: number): Promise<ModbusReply> {
    if (!this.#port.isOpen) {
      throw new LineDown("there is no connection");
    }
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const slot = this.#port._transactionIdWrite;
    const startMs = this.#clock.monotonicMs();
    using _timer = this.#clock.timer(timeoutMs, () => reject(new NoAnswer(timeoutMs)));
    this.#waiting.add(reject);
    try {
      this.#write(request, (error, reply) => {
        if (error === null) {
          resolve(reply);
        } else {
          reject(error);
        }
      });
      if (isBroadcast(this.#line, request)) {
        resolve(new Uint8Array(0));
      }
      const bytes = await promise;
      return { bytes, elapsedMs: this.#clock.monotonicMs() - startMs };
    } finally {
      this.#waiting.delete(reject);
      this.#port.forget(slot);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#rtu.close(() => undefined);
    this.#failAll(new LineDown("the connection was closed"));
    await this.#transport[Symbol.asyncDispose]();
  }

  #watch(end: Promise<TransientError>): void {
    end
      .then((error) => {
        this.#port.close();
        this.#lost.resolve(error);
        this.#failAll(new LineDown("the connection was lost", error));
      })
      .catch(() => undefined);
  }

  #failAll(error: Error): void {
    for (const reject of this.#waiting) {
      reject(error);
    }
  }

  #write(request: ModbusRequest, done: (error: Error | null, bytes: Uint8Array) => void): void {
    const { unit, address } = request;
    const nothing = new Uint8Array(0);
    // modbus-serial hands over either an error or a result.
    const read = (error: unknown, result: { readonly buffer: Uint8Array } | undefined): void =>
      done(failureOf(error), result?.buffer ?? nothing);
    const written = (error: unknown): void => done(failureOf(error), nothing);
    switch (request.functionCode) {
      case 1:
        this.#rtu.writeFC1(unit, address, request.count, read);
        break;
      case 2:
        this.#rtu.writeFC2(unit, address, request.count, read);
        break;
      case 3:
        this.#rtu.writeFC3(unit, address, request.count, read);
        break;
      case 4:
        this.#rtu.writeFC4(unit, address, request.count, read);
        break;
      case 5:
        this.#rtu.writeFC5(unit, address, request.on, written);
        break;
      case 6:
        this.#rtu.writeFC6(unit, address, request.register, written);
        break;
      case 15:
        this.#rtu.writeFC15(unit, address, [...request.coils], written);
        break;
      case 16:
        this.#rtu.writeFC16(unit, address, [...request.registers], written);
        break;
    }
  }
}

/** The error of modbus-serial as ours; an exception response carries its code. */
function failureOf(error: unknown): Error | null {
  if (error === null || error === undefined) {
    return null;
  }
  const code: unknown =
    typeof error === "object" && "modbusCode" in error ? error.modbusCode : undefined;
  if (typeof code === "number") {
    return new ModbusException(code);
  }
  return new LineDown("the answer cannot be read", error);
}
