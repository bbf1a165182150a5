import type { EventStore, StorageSettings } from "../storage/event-store.ts";

/** Closes a store that nobody uses and opens it with other settings, everything that waits included (`storage/reopen.ts`). */
export type Reopen = (
  store: EventStore,
  change: { readonly from: StorageSettings; readonly to: StorageSettings },
  signal: AbortSignal,
) => Promise<{ readonly store: EventStore; readonly error: Error | undefined }>;

/** A store whose settings can change while sources go on appending. It owns the store of the moment. */
export class ChangeableStore implements EventStore {
  readonly #reopen: Reopen;
  #store: EventStore;
  #settings: StorageSettings;
  #closed: Promise<unknown> | undefined;

  constructor(store: EventStore, settings: StorageSettings, reopen: Reopen) {
    this.#store = store;
    this.#settings = settings;
    this.#reopen = reopen;
  }

  /**
   * Changes the settings; what waits goes along. Nobody may read, release or quarantine meanwhile; appends wait in their order.
   * Positions start anew. @throws TransientError when the settings cannot be used: the ones before are in force
   */
  async change(settings: StorageSettings, signal: AbortSignal): Promise<void> {
    const change = { from: this.#settings, to: settings };
    const reopening = this.#reopen(this.#store, change, signal);
    this.#closed = reopening.catch(() => undefined); // It is thrown below.
    try {
      const { store, error } = await reopening;
      this.#store = store;
      if (error !== undefined) {
        throw error;
      }
      this.#settings = settings;
    } finally {
      this.#closed = undefined;
    }
  }

  append: EventStore["append"] = async (batch, count, options, signal) => {
    await this.#closed;
    const store = this.#store;
    try {
      await store.append(batch, count, options, signal);
    } catch (error) {
      if (this.#closed === undefined && this.#store === store) {
        throw error;
      }
      // It waited for room, or for its commit, when the store was closed.
      await this.append(batch, count, options, signal);
    }
  };

  next: EventStore["next"] = (after, limit, signal) => this.#store.next(after, limit, signal);

  release: EventStore["release"] = (cursors) => this.#store.release(cursors);

  quarantine: EventStore["quarantine"] = (cursor, reason) => this.#store.quarantine(cursor, reason);

  stats: EventStore["stats"] = () => this.#store.stats();

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#closed;
    await this.#store[Symbol.asyncDispose]();
  }
}
