/** The entries used last, as many as fit into a number of bytes; the newest always stays. */
export class LruBytes<T> {
  readonly #maxBytes: number;
  readonly #entries = new Map<number, { readonly value: T; readonly bytes: number }>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get(id: number): T | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      return undefined;
    }
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    return entry.value;
  }

  set(id: number, value: T, bytes: number): void {
    this.delete(id);
    this.#entries.set(id, { value, bytes });
    this.#bytes += bytes;
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= this.#maxBytes || oldest === id) {
        break;
      }
      this.#bytes -= entry.bytes;
      this.#entries.delete(oldest);
    }
  }

  delete(id: number): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) {
      this.#bytes -= entry.bytes;
      this.#entries.delete(id);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }
}
