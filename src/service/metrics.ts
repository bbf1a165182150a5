/** Counters by name; a statistics report gives them on under these names. */
export type Counters = Readonly<Record<string, number>>;

/** Most names one connector may count under: a name made from data must not fill the memory. */
const MAX_NAMES = 200;
/** Takes what comes under one name too many. */
const OTHER = "other";

/** The counters of all connectors, from the start of the process; they only grow. */
export class ConnectorCounters {
  readonly #counters = new CounterTable();
  readonly #rejected = new CounterTable();

  /** Adds to one counter of a connector. */
  count(connectorId: string, name: string, by: number): void {
    this.#counters.count(connectorId, name, by);
  }

  /** Adds to what a connector could not use: messages or values, by reason. */
  countRejected(connectorId: string, reason: string, by: number): void {
    this.#rejected.count(connectorId, reason, by);
  }

  /** The counters of one connector at this moment; they go on counting, so copy what must stand still. */
  of(connectorId: string): Counters {
    return this.#counters.of(connectorId);
  }

  /** What a connector could not use, by reason; as `of`. */
  rejectedOf(connectorId: string): Counters {
    return this.#rejected.of(connectorId);
  }
}

/** Counters by owner and name. */
class CounterTable {
  readonly #rows = new Map<string, Record<string, number>>();

  count(owner: string, name: string, by: number): void {
    const counters = this.#row(owner);
    const before = counters[name];
    if (before !== undefined) {
      counters[name] = before + by; // Several times a message: it costs no more than this.
      return;
    }
    const key = Object.keys(counters).length < MAX_NAMES ? name : OTHER;
    counters[key] = (counters[key] ?? 0) + by;
  }

  of(owner: string): Counters {
    return this.#rows.get(owner) ?? {};
  }

  #row(owner: string): Record<string, number> {
    const known = this.#rows.get(owner);
    if (known !== undefined) {
      return known;
    }
    // Without a prototype: a name such as `constructor` is a counter like any other.
    const counters: Record<string, number> = Object.create(null);
    this.#rows.set(owner, counters);
    return counters;
  }
}
