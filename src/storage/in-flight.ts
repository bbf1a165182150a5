import { blockOf } from "./cursor.ts";
import type { StoredRecord } from "./event-store.ts";

/** So many blocks are remembered: more than what is sent and not acknowledged at one time. */
const MAX_BLOCKS = 4096;

/** Blocks of which records have been given out and not come back: they may be on their way to the platform. */
export class InFlight {
  readonly #blocks = new Set<number>();

  /** Records were given out. When too many blocks are, those given out first are forgotten. */
  delivered(records: readonly StoredRecord[]): void {
    let last = 0;
    for (const { cursor } of records) {
      const id = blockOf(cursor);
      if (id !== last) {
        last = id;
        this.#blocks.delete(id);
        this.#blocks.add(id);
      }
    }
    for (const id of this.#blocks) {
      if (this.#blocks.size <= MAX_BLOCKS) {
        return;
      }
      this.#blocks.delete(id);
    }
  }

  /** The block has left the store. */
  gone(id: number): void {
    this.#blocks.delete(id);
  }

  has(id: number): boolean {
    return this.#blocks.has(id);
  }
}
