import { ServerTCP } from "modbus-serial";
import type { Json } from "../../src/sdk/model.ts";
import { freePort } from "./ports.ts";

/** What a server of modbus-serial has seen and holds; one memory for every unit. */
export class ModbusServer implements AsyncDisposable {
  readonly holding = new Map<number, number>();
  readonly input = new Map<number, number>();
  readonly coils = new Set<number>();
  readonly inputs = new Set<number>();
  /** Requests as `unit function address+count`. */
  readonly requests: string[] = [];
  readonly port: number;
  readonly #server: ServerTCP;
  readonly #listening = Promise.withResolvers<void>();

  private constructor(port: number) {
    this.port = port;
    const words = (table: Map<number, number>, code: number) => {
      return (address: number, count: number, unit: number): number[] => {
        this.requests.push(`${unit} ${code} ${address}+${count}`);
        return Array.from({ length: count }, (_, index) => table.get(address + index) ?? 0);
      };
    };
    // The library asks for a single register in its own way.
    const word = (table: Map<number, number>, code: number) => {
      return (address: number, unit: number): number =>
        words(table, code)(address, 1, unit)[0] ?? 0;
    };
    const bit = (table: Set<number>) => (address: number) => table.has(address);
    this.#server = new ServerTCP(
      {
        getMultipleHoldingRegisters: words(this.holding, 3),
        getMultipleInputRegisters: words(this.input, 4),
        getHoldingRegister: word(this.holding, 3),
        getInputRegister: word(this.input, 4),
        getCoil: bit(this.coils),
        getDiscreteInput: bit(this.inputs),
        setRegister: (address: number, value: number) => {
          this.holding.set(address, value);
        },
        setCoil: (address: number, value: boolean) => {
          if (value) {
            this.coils.add(address);
          } else {
            this.coils.delete(address);
          }
        },
      },
      { host: "127.0.0.1", port, unitID: 255 },
    );
    this.#server.on("initialized", () => this.#listening.resolve());
    this.#server.on("serverError", (error) =>
      this.#listening.reject(
        error instanceof Error ? error : new Error("the server cannot listen"),
      ),
    );
    this.#server.on("socketError", () => undefined);
  }

  /** Listens on a port of this machine, a free one unless one is given: 0 is none to the library. */
  static async listen(port?: number): Promise<ModbusServer> {
    const server = new ModbusServer(port ?? (await freePort()));
    await server.#listening.promise;
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }
}

/** A slave of a connector file on a TCP port of this machine, with the orders of the wire. */
export function tcpSlave(port: number, rest: { readonly [key: string]: Json }): Json {
  return {
    type: "tcp",
    method: "socket",
    host: "127.0.0.1",
    port,
    unitId: 1,
    deviceName: "Pump",
    pollPeriod: 50,
    timeout: 1,
    byteOrder: "BIG",
    wordOrder: "BIG",
    ...rest,
  };
}
