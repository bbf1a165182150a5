import { ServerTCP } from "modbus-serial";
import type { Clock } from "#sdk/clock";
import { freePort } from "./free-port.ts";

/** Name of the device. */
export const COMPRESSOR = "Compressor 1";

/** Registers and coils of the simulated compressor at `elapsedMs` since the start; 32-bit values have the high word first. */
function registersAt(elapsedMs: number): ReadonlyMap<number, number> {
  const pressure = Math.round(10 * (7.5 + 0.6 * Math.sin(elapsedMs / 4000)));
  const flow = new DataView(new ArrayBuffer(4));
  flow.setFloat32(0, 42.5 + 3 * Math.sin(elapsedMs / 9000));
  const hours = 51_240_000 + Math.floor(elapsedMs / 1000);
  return new Map([
    [0, pressure],
    [2, flow.getUint16(0)],
    [3, flow.getUint16(2)],
    [4, hours >>> 16],
    [5, hours & 0xffff],
  ]);
}

/** The gateway's side of it, as a person would write it. */
export function demoSlave(port: number): object {
  const holding = { functionCode: 3, objectsCount: 1 };
  return {
    type: "tcp",
    method: "socket",
    host: "127.0.0.1",
    port,
    unitId: 1,
    deviceName: COMPRESSOR,
    deviceType: "Compressor",
    pollPeriod: 1000,
    timeout: 3,
    byteOrder: "BIG",
    wordOrder: "BIG",
    timeseries: [
      { tag: "pressure", type: "16uint", address: 0, divider: 10, ...holding },
      { tag: "flow", type: "32float", address: 2, round: 2, ...holding, objectsCount: 2 },
      { tag: "operatingSeconds", type: "32uint", address: 4, ...holding, objectsCount: 2 },
      { tag: "running", type: "bits", functionCode: 1, objectsCount: 1, address: 0 },
    ],
  };
}

/** A compressor that speaks Modbus TCP on loopback. */
export class DemoModbusDevice implements AsyncDisposable {
  readonly port: number;
  readonly #server: ServerTCP;

  private constructor(port: number, clock: Clock) {
    this.port = port;
    const startMs = clock.monotonicMs();
    const word = (address: number): number =>
      registersAt(clock.monotonicMs() - startMs).get(address) ?? 0;
    this.#server = new ServerTCP(
      {
        getHoldingRegister: (address: number) => word(address),
        // Nothing there; the library would leave a request without an answer.
        getInputRegister: () => 0,
        getCoil: (address: number) => address === 0,
      },
      { host: "127.0.0.1", port, unitID: 1 },
    );
    // A connection that breaks is the gateway's to notice.
    this.#server.on("socketError", () => undefined);
  }

  /** Listens on a port of 127.0.0.1, a free one by default. @throws Error when it is taken */
  static async listen(clock: Clock, wanted?: number): Promise<DemoModbusDevice> {
    const device = new DemoModbusDevice(wanted ?? (await freePort()), clock);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    device.#server.on("initialized", () => resolve());
    device.#server.on("serverError", () => reject(new Error("Cannot listen for Modbus TCP")));
    await promise;
    return device;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }
}
