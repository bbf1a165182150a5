import { closeSync, writeSync } from "node:fs";
import { TransientError } from "#sdk/errors";
import type { ByteChannel } from "./hci-socket.ts";
import { type Libc, libc } from "./libc.ts";
import { type ByteReader, readToEnd } from "./read-to-end.ts";

/**
 * `user`: the adapter is ours alone, also to connect with. `raw`: shared with the system's own Bluetooth service; only
 * advertisements are received, because the kernel manages the links there.
 */
export type HciChannel = "user" | "raw";

// linux/include/net/bluetooth/{bluetooth,hci_sock}.h
const AF_BLUETOOTH = 31;
const SOCK_RAW_CLOEXEC_NONBLOCK = 3 | 0o2000000 | 0o4000;
const BTPROTO_HCI = 1;
const CHANNELS = { raw: 0, user: 1 } as const;
const SOL_HCI = 0;
const HCI_FILTER = 2;
/** `_IOW('H', 201, int)`: brings an adapter up, as `hciconfig hci0 up` does. */
const HCIDEVUP = 0x400448c9;
/** `_IOW('H', 202, int)`: takes an adapter down, as `hciconfig hci0 down` does. */
const HCIDEVDOWN = 0x400448ca;

const ERRORS = {
  EPERM: 1,
  ENODEV: 19,
  EACCES: 13,
  EBUSY: 16,
  EUSERS: 87,
  EAFNOSUPPORT: 97,
  EPROTONOSUPPORT: 93,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  EALREADY: 114,
  ERFKILL: 132,
} as const;

/**
 * Opens `hci<index>` of the kernel. For the user channel the adapter must be down: one that is up is taken down, and `onTaken` is called.
 * @throws TransientError with the command that helps
 */
export function openHciDevice(
  index: number,
  channel: HciChannel,
  onTaken: () => void = () => undefined,
): ByteChannel {
  const name = `hci${index}`;
  const fd = libc().socket(AF_BLUETOOTH, SOCK_RAW_CLOEXEC_NONBLOCK, BTPROTO_HCI);
  if (fd < 0) {
    throw hciRefusal(name, -fd, channel);
  }
  const failure = bindHciDevice(libc(), fd, { index, channel, onTaken });
  if (failure !== 0) {
    closeSync(fd);
    throw hciRefusal(name, failure, channel);
  }
  return new DescriptorChannel(fd, name);
}

/**
 * Binds a socket to an adapter. For the user channel the adapter must be down, for the raw channel it must be up: that is seen to where
 * it is allowed. 0, or the number of the error.
 */
export function bindHciDevice(
  calls: Pick<Libc, "bind" | "setsockopt" | "ioctlNumber">,
  fd: number,
  wanted: { readonly index: number; readonly channel: HciChannel; readonly onTaken: () => void },
): number {
  const { index, channel, onTaken } = wanted;
  const failure = bind(calls, fd, { index, channel });
  if (channel === "raw") {
    return failure === 0 ? bringUp(calls, fd, index) : failure;
  }
  if (failure !== ERRORS.EBUSY) {
    return failure;
  }
  if (calls.ioctlNumber(fd, HCIDEVDOWN, index) !== 0) {
    return failure;
  }
  const second = bind(calls, fd, { index, channel });
  if (second === 0) {
    onTaken();
  }
  return second;
}

/** An adapter that is down takes no command. Without the permission to bring it up it may be up already: the first command tells. */
function bringUp(calls: Pick<Libc, "ioctlNumber">, fd: number, index: number): number {
  const error = calls.ioctlNumber(fd, HCIDEVUP, index);
  return error === ERRORS.EALREADY || error === ERRORS.EPERM ? 0 : error;
}

