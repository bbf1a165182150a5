import * as v from "valibot";
import type { AdapterPlace } from "#platform/hci-socket";

const DEFAULT_BAUD = 115_200;

/** Reads `hci0`, `tcp:host:port` or `serial:/dev/x@baud`; `undefined` for anything else. */
export function adapterPlace(text: string): AdapterPlace | undefined {
  const device = /^hci(\d{1,3})$/.exec(text);
  if (device !== null) {
    return { kind: "device", index: Number(device[1]) };
  }
  const tcp = /^tcp:(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  if (tcp !== null) {
    const port = Number(tcp[3]);
    return port >= 1 && port <= 65_535
      ? { kind: "tcp", host: tcp[1] ?? tcp[2] ?? "", port }
      : undefined;
  }
  const serial = /^serial:(\/[^@]+)(?:@(\d{1,8}))?$/.exec(text);
  return serial === null
    ? undefined
    : { kind: "serial", path: serial[1] ?? "", baudRate: Number(serial[2] ?? DEFAULT_BAUD) };
}

/** `adapter` of a connector file. */
export const adapter = v.pipe(
  v.string(),
  v.check(
    (text) => adapterPlace(text) !== undefined,
    "is no adapter: need hci0, tcp:host:port or serial:/dev/ttyS1@115200",
  ),
);
