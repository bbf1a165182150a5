import type { LogRecord, LogSink } from "#sdk/logger";

/** Most lines that are kept. */
const MAX_LINES = 1000;

/** Keeps lines that are there before it is known where they go. */
export class HeldLines {
  #held: LogRecord[] = [];
  #sink: LogSink | undefined;

  /** Takes each line: keeps it, or hands it on once there is a place. */
  readonly sink: LogSink = (record) => {
    if (this.#sink !== undefined) {
      this.#sink(record);
    } else if (this.#held.length < MAX_LINES) {
      this.#held.push(record);
    }
  };

  /** Hands on what was kept, and from here on every line at once. */
  release(sink: LogSink): void {
    this.#sink = sink;
    for (const record of this.#held.splice(0)) {
      sink(record);
    }
  }
}