/** 0, or the number of the error. */
function bind(
  calls: Pick<Libc, "bind" | "setsockopt">,
  fd: number,
  { index, channel }: { readonly index: number; readonly channel: HciChannel },
): number {
  const address = new Uint8Array(6);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_BLUETOOTH, true);
  view.setUint16(2, index, true);
  view.setUint16(4, CHANNELS[channel], true);
  const bound = calls.bind(fd, address);
  if (bound !== 0 || channel === "user") {
    return bound;
  }
  // A raw socket shows nothing until it is asked to: all events, of all commands.
  const filter = new Uint8Array(16);
  filter.fill(0xff, 0, 12);
  return calls.setsockopt(fd, { level: SOL_HCI, name: HCI_FILTER }, filter);
}

/** What keeps the adapter from us, by the number of the error, and the command that changes it. */
export function hciRefusal(name: string, error: number, channel: HciChannel): TransientError {
  const text = (reason: string, help: string): TransientError =>
    new TransientError(`Cannot open Bluetooth adapter ${name}: ${reason}; ${help}`);
  switch (error) {
    case ERRORS.EPERM:
    case ERRORS.EACCES:
      return text("no permission", `run: setcap cap_net_raw,cap_net_admin+eip ${process.execPath}`);
    case ERRORS.EBUSY:
    case ERRORS.EUSERS:
      return text(
        "it is in use",
        `run: systemctl stop bluetooth; hciconfig ${name} down${channel === "raw" ? "" : " (connections need the adapter alone)"}`,
      );
    case ERRORS.ENODEV:
      return text(
        "there is no such adapter",
        "is it plugged in? `hciconfig -a` (package bluez) lists what is there",
      );
    case ERRORS.ENETDOWN:
      return text("it is down", `run: hciconfig ${name} up`);
    case ERRORS.EADDRNOTAVAIL:
      return text("it has no address", "run: btmgmt static-addr C0:11:22:33:44:55");
    case ERRORS.ERFKILL:
      return text("it is switched off", "run: rfkill unblock bluetooth");
    case ERRORS.EAFNOSUPPORT:
    case ERRORS.EPROTONOSUPPORT:
      return text(
        "this kernel has no Bluetooth",
        'run: modprobe bluetooth, or use an adapter such as "tcp:host:port" or "serial:/dev/ttyS1@115200"',
      );
    default:
      return text(`error ${error}`, "`dmesg` may say more");
  }
}

/** A descriptor that keeps the borders of packets: each write is one packet. */
export class DescriptorChannel implements ByteChannel {
  onData: (bytes: Uint8Array) => void = () => undefined;
  readonly #fd: number;
  readonly #name: string;
  readonly #reader: ByteReader;
  readonly #reading: Promise<void>;
  readonly #closed = Promise.withResolvers<TransientError>();
  #isOpen = true;

  constructor(fd: number, name: string) {
    this.#fd = fd;
    this.#name = name;
    this.#reader = Bun.file(fd).stream().getReader();
    this.#reading = this.#read();
  }

  get closed(): Promise<TransientError> {
    return this.#closed.promise;
  }

  /** A packet the kernel does not take is the end: it has room for far more than is ever on the way. */
  write(bytes: Uint8Array): void {
    if (!this.#isOpen) {
      return;
    }
    try {
      writeSync(this.#fd, bytes);
    } catch (error) {
      this.#fail(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOpen) {
      return;
    }
    this.#isOpen = false;
    await this.#reader.cancel().catch(() => undefined);
    await this.#reading;
    try {
      closeSync(this.#fd);
    } catch (error) {
      this.#closed.resolve(new TransientError(`Cannot close ${this.#name}`, { cause: error }));
    }
  }

  async #read(): Promise<void> {
    this.#fail(await readToEnd(this.#reader, (chunk) => this.onData(chunk)));
  }

  #fail(cause: unknown): void {
    if (!this.#isOpen) {
      return;
    }
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    // On the raw channel the first command tells.
    if (code === "EPERM" || code === "ENETDOWN") {
      this.#closed.resolve(hciRefusal(this.#name, ERRORS[code], "raw"));
      return;
    }
    const options = cause === undefined ? {} : { cause };
    this.#closed.resolve(new TransientError(`Bluetooth adapter ${this.#name} is gone`, options));
  }
}
