import { readdirSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { compareRotated, isRotated } from "./rotation.ts";

/** A log file together with what was put aside from it. */
export interface LogFamily {
  /** Absolute path of the file that is written to. */
  readonly path: string;
  /** Its size in bytes. */
  readonly sizeBytes: number;
}

/** Total of all log files without a setting: 200 MiB. */
export const DEFAULT_TOTAL_BYTES = 200 * 1024 * 1024;

/** However small the budget is, a file may have this much. */
const MIN_FILE_BYTES = 64 * 1024;

interface Rotated {
  readonly path: string;
  readonly name: string;
  readonly sizeBytes: number;
}

/**
 * The bytes that all log files together may take. Half of them are for the files that are written to, each with an equal
 * share; what was put aside is removed, oldest first, when the sum is more. Other files are never touched.
 */
export class LogBudget {
  readonly #maxTotalBytes: number;
  readonly #families = new Set<LogFamily>();

  constructor(maxTotalBytes: number) {
    this.#maxTotalBytes = maxTotalBytes;
  }

  /** Counts a file, until the result is disposed. */
  add(family: LogFamily): Disposable {
    this.#families.add(family);
    return { [Symbol.dispose]: () => this.#families.delete(family) };
  }

  /** Size at which a file has to be put aside, whatever its own settings say. */
  get fileBytes(): number {
    const share = Math.floor(this.#maxTotalBytes / 2 / Math.max(1, this.#families.size));
    return Math.max(MIN_FILE_BYTES, share);
  }

  /** Removes what `family` has more than `keep` files put aside (0: any number), and then what is over the total. Returns how many. */
  trim(family: LogFamily, keep: number): number {
    const own = rotatedOf(family);
    const surplus = keep === 0 ? [] : own.slice(0, Math.max(0, own.length - keep));
    let removed = surplus.filter(remove).length;
    let total = 0;
    const all: Rotated[] = [];
    for (const one of this.#families) {
      total += one.sizeBytes;
      all.push(...rotatedOf(one));
    }
    total = all.reduce((sum, { sizeBytes }) => sum + sizeBytes, total);
    for (const oldest of all.sort((left, right) => compareRotated(left.name, right.name))) {
      if (total <= this.#maxTotalBytes) {
        break;
      }
      if (remove(oldest)) {
        removed += 1;
        total -= oldest.sizeBytes;
      }
    }
    return removed;
  }
}

/** What was put aside from a file, oldest first. */
function rotatedOf({ path }: LogFamily): readonly Rotated[] {
  const folder = dirname(path);
  const base = basename(path);
  let names: readonly string[];
  try {
    names = readdirSync(folder);
  } catch {
    return []; // Not there, or not to be read: then nothing can be removed either.
  }
  return names
    .filter((name) => isRotated(base, name))
    .sort(compareRotated)
    .map((name) => ({ path: join(folder, name), name, sizeBytes: sizeOf(join(folder, name)) }));
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function remove({ path }: Rotated): boolean {
  try {
    rmSync(path, { force: true });
    return true;
  } catch {
    return false; // It stays; the next rotation tries again.
  }
}
