/** A stream such as `process.stdout`: calls back when it has handed the text on. */
export interface TextStream {
  write(text: string, written?: () => void): unknown;
}

/** What may wait for a reader that does not read, such as a stopped terminal; more is dropped and counted. */
const MAX_WAITING_CHARS = 4 * 1024 * 1024;

/** Writes lines to a stream and keeps no more of them in memory than a limit, whatever the reader does. */
export class ConsoleWriter {
  readonly #stream: TextStream;
  #waiting = 0;
  #dropped = 0;
  #unsaid = 0;

  constructor(stream: TextStream) {
    this.#stream = stream;
  }

  /** Lines that were never written. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Writes a line, which has its line break. Never waits. */
  write(line: string): void {
    if (this.#waiting > 0 && this.#waiting + line.length > MAX_WAITING_CHARS) {
      this.#dropped += 1;
      this.#unsaid += 1;
      return;
    }
    const text =
      this.#unsaid === 0
        ? line
        : `--- ${this.#unsaid} lines are missing here: they were not read\n${line}`;
    this.#unsaid = 0;
    this.#waiting += text.length;
    this.#stream.write(text, () => {
      this.#waiting -= text.length;
    });
  }
}
