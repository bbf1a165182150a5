/** Whether the platform is reachable, for everybody who wants to know. */
export class PlatformLink {
  readonly #listeners = new Set<(connected: boolean) => void>();
  #connected = false;

  get connected(): boolean {
    return this.#connected;
  }

  /** Calls `listener` at every change until the result is disposed. */
  onChange(listener: (connected: boolean) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  update(connected: boolean): void {
    if (connected !== this.#connected) {
      this.#connected = connected;
      for (const listener of this.#listeners) {
        listener(connected);
      }
    }
  }
}
