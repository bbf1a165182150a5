/** Requests that carry many operations. */
export type Operation = "read" | "write" | "call" | "browse" | "translate" | "monitor";

/** Most operations of one request where the server states no limit. */
const OWN_LIMITS: Readonly<Record<Operation, number>> = {
  read: 1000,
  write: 200,
  call: 50,
  browse: 50,
  translate: 500,
  monitor: 1000,
};

/** How many operations one request may carry: what the server states, our own limit, and what it has refused. Never grows within a session. */
export class OperationLimits {
  readonly #limits: Record<Operation, number> = { ...OWN_LIMITS };

  /** A limit of the server; 0 or nothing states none. */
  state(operation: Operation, limit: unknown): void {
    if (typeof limit === "number" && limit > 0) {
      this.#limits[operation] = Math.max(1, Math.min(this.#limits[operation], Math.floor(limit)));
    }
  }

  of(operation: Operation): number {
    return this.#limits[operation];
  }

  /** A request of this size was too large. */
  shrink(operation: Operation, size: number): void {
    this.state(operation, Math.max(1, Math.floor(size / 2)));
  }
}

/** Cuts a list into parts of at most `size`. */
export function partsOf<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  const parts: (readonly T[])[] = [];
  for (let from = 0; from < items.length; from += size) {
    parts.push(items.slice(from, from + size));
  }
  return parts;
}
