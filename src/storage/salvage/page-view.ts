import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { PAGE_BYTES } from "../sqlite-tables.ts";

/** So many pages are read in one go. */
const READ_PAGES = 1024;

/** Pages of a database file by number, from 1 on, some of them replaced by newer images from its log. */
export class PageView {
  /** Highest number of a page. */
  readonly count: number;
  readonly #file: number;
  readonly #filePages: number;
  readonly #overlays: readonly ReadonlyMap<number, Uint8Array>[];
  readonly #buffer = Buffer.alloc(READ_PAGES * PAGE_BYTES);
  #bufferFirst = 0;

  /** `overlays`: images that go before the file's, the newest map first. `file` stays the caller's. */
  constructor(file: number, overlays: readonly ReadonlyMap<number, Uint8Array>[]) {
    this.#file = file;
    this.#overlays = overlays;
    this.#filePages = Math.ceil(fstatSync(file).size / PAGE_BYTES);
    let count = this.#filePages;
    // Each image adds a page at most: a damaged number must not make the scan endless.
    const most = overlays.reduce((sum, overlay) => sum + overlay.size, this.#filePages);
    for (const number of overlays.flatMap((overlay) => [...overlay.keys()])) {
      count = Math.max(count, Math.min(number, most));
    }
    this.count = count;
  }

  /** The page, not to be changed; short or missing bytes are zeros. `undefined` when there is no page of that number. */
  page(number: number): Uint8Array | undefined {
    for (const overlay of this.#overlays) {
      const image = overlay.get(number);
      if (image !== undefined) {
        return image;
      }
    }
    if (number < 1 || number > this.#filePages) {
      return undefined;
    }
    const page = Buffer.alloc(PAGE_BYTES);
    const index = number - this.#bufferFirst;
    if (this.#bufferFirst > 0 && index >= 0 && index < READ_PAGES) {
      this.#buffer.copy(page, 0, index * PAGE_BYTES, (index + 1) * PAGE_BYTES);
    } else {
      readSync(this.#file, page, 0, PAGE_BYTES, (number - 1) * PAGE_BYTES);
    }
    return page;
  }

  /** Reads ahead when the scan has come to the end of what was read. */
  advance(number: number): void {
    if (number > this.#filePages) {
      return;
    }
    if (this.#bufferFirst === 0 || number >= this.#bufferFirst + READ_PAGES) {
      this.#buffer.fill(0);
      readSync(this.#file, this.#buffer, 0, this.#buffer.length, (number - 1) * PAGE_BYTES);
      this.#bufferFirst = number;
    }
  }
}

/** Opens `path` for reading and passes it to `body`; closes it afterwards. */
export function withFile<T>(path: string, body: (file: number) => T): T {
  const file = openSync(path, "r");
  try {
    return body(file);
  } finally {
    closeSync(file);
  }
}
