import { readFileSync, statSync } from "node:fs";

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
