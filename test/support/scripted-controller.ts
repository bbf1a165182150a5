import type { Socket } from "node:net";
import { H4Reader } from "../../src/platform/h4.ts";
import { LoopbackServer } from "./loopback-server.ts";
import { until } from "./until.ts";

const READ_LOCAL_VERSION = 0x1001;
const LE_SET_SCAN_ENABLE = 0x200c;

/** A Bluetooth controller, H4 over TCP, that says yes to every command and hears what a test makes up. */
export class ScriptedController extends LoopbackServer {
  #socket: Socket | undefined;
  #isScanning = false;
  #openings = 0;

  private constructor() {
    super();
  }

  static async listen(): Promise<ScriptedController> {
    return await new ScriptedController().listen();
  }

  /** How often it was opened. */
  get openings(): number {
    return this.#openings;
  }

  /** Waits until the gateway scans. */
  async scanned(): Promise<void> {
    await until("the gateway scans", () => this.#isScanning);
  }

  /** Sends packets as they are. */
  send(...packets: readonly Uint8Array[]): void {
    this.#socket?.write(Buffer.concat(packets));
  }

  /** Loses the connection, as a controller does that is reset. */
  reset(): void {
    this.#socket?.destroy();
  }

  protected override serve(socket: Socket): void {
    this.#socket = socket;
    this.#openings += 1;
    this.#isScanning = false;
    const reader = new H4Reader();
    socket.on("data", (bytes: Buffer) => {
      for (const packet of reader.take(bytes)) {
        this.#answer(Buffer.from(packet));
      }
    });
  }

  #answer(packet: Buffer): void {
    if (packet[0] !== 1) {
      return;
    }
    const opcode = packet.readUInt16LE(1);
    if (opcode === LE_SET_SCAN_ENABLE) {
      this.#isScanning = packet[4] === 1;
    }
    // Status, then whatever it is asked for: zeros, but a version that knows Bluetooth Low Energy.
    const values = Buffer.alloc(64);
    if (opcode === READ_LOCAL_VERSION) {
      values[0] = 9;
      values[3] = 9;
    }
    const parameters = Buffer.from([1, opcode & 0xff, opcode >> 8, 0, ...values]);
    this.send(Buffer.from([4, 0x0e, parameters.length, ...parameters]));
  }
}

/** A report of one advertisement (Core, Vol 4 Part E 7.7.65.2) of a public address; not connectable, so that no scan response is awaited. */
export function advertisingReport(address: string, data: Uint8Array, rssi = -60): Uint8Array {
  const place = address.split(":").map((part) => Number.parseInt(part, 16));
  const report = [2, 1, 3, 0, ...place.toReversed(), data.length, ...data, rssi & 0xff];
  return Uint8Array.from([4, 0x3e, report.length, ...report]);
}
