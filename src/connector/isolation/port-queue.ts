/** Messages on their way to a port: those of one turn of the event loop travel together, in their order. */
export class PortQueue<Message> {
  readonly #send: (messages: readonly Message[]) => void;
  #pending: Message[] = [];

  constructor(send: (messages: readonly Message[]) => void) {
    this.#send = send;
  }

  push(message: Message): void {
    this.#pending.push(message);
    if (this.#pending.length === 1) {
      queueMicrotask(() => this.flush());
    }
  }

  /** Sends what waits at once: before something that may not come back. */
  flush(): void {
    if (this.#pending.length > 0) {
      const messages = this.#pending;
      this.#pending = [];
      this.#send(messages);
    }
  }
}
