/** Up to this many keys are looked up one by one. */
const MAX_LISTED = 32;

/**
 * Things by their key, in the order they were added. Up to 32 stand in an array, which needs a third of the memory of a Map; as
 * a device says its keys in the same order each time, the one after the last is looked at first. More of them are in a Map.
 */
export class KeyList<T extends { readonly key: string }> {
  #items: T[] | Map<string, T> = [];
  #nextIndex = 0;

  get size(): number {
    return Array.isArray(this.#items) ? this.#items.length : this.#items.size;
  }

  get(key: string): T | undefined {
    if (!Array.isArray(this.#items)) {
      return this.#items.get(key);
    }
    const expected = this.#items[this.#nextIndex];
    if (expected?.key === key) {
      this.#nextIndex += 1;
      return expected;
    }
    for (let index = 0; index < this.#items.length; index += 1) {
      const item = this.#items[index];
      if (item?.key === key) {
        this.#nextIndex = index + 1;
        return item;
      }
    }
    return undefined;
  }

  /** The caller has seen that the key is not there. */
  add(item: T): void {
    if (!Array.isArray(this.#items)) {
      this.#items.set(item.key, item);
      return;
    }
    this.#items.push(item);
    this.#nextIndex = this.#items.length;
    if (this.#items.length > MAX_LISTED) {
      this.#items = new Map(this.#items.map((one) => [one.key, one]));
    }
  }

  delete(key: string): void {
    if (!Array.isArray(this.#items)) {
      this.#items.delete(key);
      return;
    }
    const index = this.#items.findIndex((item) => item.key === key);
    if (index >= 0) {
      this.#items.splice(index, 1);
    }
  }

  /** In the order they were added. What is deleted meanwhile may still come. */
  values(): Iterable<T> {
    return Array.isArray(this.#items) ? [...this.#items] : this.#items.values();
  }
}
