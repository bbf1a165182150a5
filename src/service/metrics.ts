/** Counters by name; a statistics report gives them on under these names. */
export type Counters = Readonly<Record<string, number>>;

/** Most names one connector may count under: a name made from data must not fill the memory. */
const MAX_NAMES = 200;
/** Takes what comes under one name too many. */
const OTHER = "other";

/** The counters of all connectors, from the start of the process; they only grow. */
export class ConnectorCounters {
  readonly #counters = new Map<string, Record<string, number>>();

  /** Adds to one counter of a connector. */
  count(connectorId: string, name: string, by: number): void {
    const counters = this.#of(connectorId);
    const known = Object.hasOwn(counters, name);
    const key = known || Object.keys(counters).length < MAX_NAMES ? name : OTHER;
    counters[key] = (counters[key] ?? 0) + by;
  }

  /** The counters of one connector at this moment; they go on counting, so copy what must stand still. */
  of(connectorId: string): Counters {
    return this.#counters.get(connectorId) ?? {};
  }

  #of(connectorId: string): Record<string, number> {
    const known = this.#counters.get(connectorId);
    if (known !== undefined) {
      return known;
    }
    const counters: Record<string, number> = Object.create(null);
    this.#counters.set(connectorId, counters);
    return counters;
  }
}
