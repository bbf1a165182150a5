import type { Status } from "./failures.ts";

/** Items of one subscription, as long as the server allows more subscriptions. */
const MAX_ITEMS = 5000;

/** The server has no room for more. */
const FULL = new Set(["BadTooManyMonitoredItems", "BadTooManySubscriptions", "BadOutOfMemory"]);

/** Whether a status means that the server has no room for more. */
export function isFull({ name }: Pick<Status, "name">): boolean {
  return FULL.has(name);
}

/** Something that holds so many items. */
interface Holder {
  readonly size: number;
}

/**
 * Which subscription takes the next items: one with fewer than 5,000, or than the server allows, else another one; once the server
 * allows no other, all of them alike.
 */
export class ItemRoom {
  #hasNone = false;
  #isCrowded = false;
  /** What the server has been found to allow. */
  #most = Number.POSITIVE_INFINITY;

  /** Nothing is known about the server: it has more room, or is another one. */
  clear(): void {
    this.#hasNone = false;
    this.#isCrowded = false;
    this.#most = Number.POSITIVE_INFINITY;
  }

  /** The server has allowed no other subscription. */
  noOther(): void {
    this.#isCrowded = true;
  }

  /** The server had no room for all of the items. */
  refused({ size }: Holder): void {
    this.#hasNone ||= size === 0;
    this.#most = Math.min(this.#most, size);
  }

  /** The one that takes the next items; `another` has to be opened first; `none`: the server takes no more. */
  of<T extends Holder>(holders: readonly T[]): T | "another" | "none" {
    const emptiest = holders.reduce<T | undefined>(
      (best, one) => (best === undefined || one.size < best.size ? one : best),
      undefined,
    );
    if (this.#hasNone) {
      return "none";
    }
    if (emptiest !== undefined && this.sizeOf(emptiest) > 0) {
      return emptiest;
    }
    return this.#isCrowded ? "none" : "another";
  }

  /** How many of the next items it takes at once. */
  sizeOf({ size }: Holder): number {
    return Math.min(
      MAX_ITEMS,
      (this.#isCrowded ? this.#most : Math.min(this.#most, MAX_ITEMS)) - size,
    );
  }
}
