/** What can wait in a `DueHeap`, in one at a time. */
export interface Due {
  /** Monotonic milliseconds. Only the holder of the heap changes it, and never while the item is in it. */
  dueMs: number;
  /** Place in the heap, -1 outside. The heap's own. */
  heapIndex: number;
}

/** Items by due time, the earliest first. Each operation takes logarithmic time. */
export class DueHeap<T extends Due> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  get first(): T | undefined {
    return this.#items[0];
  }

  /** Does nothing for an item that is in the heap. */
  add(item: T): void {
    if (item.heapIndex >= 0) {
      return;
    }
    this.#items.push(item);
    this.#rise(item, this.#items.length - 1);
  }

  /** Does nothing for an item that is not in the heap. */
  remove(item: T): void {
    const index = item.heapIndex;
    if (index < 0) {
      return;
    }
    item.heapIndex = -1;
    const last = this.#items.pop();
    if (last === undefined || last === item) {
      return;
    }
    const parent = this.#items[(index - 1) >> 1];
    if (index > 0 && parent !== undefined && parent.dueMs > last.dueMs) {
      this.#rise(last, index);
    } else {
      this.#sink(last, index);
    }
  }

  /** Puts `item` at `from` or above, where its parent is not later. */
  #rise(item: T, from: number): void {
    let index = from;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.#items[parentIndex];
      if (parent === undefined || parent.dueMs <= item.dueMs) {
        break;
      }
      this.#place(parent, index);
      index = parentIndex;
    }
    this.#place(item, index);
  }

  /** Puts `item` at `from` or below, where no child is earlier. */
  #sink(item: T, from: number): void {
    let index = from;
    for (;;) {
      let childIndex = 2 * index + 1;
      let child = this.#items[childIndex];
      const right = this.#items[childIndex + 1];
      if (child !== undefined && right !== undefined && right.dueMs < child.dueMs) {
        child = right;
        childIndex += 1;
      }
      if (child === undefined || child.dueMs >= item.dueMs) {
        break;
      }
      this.#place(child, index);
      index = childIndex;
    }
    this.#place(item, index);
  }

  #place(item: T, index: number): void {
    this.#items[index] = item;
    item.heapIndex = index;
  }
}
