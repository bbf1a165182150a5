import { HCI_PACKET } from "#platform/h4";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";

/** HCI_Reset. */
export const RESET_COMMAND = Uint8Array.of(HCI_PACKET.command, 0x03, 0x0c, 0);

const RESET = 0x0c03;
const LE_SET_SCAN_PARAMETERS = 0x200b;
const LE_SET_EXTENDED_SCAN_PARAMETERS = 0x2041;
const COMMAND_COMPLETE = 0x0e;
const COMMAND_STATUS = 0x0f;

/** Commands that wait for the controller; noble sends some ten at a time. */
const MAX_WAITING = 200;
/** A controller answers each command within this (Core, Vol 4 Part E 4.4), else it hangs. */
const ANSWER_TIMEOUT_MS = 5000;

interface GateTarget {
  send(packet: Uint8Array): void;
  /** The controller does not answer any more. */
  stuck(error: TransientError): void;
  /** Whether scans only listen; noble asks for scan responses. */
  readonly passive: boolean;
}

/**
 * Sends commands only when the controller has room for them, as it says in each answer (Core, Vol 4 Part E 4.4); noble does not look.
 * Data passes at once.
 */
export class CommandGate implements Disposable {
  /** Called when a reset has been carried out. */
  onReset: () => void = () => undefined;
  readonly #clock: Clock;
  readonly #target: GateTarget;
  #waiting: Uint8Array[] = [];
  /** Commands the controller takes now. */
  #room = 1;
  #timer: Disposable | undefined;

  constructor(clock: Clock, target: GateTarget) {
    this.#clock = clock;
    this.#target = target;
  }

  write(packet: Uint8Array): void {
    if (packet[0] !== HCI_PACKET.command) {
      this.#target.send(packet);
      return;
    }
    if (this.#waiting.length >= MAX_WAITING) {
      this.#target.stuck(new TransientError("The Bluetooth adapter takes no commands any more"));
      return;
    }
    this.#waiting.push(this.#target.passive ? listening(packet) : packet);
    this.#send();
  }

  /** Takes a packet of the controller, for what it says about its room. */
  answered(packet: Uint8Array): void {
    if (packet[0] !== HCI_PACKET.event) {
      return;
    }
    const isComplete = packet[1] === COMMAND_COMPLETE;
    if (!isComplete && packet[1] !== COMMAND_STATUS) {
      return;
    }
    this.#room = packet[isComplete ? 3 : 4] ?? 0;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const opcode = (packet[isComplete ? 4 : 5] ?? 0) | ((packet[isComplete ? 5 : 6] ?? 0) << 8);
    if (opcode === RESET) {
      this.onReset();
    }
    this.#send();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#waiting = [];
    this.#room = 0;
  }

  #send(): void {
    while (this.#room > 0) {
      const packet = this.#waiting.shift();
      if (packet === undefined) {
        return;
      }
      this.#room -= 1;
      this.#timer ??= this.#clock.timer(ANSWER_TIMEOUT_MS, () => {
        this.#target.stuck(new TransientError("The Bluetooth adapter does not answer"));
      });
      this.#target.send(packet);
    }
  }
}

/** A scan command that only listens: its scan type is 0. */
function listening(packet: Uint8Array): Uint8Array {
  const opcode = (packet[1] ?? 0) | ((packet[2] ?? 0) << 8);
  const places =
    opcode === LE_SET_SCAN_PARAMETERS
      ? [4]
      : opcode === LE_SET_EXTENDED_SCAN_PARAMETERS
        ? [7, 12]
        : [];
  if (places.length === 0) {
    return packet;
  }
  const changed = Uint8Array.from(packet);
  for (const place of places) {
    changed[place] = 0;
  }
  return changed;
}
