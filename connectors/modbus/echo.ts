/** Takes out of what a line brings the repetition of what was sent, as lines with two wires do it: it comes first, or not at all. */
export class EchoFilter {
  #expected = new Uint8Array(0);
  /** The beginning of what may be the echo. */
  #held = new Uint8Array(0);

  /** These bytes were sent. */
  expect(bytes: Uint8Array): void {
    this.#expected = Uint8Array.from(bytes);
    this.#held = new Uint8Array(0);
  }

  /** No echo is awaited any more. */
  clear(): void {
    this.expect(new Uint8Array(0));
  }

  /** What of `bytes` is no echo, and what was held back when it turns out to be none. */
  strip(bytes: Uint8Array): Uint8Array {
    const echo = this.#expected;
    if (echo.length === 0) {
      return bytes;
    }
    const joined = new Uint8Array(this.#held.length + bytes.length);
    joined.set(this.#held);
    joined.set(bytes, this.#held.length);
    const length = Math.min(echo.length, joined.length);
    const matches = echo.subarray(0, length).every((byte, index) => byte === joined[index]);
    if (matches && length < echo.length) {
      this.#held = joined;
      return joined.subarray(length);
    }
    this.clear();
    return matches ? joined.subarray(length) : joined;
  }
}
