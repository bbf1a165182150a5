import type { Clock } from "#sdk/clock";
import type { Cursor, EventStore } from "../storage/event-store.ts";
import type { Backlog } from "./backlog.ts";
import type { Session } from "./session.ts";

/** The backlog is asked for room again after this long when a record that cannot be sent takes it all. */
const RELIEF_MS = 1000;

/** What a reader needs. */
export interface ReaderHost {
  readonly store: EventStore;
  readonly session: Session;
  readonly clock: Clock;
  readonly backlog: Backlog;
  /** A record that can never be sent, by its form alone. */
  readonly unsendable: (cursor: Cursor, reason: string) => void;
  /** Records have come in. */
  readonly arrived: () => void;
}

/** Reads ahead of the platform's acknowledgements, as long as the backlog has room. */
export class Reader {
  readonly #host: ReaderHost;
  #roomWaiter: (() => void) | undefined;
  #rewound: (() => void) | undefined;

  constructor(host: ReaderHost) {
    this.#host = host;
  }

  /** The backlog has changed: a device that was let go may be read again, or there is room. */
  changed(): void {
    const { backlog } = this.#host;
    if (backlog.rewind()) {
      this.#rewound?.();
    }
    if (backlog.room !== undefined) {
      this.#roomWaiter?.();
    }
  }

  /**
   * Reads until `signal` aborts; rejects with its reason. Calls `healthy` after the first read. @throws TransientError when the
   * store does.
   */
  async run(signal: AbortSignal, healthy: () => void): Promise<never> {
    const { arrived, backlog, store, unsendable } = this.#host;
    for (let reads = 0; ; ) {
      const room = await this.#room(signal);
      const stop = new AbortController();
      let rewound = false;
      this.#rewound = () => {
        rewound = true;
        stop.abort();
      };
      try {
        const reading = AbortSignal.any([signal, stop.signal]);
        const { records, last } = await store.next(backlog.position, room, reading);
        reads += 1;
        if (reads === 1) {
          healthy();
        }
        if (!rewound) {
          for (const { cursor, reason } of backlog.take(records, last)) {
            unsendable(cursor, reason);
          }
          arrived();
        }
      } catch (error) {
        signal.throwIfAborted();
        if (!rewound) {
          throw error;
        }
      } finally {
        this.#rewound = undefined;
      }
    }
  }

  /** Resolves when the backlog has room. Devices that cannot be sent to make way when it has none. */
  async #room(signal: AbortSignal): Promise<{ readonly records: number; readonly bytes: number }> {
    const { backlog, clock, session } = this.#host;
    for (;;) {
      signal.throwIfAborted();
      const { room } = backlog;
      if (room !== undefined) {
        return room;
      }
      if (session.isOpen && backlog.relieve()) {
        continue;
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      const wake = (): void => resolve();
      this.#roomWaiter = wake;
      using _timer = clock.timer(RELIEF_MS, wake);
      signal.addEventListener("abort", wake, { once: true });
      await promise;
      this.#roomWaiter = undefined;
      signal.removeEventListener("abort", wake);
    }
  }
}
