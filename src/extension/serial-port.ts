import { systemClock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";

/** A serial port and its settings. */
export interface SerialPortOptions {
  /** `/dev/ttyUSB0`, `/dev/serial/by-id/…`. */
  readonly path: string;
  /** Default 9600; any speed the driver takes. */
  readonly baudRate?: number;
  /** Default 8. */
  readonly dataBits?: 5 | 6 | 7 | 8;
  /** Default "none". */
  readonly parity?: "none" | "even" | "odd" | "mark" | "space";
  /** Default 1. */
  readonly stopBits?: 1 | 1.5 | 2;
  /** RTS and CTS say who may send. Default false. */
  readonly rtscts?: boolean;
  /** XON and XOFF in the data say who may send; for text only. Default false. */
  readonly xonxoff?: boolean;
}

/** An open serial port, of this process alone. Whoever opened it disposes it. */
export interface SerialPort extends AsyncDisposable {
  /** Settings the driver did not take, in words. */
  readonly warnings: readonly string[];
  /** Chunks as they come, for one reader at a time. Ends by throwing: TransientError when the port is lost, `signal.reason` on abort. */
  read(signal: AbortSignal): AsyncGenerator<Uint8Array, never>;
  /** Resolves when the driver has taken the last byte. @throws TransientError when the port is lost; rejects with `signal.reason` */
  write(data: Uint8Array, signal: AbortSignal): Promise<void>;
  /** Drops what was received and not read. */
  discardInput(): void;
}

const PARITY = { none: "N", even: "E", odd: "O", mark: "M", space: "S" } as const;
/** Most bytes that wait for a reader; a line of 115,200 baud fills this in a minute and a half. */
const MAX_UNREAD_BYTES = 1_048_576;

/** Opens a serial port. @throws TransientError when it is missing, in use or cannot have these settings */
export async function openSerialPort(
  options: SerialPortOptions,
  signal: AbortSignal,
): Promise<SerialPort> {
  signal.throwIfAborted();
  // Only who uses a serial port pays for it.
  const platform = await import("#platform/serial-port");
  const { path, baudRate = 9600, dataBits = 8, parity = "none", stopBits = 1 } = options;
  const port = await platform.openSerialPort(
    {
      path,
      baudRate,
      dataBits,
      parity: PARITY[parity],
      stopBits,
      hardwareFlow: options.rtscts === true,
      softwareFlow: options.xonxoff === true,
    },
    systemClock,
  );
  return new OpenPort(path, port);
}

/** What is used of the port of the platform. */
type PlatformPort = Awaited<ReturnType<typeof import("#platform/serial-port")["openSerialPort"]>>;

class OpenPort implements SerialPort {
  readonly warnings: readonly string[];
  readonly #path: string;
  readonly #port: PlatformPort;
  readonly #unread: Uint8Array[] = [];
  #unreadBytes = 0;
  #failure: TransientError | undefined;
  /** Resolved, and made anew, each time there is something to look at. */
  #news = Promise.withResolvers<void>();

  constructor(path: string, port: PlatformPort) {
    this.#path = path;
    this.#port = port;
    this.warnings = port.warnings;
    port.onData = (bytes) => this.#take(bytes);
    // It is never rejected, and not at all settled by a dispose.
    port.closed.then((error) => this.#fail(error)).catch(() => undefined);
  }

  async *read(signal: AbortSignal): AsyncGenerator<Uint8Array, never> {
    const wake = (): void => this.#news.resolve();
    signal.addEventListener("abort", wake, { once: true });
    try {
      for (;;) {
        signal.throwIfAborted();
        const chunk = this.#unread.shift();
        if (chunk !== undefined) {
          this.#unreadBytes -= chunk.length;
          yield chunk;
        } else if (this.#failure === undefined) {
          await this.#news.promise;
          this.#news = Promise.withResolvers<void>();
        } else {
          throw this.#failure;
        }
      }
    } finally {
      signal.removeEventListener("abort", wake);
    }
  }

  async write(data: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#throwFailure();
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => aborted.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      this.#port.write(data);
      await Promise.race([this.#port.drained(), aborted.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
    this.#throwFailure();
  }

  discardInput(): void {
    this.#port.discardInput();
    this.#unread.length = 0;
    this.#unreadBytes = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#port[Symbol.asyncDispose]();
    this.#fail(new TransientError(`Serial port ${this.#path} is closed`));
  }

  #take(bytes: Uint8Array): void {
    if (this.#unreadBytes + bytes.length > MAX_UNREAD_BYTES) {
      this.#fail(
        new TransientError(`Serial port ${this.#path}: nobody reads what it receives any more`),
      );
      return;
    }
    this.#unread.push(bytes.slice());
    this.#unreadBytes += bytes.length;
    this.#news.resolve();
  }

  #fail(error: TransientError): void {
    this.#failure ??= error;
    this.#news.resolve();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
  }
}
