import { closeSync } from "node:fs";
import { TransientError } from "#sdk/errors";
import { libc } from "./libc.ts";

/** Linux, socket(2) and unix(7). */
const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0x8_0000;
/** Longest path of a socket, in bytes. */
const MAX_PATH = 107;

/**
 * Sends one datagram to a Unix socket: `/path`, or `@name` for one without a file. Never waits.
 * @throws TransientError when nobody listens there
 */
export function sendDatagram(place: string, text: string): void {
  const path = Buffer.from(place);
  if (path.length > MAX_PATH || !/^[/@]/.test(place)) {
    throw new TransientError(`Cannot send to "${place}": need /path or @name`);
  }
  const address = Buffer.alloc(2 + path.length);
  address.writeUInt16LE(AF_UNIX, 0);
  path.copy(address, 2);
  if (place.startsWith("@")) {
    address[2] = 0; // unix(7): the name of an abstract socket begins with a zero byte.
  }
  const fd = libc().socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  const failed = fd < 0 ? -fd : libc().sendTo(fd, Buffer.from(text), address);
  if (fd >= 0) {
    closeSync(fd);
  }
  if (failed !== 0) {
    throw new TransientError(`Cannot send to "${place}": error ${failed} of the system`);
  }
}
