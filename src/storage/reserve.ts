import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from "node:fs";

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
 */
export class Reserve {
  readonly #path: string;
  readonly #sizeBytes: number;
  #isSpent = false;

  /** `path`: the store's file; the reserve lies beside it. Nothing is written before `restore`. */
  constructor(path: string, sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
    this.#path = path.replace(/\.db$/, "") + ".reserve";
  }

  get isSpent(): boolean {
    return this.#isSpent;
  }

  /** Gives the space up. */
  spend(): void {
    this.#isSpent = true;
    rmSync(this.#path, { force: true });
  }

  /**
   * Whether a batch of so many bytes may be tried: the space was not given up or is there again, or the file itself has `freeBytes`
   * for it, and the log what it takes each time it is written back.
   */
  allows(bytes: number, freeBytes: number): boolean {
    return !this.#isSpent || this.restore() || freeBytes >= 2 * bytes + MIN_RESERVE_BYTES;
  }

  /** Takes the space again, unless it is there; false while the disk has none. */
  restore(): boolean {
    if (!this.#isThere()) {
      this.#isSpent = !this.#write();
    }
    return !this.#isSpent;
  }

  #isThere(): boolean {
    return statSync(this.#path, { throwIfNoEntry: false })?.size === this.#sizeBytes;
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
      rmSync(this.#path, { force: true });
      return false;
    }
  }
}
