import { existsSync, statfsSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** What the event store takes of a disk when nobody says how much: this, but no more than `FREE_SPACE_SHARE` of what is free. */
export const DEFAULT_QUOTA_BYTES = 1024 ** 3;

/** Part of the free space that a quota may promise. */
export const FREE_SPACE_SHARE = 0.8;

/** Free bytes of the disk that a folder is on, or will be on. @throws Error of the file system */
export function freeBytes(folder: string): number {
  let place = resolve(folder);
  while (!existsSync(place) && dirname(place) !== place) {
    place = dirname(place);
  }
  const { bavail, bsize } = statfsSync(place);
  return bavail * bsize;
}
