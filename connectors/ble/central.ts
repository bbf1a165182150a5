import { EventEmitter } from "node:events";
import { HCI_PACKET } from "#platform/h4";
import { type AdapterPlace, type HciPort, openHciPort } from "#platform/hci-socket";
import type { Clock } from "#sdk/clock";
import { errorText, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { reportAddresses } from "./advertising-report.ts";
import { type AttError, attError } from "./att-errors.ts";
import { CommandGate, RESET_COMMAND } from "./command-gate.ts";
import { loadLibrary } from "./library.ts";
import { Loss } from "./loss.ts";
import { settle } from "./settle.ts";

/** How an adapter is opened. */
export interface CentralOptions {
  readonly place: AdapterPlace;
  readonly passive: boolean;
  /** Whether peripherals are connected; without, the adapter may be shared with the system. */
  readonly connects: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** HCI_Hardware_Error (Core, Vol 4 Part E 7.7.16). */
const HARDWARE_ERROR = 0x10;

const OPEN_TIMEOUT_MS = 5000;
/** From the reset of the controller to its readiness. */
const READY_TIMEOUT_MS = 10_000;
/** Start and end of scanning. */
const SCAN_TIMEOUT_MS = 5000;

/**
 * One open adapter with noble on top, from its reset to its loss; never opened again. noble keeps state that does not survive a
 * reset of the controller, so that each opening gets a noble of its own.
 */
export class Central implements AsyncDisposable {
  /** Called for each advertisement. Set it before the first scan. */
  onDiscover: (peripheral: NoblePeripheral) => void = () => undefined;
  /** Called with each report of advertisements, of whomever. */
  onHeard: () => void = () => undefined;
  /** Called with each error response, and the peripheral it is from. */
  onRefusal: (peripheralId: string, error: AttError) => void = () => undefined;
  /**
   * Whether an address, twelve hexadecimal digits, is of interest. noble remembers all it sees for ever, and phones change their
   * addresses every few minutes.
   */
  isWanted: (address: string) => boolean = () => true;
  readonly #options: CentralOptions;
  readonly #port: HciPort;
  readonly #gate: CommandGate;
  readonly #socket: PortSocket;
  /** Happens when the adapter is gone; never by dispose. */
  readonly loss = new Loss();
  #noble: NobleCentral | undefined;
  #bindings: NobleBindings | undefined;
  #isOpen = true;

  private constructor(port: HciPort, options: CentralOptions) {
    this.#port = port;
    this.#options = options;
    this.#gate = new CommandGate(options.clock, {
      send: (packet) => port.write(packet),
      stuck: (error) => this.loss.happen(error),
      passive: options.passive,
    });
    this.#socket = new PortSocket(this.#gate);
    // Once for each port, and it never rejects.
    port.closed.then((error) => this.loss.happen(error)).catch(() => undefined);
    port.onPacket = (packet) => this.#receive(packet);
  }

  /** Opens the adapter, resets it and waits until it is ready. @throws TransientError that says what to do */
  static async open(options: CentralOptions, signal: AbortSignal): Promise<Central> {
    const { place, clock, connects, log } = options;
    const port = await openHciPort(
      place,
      {
        clock,
        channel: connects ? "user" : "raw",
        timeoutMs: OPEN_TIMEOUT_MS,
        onTaken: () =>
          log.warn(
            "The Bluetooth adapter was up and was taken from the system, as by hciconfig down",
          ),
      },
      signal,
    );
    const central = new Central(port, options);
    try {
      await central.#start(signal);
      return central;
    } catch (error) {
      await central[Symbol.asyncDispose]();
      signal.throwIfAborted();
      throw error;
    }
  }

  /** The GATT layer of a connected peripheral, by its identifier. */
  gatt(peripheralId: string): NobleGatt | undefined {
    return this.#bindings?._gatts[peripheralId];
  }

  /** @throws TransientError */
  async startScan(signal: AbortSignal): Promise<void> {
    await this.within(
      this.#noble?.startScanningAsync([], true),
      { timeoutMs: SCAN_TIMEOUT_MS, action: "start scanning" },
      signal,
    );
  }

  /** @throws TransientError */
  async stopScan(signal: AbortSignal): Promise<void> {
    await this.within(
      this.#noble?.stopScanningAsync(),
      { timeoutMs: SCAN_TIMEOUT_MS, action: "stop scanning" },
      signal,
    );
  }

  /** Waits for something of noble, which has no time-outs and forgets who waits when the adapter goes. @throws TransientError */
  async within<T>(
    promise: Promise<T> | undefined,
    { timeoutMs, action }: { readonly timeoutMs: number; readonly action: string },
    signal: AbortSignal,
  ): Promise<T | undefined> {
    return await settle(
      promise,
      { timeoutMs, action, clock: this.#options.clock, lost: this.loss },
      signal,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOpen) {
      return;
    }
    this.#isOpen = false;
    this.#gate[Symbol.dispose]();
    this.#noble?.removeAllListeners();
    this.#socket.removeAllListeners();
    if (this.#bindings !== undefined) {
      // Its timer calls this once more, and then nothing.
      this.#bindings._hci.pollIsDevUp = () => undefined;
    }
    await this.#port[Symbol.asyncDispose]();
  }

  async #start(signal: AbortSignal): Promise<void> {
    const reset = Promise.withResolvers<void>();
    this.#gate.onReset = reset.resolve;
    this.#gate.write(RESET_COMMAND);
    const limit = { timeoutMs: READY_TIMEOUT_MS, action: "reset the Bluetooth adapter" };
    await this.within(reset.promise, limit, signal);
    const { Bindings, createCentral } = await loadLibrary();
    signal.throwIfAborted();
    const bindings = new Bindings({});
    bindings._hci._socket = this.#socket;
    guardLinks(bindings);
    guardReports(bindings, this.#options.log);
    this.#bindings = bindings;
    const noble = createCentral(bindings);
    this.#noble = noble;
    const ready = Promise.withResolvers<void>();
    noble.on("warning", (message) => {
      this.#options.log.debug("The Bluetooth library warns", { reason: message });
    });
    noble.on("discover", (peripheral) => this.onDiscover(peripheral));
    noble.on("stateChange", (state) => this.#onState(state, ready));
    using _hooks = keepOutOfExit();
    await this.within(ready.promise, { ...limit, action: "start the Bluetooth adapter" }, signal);
  }

  #onState(state: string, ready: PromiseWithResolvers<void>): void {
    if (state === "poweredOn") {
      ready.resolve();
      return;
    }
    const error = new TransientError(`The Bluetooth adapter is ${state}`);
    ready.reject(error);
    this.loss.happen(error);
  }

  #receive(packet: Uint8Array): void {
    if (!this.#isOpen) {
      return;
    }
    this.#gate.answered(packet);
    const failure = hardwareError(packet);
    if (failure !== undefined) {
      this.loss.happen(failure);
      return;
    }
    const addresses = reportAddresses(packet);
    if (addresses !== undefined) {
      this.onHeard();
    }
    if (addresses !== undefined && !addresses.some((address) => this.isWanted(address))) {
      return;
    }
    const refusal = attError(packet);
    const peripheralId = refusal && this.#bindings?._handles[refusal.link];
    if (refusal !== undefined && peripheralId !== undefined) {
      this.onRefusal(peripheralId, refusal);
    }
    try {
      this.#socket.emit("data", Buffer.from(packet.buffer, packet.byteOffset, packet.length));
    } catch (error) {
      // Anybody near may send rubbish; it costs its own packet.
      this.#options.log.debug("A Bluetooth packet cannot be read", { error: errorText(error) });
    }
  }
}

