import type { Logger } from "#sdk/logger";

/** Takes one message; `match` is the match of a pattern, `undefined` for a topic by name. */
export type DownlinkHandler = (payload: string, match: RegExpMatchArray | undefined) => void;

/** Messages of the platform, dispatched by topic: the one place where they arrive in the collection thread. */
export class Downlinks {
  readonly #log: Logger;
  readonly #byTopic = new Map<string, Set<DownlinkHandler>>();
  readonly #byPattern = new Set<{ readonly pattern: RegExp; readonly handler: DownlinkHandler }>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * Calls `handler` for every message of a topic, or of all topics that match a pattern, until the result is disposed. A handler
   * must not wait: it hands over to a queue of its own. What it throws is logged and reaches nobody else.
   */
  on(topic: string | RegExp, handler: DownlinkHandler): Disposable {
    if (typeof topic !== "string") {
      const entry = { pattern: topic, handler };
      this.#byPattern.add(entry);
      return { [Symbol.dispose]: () => this.#byPattern.delete(entry) };
    }
    const handlers = this.#byTopic.get(topic) ?? new Set();
    this.#byTopic.set(topic, handlers);
    handlers.add(handler);
    return { [Symbol.dispose]: () => handlers.delete(handler) };
  }

  /** Hands a message to everybody who asked for its topic; one that nobody asked for is left alone. */
  receive(topic: string, payload: string): void {
    for (const handler of this.#byTopic.get(topic) ?? []) {
      this.#call(topic, () => handler(payload, undefined));
    }
    for (const { pattern, handler } of this.#byPattern) {
      const match = topic.match(pattern);
      if (match !== null) {
        this.#call(topic, () => handler(payload, match));
      }
    }
  }

  #call(topic: string, handler: () => void): void {
    try {
      handler();
    } catch (error) {
      this.#log.error("Cannot handle a message of the platform", { topic, error });
    }
  }
}
