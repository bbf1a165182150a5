import { createHash } from "node:crypto";
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  createReadStream,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
} from "node:fs";
import { copyFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";

/** The program and its neighbours: the one that comes and the one that was. */
export interface ProgramFiles {
  readonly target: string;
  /** Written and tried here, in the same folder, so that it can take its place in one step. */
  readonly next: string;
  /** Kept from the last change. */
  readonly previous: string;
  /** There while nobody has found the program well that was put in place. */
  readonly pending: string;
}

/** The files beside a program. */
export function programFiles(target: string): ProgramFiles {
  return {
    target,
    next: `${target}.next`,
    previous: `${target}.previous`,
    pending: `${target}.upgrading`,
  };
}

/** Whether this user may replace the program. */
export function canReplace({ target }: ProgramFiles): boolean {
  try {
    accessSync(dirname(target), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** SHA-256 of a file, in small hexadecimal digits. @throws Error when it cannot be read */
export async function sha256(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

/**
 * The checksum a file must have by the `SHA256SUMS` in its folder; `undefined` when there is none, or it does not name the file.
 */
export function listedChecksum(file: string): string | undefined {
  const list = join(dirname(file), "SHA256SUMS");
  if (!existsSync(list)) {
    return undefined;
  }
  for (const line of readFileSync(list, "utf8").split("\n")) {
    const [, sum, name] = /^([0-9a-f]{64}) [ *](.+?)\r?$/i.exec(line) ?? [];
    if (sum !== undefined && name !== undefined && basename(name) === basename(file)) {
      return sum.toLowerCase();
    }
  }
  return undefined;
}

/** Copies the program that comes to its place beside the present one, executable, on the disk. */
export async function stage(file: string, { next }: ProgramFiles): Promise<void> {
  rmSync(next, { force: true });
  await copyFile(file, next);
  settle(next);
}

/** Makes a program just written executable and puts it on the disk. */
export function settle(next: string): void {
  chmodSync(next, 0o755);
  syncPath(next);
}

/**
 * Puts the staged program in place and keeps the present one as the previous; `between` is called when only the second is done. A power cut
 * at any moment leaves a program that runs under the name: each step is one rename, and the name is never without a file.
 */
export function swap({ target, next, previous }: ProgramFiles, between: () => void): void {
  keep(target, previous);
  between();
  renameSync(next, target);
  syncPath(dirname(target));
}

/** Puts the previous program in place; it stays the previous too. @throws Error when there is none */
export function restore({ target, next, previous }: ProgramFiles): void {
  rmSync(next, { force: true });
  linkSync(previous, next);
  renameSync(next, target);
  syncPath(dirname(target));
}

/** Exchanges the program and the previous one. @throws Error when there is none */
export function exchange(files: ProgramFiles): void {
  const { target, next, previous } = files;
  const back = `${previous}.back`;
  rmSync(back, { force: true });
  linkSync(target, back);
  restore(files);
  renameSync(back, previous);
  rmSync(next, { force: true });
  syncPath(dirname(target));
}

/** Forgets a program that was staged. */
export function discard({ next }: ProgramFiles): void {
  rmSync(next, { force: true });
}

/** A second name for the present program, put in the place of an older one. */
function keep(target: string, previous: string): void {
  const fresh = `${previous}.new`;
  rmSync(fresh, { force: true });
  linkSync(target, fresh);
  renameSync(fresh, previous);
  // Renaming a name of the same file does nothing at all and leaves both (rename(2)).
  rmSync(fresh, { force: true });
}

/** Waits until a file or folder is on the disk. */
export function syncPath(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Processors by their number in an ELF header. */
const PROCESSORS: Readonly<Record<number, string>> = {
  0x03: "x86",
  0x28: "arm",
  0x3e: "x64",
  0xb7: "arm64",
};

/** In words what kind of file this is where it is no program of this machine; `undefined` where it may be one. */
export function foreignFormat(file: string): string | undefined {
  const head = Buffer.alloc(20);
  const fd = openSync(file, "r");
  try {
    readSync(fd, head, 0, head.length, 0);
  } finally {
    closeSync(fd);
  }
  if (head.toString("latin1", 0, 2) === "#!") {
    return undefined;
  }
  if (head.toString("latin1", 0, 4) !== "\u007fELF") {
    return "it is no program of Linux";
  }
  const number = head.readUInt16LE(18);
  const processor = PROCESSORS[number] ?? `number ${number}`;
  return processor === process.arch
    ? undefined
    : `it is for the processor ${processor}, and this machine has ${process.arch}`;
}
