import { closeSync, constants, openSync, writeSync } from "node:fs";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import { libc } from "./libc.ts";
import { type ByteReader, readToEnd } from "./read-to-end.ts";
import { missingAdvice, permissionAdvice } from "./serial-advice.ts";
import {
  differences,
  isStandardSpeed,
  type LineSettings,
  REQUESTS,
  rs485,
  TERMIOS_SIZE,
  termios,
} from "./termios.ts";

/** A serial port and its settings. */
export interface SerialPortOptions extends LineSettings {
  /** `/dev/ttyUSB0`, `/dev/serial/by-id/…`. */
  readonly path: string;
  /** Let the kernel driver switch the direction of an RS-485 transceiver. */
  readonly rs485?: boolean;
}

/** Bytes that wait to be sent; a message of any protocol here is far shorter. */
const MAX_UNSENT = 65_536;
/** How long to wait before a full output buffer is tried again. */
const RETRY_MS = 5;
/** The argument of TCFLSH that means input (asm-generic/termbits-common.h). */
const TCIFLUSH = 0;

/**
 * Opens a serial port for this process alone. Any speed the driver takes is allowed; a driver that cannot do parity or data bits
 * is said in `warnings`. @throws TransientError when there is no such device, it is in use, or it cannot have that speed
 */
export async function openSerialPort(
  options: SerialPortOptions,
  clock: Clock,
): Promise<SerialPort> {
  const { path } = options;
  const flags = constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK;
  let fd: number;
  try {
    fd = openSync(path, flags);
  } catch (error) {
    throw new TransientError(`Cannot open serial port ${path}: ${openFailure(error, path)}`, {
      cause: error,
    });
  }
  try {
    const warnings = configure(fd, options);
    return await Promise.resolve(new SerialPort({ fd, path, warnings }, clock));
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function openFailure(error: unknown, path: string): string {
  switch (codeOf(error)) {
    case "ENOENT":
    case "ENXIO":
    case "ENODEV":
      return missingAdvice();
    case "EACCES":
    case "EPERM":
      return permissionAdvice(path);
    case "EBUSY":
      return "another program uses it";
    default:
      return "the system refuses it";
  }
}

function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
}

/** Sets the line and reads back what came of it. */
function configure(fd: number, options: SerialPortOptions): readonly string[] {
  const { path, baudRate } = options;
  const wanted = termios(options);
  const standard = isStandardSpeed(baudRate);
  const setting = libc().ioctl(fd, standard ? REQUESTS.TCSETS : REQUESTS.TCSETS2, wanted);
  const found = new Uint8Array(TERMIOS_SIZE);
  const reading = libc().ioctl(fd, standard ? REQUESTS.TCGETS : REQUESTS.TCGETS2, found);
  if (reading !== 0) {
    throw new TransientError(`Cannot use ${path} as a serial port: it is none (error ${reading})`);
  }
  const { speed, format } = differences(wanted, found);
  if (speed || (setting !== 0 && format.length === 0)) {
    throw new TransientError(`Cannot set ${path} to ${baudRate} baud: its driver cannot`);
  }
  const warnings = format.map((name) => `the driver keeps other ${name}`);
  if (options.rs485 === true && libc().ioctl(fd, REQUESTS.TIOCSRS485, rs485()) !== 0) {
    warnings.push("the driver has no RS-485 mode");
  }
  // Two programs on one line would take each other's bytes. Not every driver can; then it stays as it was.
  libc().ioctl(fd, REQUESTS.TIOCEXCL, new Uint8Array(4));
  return warnings;
}

/** An open serial port. Whoever opened it disposes it. */
export class SerialPort implements AsyncDisposable {
  /** Called with what arrives. Set it before anything is sent. */
  onData: (bytes: Uint8Array) => void = () => undefined;
  /** Settings the driver did not take, in words. */
  readonly warnings: readonly string[];
  readonly #closed = Promise.withResolvers<TransientError>();
  readonly #fd: number;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #reader: ByteReader;
  readonly #reading: Promise<void>;
  #unsent = new Uint8Array(0);
  /** Resolved, and made anew, each time there is less to wait for. */
  #sent = Promise.withResolvers<void>();
  #isLost = false;
  #retry: Disposable | undefined;
  #isOpen = true;

  constructor(
    opened: { readonly fd: number; readonly path: string; readonly warnings: readonly string[] },
    clock: Clock,
  ) {
    this.#fd = opened.fd;
    this.#path = opened.path;
    this.warnings = opened.warnings;
    this.#clock = clock;
    this.#reader = Bun.file(opened.fd).stream().getReader();
    this.#reading = this.#read();
  }

  /** Resolves with the cause when the device is gone; never by dispose. */
  get closed(): Promise<TransientError> {
    return this.#closed.promise;
  }

  /** Resolves when the driver has taken all that was written, and when the port is closed. */
  async drained(): Promise<void> {
    while (this.#isOpen && !this.#isLost && this.#unsent.length > 0) {
      await this.#sent.promise;
    }
  }

  /** Drops what has arrived in the driver and was not read. */
  discardInput(): void {
    libc().ioctlNumber(this.#fd, REQUESTS.TCFLSH, TCIFLUSH);
  }

  /** Sends in order. What the line is too slow for is kept, up to 64 KiB; more is the end of the connection. */
  write(bytes: Uint8Array): void {
    if (!this.#isOpen) {
      return;
    }
    if (this.#unsent.length + bytes.length > MAX_UNSENT) {
      this.#fail(new Error("nothing can be sent any more"));
      return;
    }
    const joined = new Uint8Array(this.#unsent.length + bytes.length);
    joined.set(this.#unsent);
    joined.set(bytes, this.#unsent.length);
    this.#unsent = joined;
    this.#flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOpen) {
      return;
    }
    this.#isOpen = false;
    this.#retry?.[Symbol.dispose]();
    this.#sent.resolve();
    await this.#reader.cancel().catch(() => undefined);
    await this.#reading;
    this.#close();
  }

  #flush(): void {
    this.#retry?.[Symbol.dispose]();
    this.#retry = undefined;
    try {
      while (this.#unsent.length > 0) {
        this.#unsent = this.#unsent.slice(writeSync(this.#fd, this.#unsent));
      }
      this.#sent.resolve();
      this.#sent = Promise.withResolvers<void>();
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") {
        this.#fail(error);
        return;
      }
      this.#retry = this.#clock.timer(RETRY_MS, () => this.#flush());
    }
  }

  async #read(): Promise<void> {
    this.#fail(await readToEnd(this.#reader, (chunk) => this.onData(chunk)));
  }

  #fail(cause: unknown): void {
    if (this.#isOpen) {
      const options = cause === undefined ? {} : { cause };
      this.#isLost = true;
      this.#closed.resolve(new TransientError(`Serial port ${this.#path} is gone`, options));
      this.#sent.resolve();
    }
  }

  /** The stream reads through a descriptor of its own; this one is ours to close. */
  #close(): void {
    try {
      closeSync(this.#fd);
    } catch (error) {
      this.#closed.resolve(new TransientError(`Cannot close ${this.#path}`, { cause: error }));
    }
  }
}
