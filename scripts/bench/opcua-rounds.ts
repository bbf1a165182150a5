/** What has arrived of the simulator's nodes, each of which counts up by one with every round. */
export class Rounds {
  count = 0;
  /** Rounds that are missing between two values of a node, and how many times some are. */
  lost = 0;
  gaps = 0;
  /** Values that do not come after the one before. */
  repeated = 0;
  readonly #last = new Map<string | number, number>();

  get nodes(): number {
    return this.#last.size;
  }

  take(node: string | number, value: number): void {
    const round = Math.floor(value);
    const last = this.#last.get(node);
    this.count += 1;
    if (last !== undefined && round <= last) {
      this.repeated += 1;
      return;
    }
    if (last !== undefined && round > last + 1) {
      this.lost += round - last - 1;
      this.gaps += 1;
    }
    this.#last.set(node, round);
  }

  /** Whether every node has said its value of a round. */
  areAt(round: number): boolean {
    return this.#last.values().every((last) => last >= round);
  }
}

/** What one side has lost: gaps that the server said itself, by the Overflow bit of the value after each, and others. */
export function lossOf({ lost, gaps }: Rounds | BareCounts, overflows: number): Loss {
  return {
    lost,
    gapsServerSaid: Math.min(gaps, overflows),
    gapsUnexplained: Math.max(0, gaps - overflows),
  };
}

/** See `lossOf`. */
export interface Loss {
  readonly lost: number;
  readonly gapsServerSaid: number;
  readonly gapsUnexplained: number;
}

/** What the bare client says about itself. */
export interface BareCounts {
  readonly count: number;
  readonly lost: number;
  readonly gaps: number;
  readonly overflows: number;
}
