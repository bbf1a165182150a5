import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { basename, join } from "node:path";

/** Where the kernel's device manager names serial adapters by maker and serial number. */
const BY_ID = "/dev/serial/by-id";
/** Adapters that are named in a text. */
const MAX_NAMED = 4;

/** Read and write for the group of a file. */
const GROUP_MAY = 0o060;

/** Why a device file may not be opened, and what to do about it. */
export function permissionAdvice(path: string): string {
  try {
    return adviceFor(statSync(path), readFileSync("/etc/group", "utf8"));
  } catch {
    return "no permission; is the user in the group of the device?";
  }
}

/** The same for a file with this group and mode, by the text of `/etc/group`. */
export function adviceFor(
  { gid, mode }: { readonly gid: number; readonly mode: number },
  groups: string,
): string {
  if ((mode & GROUP_MAY) !== GROUP_MAY) {
    return `no permission: its mode is ${(mode & 0o777).toString(8)}; a udev rule must give it a group that may read and write`;
  }
  const name = groups
    .split("\n")
    .map((line) => line.split(":"))
    .find((fields) => fields[2] === String(gid))?.[0];
  return `no permission; the user must be in its group, ${name ?? gid}`;
}

/** What to do about a serial port that is not there: `/dev/ttyUSB0` may have become `/dev/ttyUSB1` when it was plugged in again. */
export function missingAdvice(folder = BY_ID): string {
  const text = "there is no such device; is the adapter plugged in?";
  const present = adaptersIn(folder);
  return present.length === 0
    ? text
    : `${text} There are ${present.join(", ")}; the long name stays the same at any socket`;
}

function adaptersIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .slice(0, MAX_NAMED)
      .map((name) => `/dev/${basename(readlinkSync(join(folder, name)))} (${join(folder, name)})`);
  } catch {
    return []; // No adapter, or no device manager that names them.
  }
}
