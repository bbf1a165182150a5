/** Longest message of a device; what is longer has lost its delimiter. */
const MAX_MESSAGE_BYTES = 65_536;

/** Cuts what a port receives into messages, each with the delimiter that ends it. */
export class SerialMessages {
  #buffer = Buffer.alloc(0);
  /** The rest of a message that was too long is still to come. */
  #isSkipping = false;

  /** Whether a message has begun and not ended. */
  get isInside(): boolean {
    return this.#buffer.length > 0 || this.#isSkipping;
  }

  push(chunk: Uint8Array): void {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
  }

  /** The next whole message; "too-long" once for one that is dropped; `undefined`: none yet. */
  next(delimiter: string): Uint8Array | "too-long" | undefined {
    const end = this.#buffer.indexOf(delimiter);
    if (end === -1) {
      return this.#buffer.length > MAX_MESSAGE_BYTES ? this.#skip(delimiter) : undefined;
    }
    const size = end + Buffer.byteLength(delimiter);
    const message = this.#buffer.subarray(0, size);
    this.#buffer = this.#buffer.subarray(size);
    if (this.#isSkipping) {
      this.#isSkipping = false;
      return this.next(delimiter);
    }
    return size > MAX_MESSAGE_BYTES ? "too-long" : message;
  }

  #skip(delimiter: string): "too-long" | undefined {
    // The delimiter may have begun already.
    this.#buffer = this.#buffer.subarray(this.#buffer.length - Buffer.byteLength(delimiter));
    const isFirst = !this.#isSkipping;
    this.#isSkipping = true;
    return isFirst ? "too-long" : undefined;
  }
}
