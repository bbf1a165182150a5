import { dlopen, FFIType, type Pointer, ptr, read } from "bun:ffi";

/** Names of the C library: glibc, then musl as Alpine names it on both processors. */
const LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1", "libc.so"];

/** Linux, socket(7). */
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

const SYMBOLS = {
  ioctl: { args: [FFIType.i32, FFIType.u64, FFIType.ptr], returns: FFIType.i32 },
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
  setsockopt: {
    args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.u32],
    returns: FFIType.i32,
  },
  sendto: {
    args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32],
    returns: FFIType.i64_fast,
  },
  __errno_location: { args: [], returns: FFIType.ptr },
} as const;

/** The few calls of the C library that the run time does not offer. */
export interface Libc {
  /** Returns 0, or the number of the error. `argument` is read and written by the kernel. */
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  /** The same for a request whose argument is a number. */
  ioctlNumber(fd: number, request: number, argument: number): number;
  /** Returns the descriptor, or the number of the error below zero. */
  socket(family: number, type: number, protocol: number): number;
  /** Returns 0, or the number of the error. */
  bind(fd: number, address: Uint8Array): number;
  /** Returns 0, or the number of the error. */
  setsockopt(
    fd: number,
    option: { readonly level: number; readonly name: number },
    value: Uint8Array,
  ): number;
  /** Sends a datagram. Returns 0, or the number of the error. */
  sendTo(fd: number, bytes: Uint8Array, address: Uint8Array): number;
}

let loaded: Libc | undefined;

/** The C library of this machine, loaded once. @throws Error when there is none under a known name */
export function libc(): Libc {
  loaded ??= load();
  return loaded;
}

function load(): Libc {
  let failure: unknown;
  for (const name of LIBRARIES) {
    try {
      const { symbols } = dlopen(name, SYMBOLS);
      /** 0 for a call that worked, else the number of its error. */
      const outcome = (result: number): number => {
        if (result >= 0) {
          return 0;
        }
        const place = symbols.__errno_location();
        return place === null ? -1 : read.i32(place, 0);
      };
      return {
        ioctl: (fd, request, argument) => outcome(symbols.ioctl(fd, request, ptr(argument))),
        ioctlNumber: (fd, request, argument) =>
          // Nothing is behind this "pointer": the kernel takes it for the number it is.
          // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
          outcome(symbols.ioctl(fd, request, argument as Pointer)),
        socket: (family, type, protocol) => {
          const fd = symbols.socket(family, type, protocol);
          return fd >= 0 ? fd : -outcome(fd);
        },
        bind: (fd, address) => outcome(symbols.bind(fd, ptr(address), address.length)),
        setsockopt: (fd, { level, name: option }, value) =>
          outcome(symbols.setsockopt(fd, level, option, ptr(value), value.length)),
        sendTo: (fd, bytes, address) => {
          const flags = MSG_NOSIGNAL | MSG_DONTWAIT;
          const [data, place] = [ptr(bytes), ptr(address)];
          return outcome(
            Number(symbols.sendto(fd, data, bytes.length, flags, place, address.length)),
          );
        },
      };
    } catch (error) {
      failure = error;
    }
  }
  throw new Error(`Cannot load the C library (${LIBRARIES.join(", ")})`, { cause: failure });
}
