import { createConnection, type Socket } from "node:net";
import type { Clock } from "#sdk/clock";
import { errorText, TransientError } from "#sdk/errors";
import { H4Reader } from "./h4.ts";
import { type HciChannel, openHciDevice } from "./hci-device.ts";
import { openSerialPort } from "./serial-port.ts";

/** Where a Bluetooth controller is. */
export type AdapterPlace =
  | { readonly kind: "device"; readonly index: number }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "serial"; readonly path: string; readonly baudRate: number };

/** What carries the bytes of a port; every one of the three is one of these. */
export interface ByteChannel extends AsyncDisposable {
  onData: (bytes: Uint8Array) => void;
  readonly closed: Promise<TransientError>;
  write(bytes: Uint8Array): void;
}

/** Bytes that may wait to be sent to a controller that does not take them. */
const MAX_UNSENT = 262_144;

/** Opens the way to a controller. @throws TransientError that says what to do when there is none, or no permission */
export async function openHciPort(
  place: AdapterPlace,
  options: {
    readonly clock: Clock;
    readonly channel: HciChannel;
    readonly timeoutMs: number;
    /** An adapter of this machine was up, and was taken down to have it alone. */
    readonly onTaken?: () => void;
  },
  signal: AbortSignal,
): Promise<HciPort> {
  const { clock } = options;
  switch (place.kind) {
    case "tcp":
      return new HciPort(
        await TcpChannel.open(place, clock.deadline(options.timeoutMs, signal), signal),
      );
    case "serial":
      return new HciPort(
        await openSerialPort(
          {
            path: place.path,
            baudRate: place.baudRate,
            dataBits: 8,
            stopBits: 1,
            parity: "N",
            hardwareFlow: true,
          },
          clock,
        ),
      );
    case "device":
      return new HciPort(openHciDevice(place.index, options.channel, options.onTaken));
  }
}

/** An open way to a controller, packet by packet. Whoever opened it disposes it. */
export class HciPort implements AsyncDisposable {
  /** Called with each packet that arrives, its first byte the kind. Set it before anything is sent. */
  onPacket: (packet: Uint8Array) => void = () => undefined;
  readonly #channel: ByteChannel;
  readonly #reader = new H4Reader();
  readonly #broken = Promise.withResolvers<TransientError>();
  readonly #closed: Promise<TransientError>;
  #isBroken = false;

  constructor(channel: ByteChannel) {
    this.#channel = channel;
    this.#closed = Promise.race([channel.closed, this.#broken.promise]);
    channel.onData = (bytes) => this.#take(bytes);
  }

  /** Resolves with the cause when the controller is gone or talks rubbish; never by dispose. */
  get closed(): Promise<TransientError> {
    return this.#closed;
  }

  write(packet: Uint8Array): void {
    this.#channel.write(packet);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isBroken = true;
    await this.#channel[Symbol.asyncDispose]();
  }

  #take(bytes: Uint8Array): void {
    if (this.#isBroken) {
      return;
    }
    try {
      for (const packet of this.#reader.take(bytes)) {
        this.onPacket(packet);
      }
    } catch (error) {
      this.#isBroken = true;
      this.#broken.resolve(
        new TransientError("The adapter talks another protocol than HCI over H4", { cause: error }),
      );
    }
  }
}

/** H4 over TCP. */
class TcpChannel implements ByteChannel {
  onData: (bytes: Uint8Array) => void = () => undefined;
  readonly #socket: Socket;
  readonly #closed = Promise.withResolvers<TransientError>();

  private constructor(socket: Socket, name: string) {
    this.#socket = socket;
    let cause: unknown;
    socket.setNoDelay(true);
    socket.on("data", (bytes) =>
      this.onData(typeof bytes === "string" ? Buffer.from(bytes) : bytes),
    );
    socket.on("error", (error) => {
      cause = error;
    });
    socket.on("close", () => {
      const options = cause === undefined ? {} : { cause };
      this.#closed.resolve(new TransientError(`The adapter at ${name} is gone`, options));
    });
  }

  get closed(): Promise<TransientError> {
    return this.#closed.promise;
  }

  static async open(
    { host, port }: { readonly host: string; readonly port: number },
    deadline: AbortSignal,
    signal: AbortSignal,
  ): Promise<TcpChannel> {
    const name = `${host}:${port}`;
    deadline.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = createConnection({ host, port });
    const onAbort = (): void => reject(deadline.reason);
    deadline.addEventListener("abort", onAbort, { once: true });
    socket.once("connect", resolve);
    socket.once("error", reject);
    try {
      await promise;
      socket.off("error", reject);
      return new TcpChannel(socket, name);
    } catch (error) {
      socket.destroy();
      signal.throwIfAborted();
      throw new TransientError(`Cannot reach the adapter at ${name}: ${errorText(error)}`, {
        cause: error,
      });
    } finally {
      deadline.removeEventListener("abort", onAbort);
    }
  }

  write(bytes: Uint8Array): void {
    if (this.#socket.writableLength > MAX_UNSENT) {
      this.#socket.destroy(new Error("it takes nothing any more"));
      return;
    }
    this.#socket.write(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.#closed.promise;
  }
}
