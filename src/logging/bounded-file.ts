import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  write,
} from "node:fs";
import { dirname } from "node:path";
import type { TextStream } from "./console.ts";

/** A file is put aside as FILE.1 before it takes more than this; there are no others. */
const MAX_BYTES = 5 * 1024 * 1024;
/** What goes round the log, such as the report of a crash, is forgotten at a start when it is longer. */
const MAX_OUTPUT_BYTES = 1024 * 1024;

/**
 * A log file in the place of standard output, where nobody else keeps that small: this file and the one before, 5 MiB each. Writes do not
 * wait for the disk; lines that it refuses are on standard error.
 */
export class BoundedFile implements TextStream, AsyncDisposable {
  readonly #path: string;
  #fd: number;
  #sizeBytes: number;
  #writing: Promise<void> = Promise.resolve();

  /** @throws Error when the file cannot be opened */
  constructor(path: string) {
    this.#path = path;
    mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
    this.#fd = openSync(path, "a", 0o640);
    this.#sizeBytes = fstatSync(this.#fd).size;
  }

  write(text: string, written?: () => void): void {
    this.#writing = this.#writing.then(async () => {
      await this.#append(Buffer.from(text));
      written?.();
    });
  }

  /** Resolves when everything is written. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  /** Writes what waits and closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    closeSync(this.#fd);
  }

  async #append(bytes: Buffer): Promise<void> {
    try {
      if (this.#sizeBytes > 0 && this.#sizeBytes + bytes.length > MAX_BYTES) {
        this.#putAside();
      }
      await writeAll(this.#fd, bytes);
      this.#sizeBytes += bytes.length;
    } catch (error) {
      process.stderr.write(`${String(error)}: ${bytes.toString()}`);
    }
  }

  #putAside(): void {
    renameSync(this.#path, `${this.#path}.1`);
    closeSync(this.#fd);
    this.#fd = openSync(this.#path, "a", 0o640);
    this.#sizeBytes = fstatSync(this.#fd).size;
  }
}

async function writeAll(fd: number, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += await writeSome(fd, bytes.subarray(done));
  }
}

function writeSome(fd: number, bytes: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, (error, count) => (error === null ? resolve(count) : reject(error)));
  });
}

/** Empties standard output and standard error where they are files that have grown: a crash that comes again and again fills no disk. */
export function forgetOldOutput(): void {
  for (const fd of [1, 2]) {
    const found = fstatSync(fd);
    if (found.isFile() && found.size > MAX_OUTPUT_BYTES) {
      ftruncateSync(fd, 0);
    }
  }
}
