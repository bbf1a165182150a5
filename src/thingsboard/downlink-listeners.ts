/** Takes a message of the platform; what it gives decides over the PUBACK, as in `LinkListener.message`. */
export type DownlinkListener = (
  topic: string,
  payload: Uint8Array,
) => Promise<boolean> | undefined | void;

/** Most messages that wait for the first listener; more are acknowledged and nobody gets them. */
const MAX_EARLY = 1000;

interface Early {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly taken: PromiseWithResolvers<boolean>;
}

/** Who gets the messages of the platform. */
export class DownlinkListeners {
  readonly #listeners = new Set<DownlinkListener>();
  /** What came before anybody listened: the session is on trial. Should it never deliver, the platform keeps what has no PUBACK. */
  readonly #early: Early[] = [];

  /** The first listener gets what came before it. */
  add(listener: DownlinkListener): Disposable {
    this.#listeners.add(listener);
    for (const { topic, payload, taken } of this.#early.splice(0)) {
      taken.resolve(listener(topic, payload) ?? true);
    }
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** Hands a message to everybody; the last one decides. */
  receive(topic: string, payload: Uint8Array): Promise<boolean> | undefined {
    if (this.#listeners.size === 0 && this.#early.length < MAX_EARLY) {
      const taken = Promise.withResolvers<boolean>();
      this.#early.push({ topic, payload, taken });
      return taken.promise;
    }
    let taken: Promise<boolean> | undefined;
    for (const listener of this.#listeners) {
      taken = listener(topic, payload) ?? taken;
    }
    return taken;
  }
}