/** What a controller says that has failed and begins anew: it knows nothing any more of links and scans. */
function hardwareError(packet: Uint8Array): TransientError | undefined {
  if (packet[0] !== HCI_PACKET.event || packet[1] !== HARDWARE_ERROR) {
    return undefined;
  }
  const code = (packet[3] ?? 0).toString(16).padStart(2, "0");
  return new TransientError(`The Bluetooth adapter has reset itself: hardware error 0x${code}`);
}

/** When disposed, takes away what noble has hooked on the end of the program: the gateway ends in its own order. */
function keepOutOfExit(): Disposable {
  const signals = new Set(process.listeners("SIGINT"));
  const exits = new Set(process.listeners("exit"));
  return {
    [Symbol.dispose]: () => {
      for (const listener of process.listeners("SIGINT").filter((one) => !signals.has(one))) {
        process.off("SIGINT", listener);
      }
      for (const listener of process.listeners("exit").filter((one) => !exits.has(one))) {
        process.off("exit", listener);
      }
    },
  };
}

/** noble sends to links that are gone, and would throw where nobody can catch it. */
function guardLinks(bindings: NobleBindings): void {
  const hci = bindings._hci;
  const write = hci.writeAclDataPkt.bind(hci);
  const flush = hci.flushAcl.bind(hci);
  hci.writeAclDataPkt = async (handle, channel, data) => {
    if (hci._aclConnections.has(handle)) {
      await write(handle, channel, data);
    }
  };
  hci.flushAcl = async () => {
    hci._aclQueue = hci._aclQueue.filter(({ handle }) => hci._aclConnections.has(handle));
    await flush();
  };
}

/** noble prints each advertisement it cannot read, and skips those in the same packet; anybody near may send such ones. */
function guardReports({ _hci: hci }: NobleBindings, log: Logger): void {
  const emit = hci.emit.bind(hci);
  hci.emit = (event, ...args) => {
    try {
      return emit(event, ...args);
    } catch (error) {
      if (event !== "leAdvertisingReport") {
        throw error;
      }
      log.debug("An advertisement cannot be read", { error: errorText(error) });
      return true;
    }
  };
}

/** The open adapter as noble's HCI socket. */
class PortSocket extends EventEmitter implements NobleSocket {
  readonly #gate: CommandGate;

  constructor(gate: CommandGate) {
    super();
    this.#gate = gate;
  }

  bindRaw(): void {
    // It is open already.
  }

  start(): void {
    // It is read already.
  }

  isDevUp(): boolean {
    return true;
  }

  write(packet: Buffer): void {
    this.#gate.write(packet);
  }

  setFilter(): void {
    // The port lets through what noble wants.
  }
}
