import { type DataPoint, ownText } from "./values.ts";

/** How much of a series is kept. */
export interface SeriesOptions {
  /** Newest points kept, undefined for all. 0 keeps only the latest value. */
  readonly retain: number | undefined;
}

/** The values of one key of one device, in the order they arrived. */
export class Series {
  readonly key: string;
  readonly #retain: number | undefined;
  #points: DataPoint[] = [];
  #latest: DataPoint | undefined;
  #count = 0;

  constructor(key: string, options: SeriesOptions) {
    this.key = ownText(key);
    this.#retain = options.retain;
  }

  /** Every value ever stored, repeats included, also those no longer kept. */
  get count(): number {
    return this.#count;
  }

  /** The value with the highest `ts`; of several with the same one the last that arrived. */
  get latest(): DataPoint | undefined {
    return this.#latest;
  }

  /** Stores a value. */
  add(point: DataPoint): void {
    this.#count += 1;
    if (this.#latest === undefined || point.ts >= this.#latest.ts) {
      this.#latest = point;
    }
    if (this.#retain === 0) {
      return;
    }
    this.#points.push(point);
    // Cutting only at twice the bound keeps the cost of an add constant on average.
    if (this.#retain !== undefined && this.#points.length >= this.#retain * 2) {
      this.#points = this.#points.slice(-this.#retain);
    }
  }

  /** The kept values in the order they arrived: a value sent twice stands here twice. */
  arrivals(): readonly DataPoint[] {
    return this.#retain === undefined ? this.#points.slice() : this.#points.slice(-this.#retain);
  }

  /** The kept values as the database has them: ordered by `ts`, one for each `ts`, the last one that arrived. */
  stored(): readonly DataPoint[] {
    const byTs = new Map<number, DataPoint>();
    for (const point of this.arrivals()) {
      byTs.set(point.ts, point);
    }
    return [...byTs.values()].sort((a, b) => a.ts - b.ts);
  }
}
