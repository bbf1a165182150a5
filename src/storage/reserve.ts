import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { freeBytes } from "#platform/disk";

/** The log may be this big and must then find room in the file: with so much kept back it does, however full the disk is. */
const MAX_RESERVE_BYTES = 5 * 1024 * 1024;
const MIN_RESERVE_BYTES = 256 * 1024;
const RESERVE_SHARE = 10;

/** A log is written back when it has this share of the reserve. */
const LOG_SHARE = 0.8;

/** Size of the reserve of a store of `maxBytes`, in bytes. */
export function reserveBytes(maxBytes: number): number {
  const share = Math.floor(maxBytes / RESERVE_SHARE);
  return Math.max(MIN_RESERVE_BYTES, Math.min(MAX_RESERVE_BYTES, share));
}

/** Size at which the log of a store of `maxBytes` is written back, in bytes. */
export function logBytes(maxBytes: number): number {
  return Math.floor(reserveBytes(maxBytes) * LOG_SHARE);
}

/**
 * A file that does nothing but take space, which is given up when the disk is full: the log needs it to be
 * written back, releases need the log, and only releases can make a full disk empty again. While the space is given up only batches that fit into the file's own free pages are taken.
 * Never throws: a disk that does not answer is one without space.
 */
export class Reserve {
  readonly #path: string;
  readonly #sizeBytes: number;
  readonly #free: (folder: string) => number;
  #isSpent = false;

  /** `path`: the store's file; the reserve lies beside it. Nothing is written before `restore`. `free`: bytes that a disk has left. */
  constructor(path: string, sizeBytes: number, free: (folder: string) => number = freeBytes) {
    this.#sizeBytes = sizeBytes;
    this.#free = free;
    this.#path = path.replace(/\.db$/, "") + ".reserve";
  }

  get isSpent(): boolean {
    return this.#isSpent;
  }

  /** Gives the space up. */
  spend(): void {
    this.#isSpent = true;
    this.#remove();
  }

  /**
   * Whether a batch of so many bytes may be tried: the space was not given up or is there again, or the file itself has `roomBytes`
   * for it, and the log what it takes each time it is written back.
   */
  allows(bytes: number, roomBytes: number): boolean {
    return !this.#isSpent || this.restore() || roomBytes >= 2 * bytes + MIN_RESERVE_BYTES;
  }

  /** Takes the space again, unless it is there; false while the disk has none. */
  restore(): boolean {
    if (this.#heldBytes() !== this.#sizeBytes) {
      // Looked for first: it is asked for with each commit, and half of it would take the last space from others each time.
      this.#isSpent = !(this.#hasSpace() && this.#write());
    }
    return !this.#isSpent;
  }

  #heldBytes(): number {
    try {
      return statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0;
    } catch {
      return 0;
    }
  }

  #hasSpace(): boolean {
    try {
      return this.#free(dirname(this.#path)) + this.#heldBytes() >= this.#sizeBytes;
    } catch {
      return false;
    }
  }

  #remove(): void {
    try {
      rmSync(this.#path, { force: true });
    } catch {
      return; // The space is not given up then, and the commit that needs it fails again.
    }
  }

  #write(): boolean {
    try {
      const file = openSync(this.#path, "w", 0o600);
      try {
        let left = this.#sizeBytes;
        while (left > 0) {
          left -= writeSync(file, new Uint8Array(left));
        }
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      return true;
    } catch {
      // Half of it would be no help to anybody.
      this.#remove();
      return false;
    }
  }
}
