import type { Clock } from "#sdk/clock";
import type { Ledger } from "#sdk/ledger";
import type { EventStore } from "../storage/event-store.ts";
import type { Rates } from "./port.ts";

/** Rates are taken over this long. */
const WINDOW_MS = 60_000;
/** The curve of the counts has one point in this long, at most. */
const STEP_MS = 1000;

/** What the counts were at one moment, just before something happened. */
interface Point extends Rates {
  readonly atMs: number;
}

/**
 * How many values a second went in and out over the last minute. It is told right before something happens, not now and then:
 * a gateway that has nothing to do keeps no timer for it.
 */
export class Throughput {
  readonly #startedMs: number;
  readonly #points: Point[] = [];

  /** `nowMs` of the monotonic clock, as everywhere here. */
  constructor(nowMs: number) {
    this.#startedMs = nowMs;
  }

  /** To be called before the counts may change. `counts` is asked for once a second at most. */
  before(nowMs: number, counts: () => Rates): void {
    const last = this.#points.at(-1);
    if (last !== undefined && nowMs - last.atMs < STEP_MS) {
      return;
    }
    const { received, stored, acknowledged } = counts();
    this.#points.push({ atMs: nowMs, received, stored, acknowledged });
    while ((this.#points[0]?.atMs ?? nowMs) < nowMs - WINDOW_MS) {
      this.#points.shift();
    }
  }

  /** The rates at this moment, when the counts are `counts`. */
  rates(nowMs: number, counts: Rates): Rates {
    // Nothing happened between the begin of the window and the first point in it: the counts were what it says.
    const first = this.#points.find(({ atMs }) => atMs >= nowMs - WINDOW_MS) ?? counts;
    const seconds = Math.min(WINDOW_MS, Math.max(STEP_MS, nowMs - this.#startedMs)) / 1000;
    const perSecond = (key: keyof Rates): number =>
      Math.round((Math.max(0, counts[key] - first[key]) / seconds) * 100) / 100;
    return {
      received: perSecond("received"),
      stored: perSecond("stored"),
      acknowledged: perSecond("acknowledged"),
    };
  }
}

/** A store with a meter before it. It owns the store. */
export class MeteredStore implements EventStore {
  readonly #store: EventStore;
  readonly #clock: Clock;
  readonly #throughput: Throughput;
  #recordsRead = 0;

  constructor(store: EventStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#throughput = new Throughput(clock.monotonicMs());
  }

  /** Records that `next` has given, those read again included. */
  get recordsRead(): number {
    return this.#recordsRead;
  }

  rates(): Rates {
    return this.#throughput.rates(this.#clock.monotonicMs(), this.#ledger());
  }

  append: EventStore["append"] = (batch, count, options, signal) => {
    this.#note();
    return this.#store.append(batch, count, options, signal);
  };

  next: EventStore["next"] = async (after, limit, signal) => {
    const found = await this.#store.next(after, limit, signal);
    this.#recordsRead += found.records.length;
    return found;
  };

  release: EventStore["release"] = (cursors) => {
    this.#note();
    return this.#store.release(cursors);
  };

  quarantine: EventStore["quarantine"] = (cursor, reason) => this.#store.quarantine(cursor, reason);

  stats: EventStore["stats"] = () => this.#store.stats();

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }

  #note(): void {
    this.#throughput.before(this.#clock.monotonicMs(), () => this.#ledger());
  }

  #ledger(): Ledger {
    return this.#store.stats().ledger;
  }
}
