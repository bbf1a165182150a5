import type { EncodedRecord } from "#sdk/batch";
import { blockOf, indexOf, makeCursor } from "./cursor.ts";
import type { Cursor, StoredRecord } from "./event-store.ts";

/** How a record left its block. */
export type Outcome = "acknowledged" | "quarantined" | "dropped";

/** Which records of a block are done, and what that means for the account at the next commit. */
export class BlockState {
  readonly id: number;
  readonly #valueCounts: Uint32Array;
  readonly #done: Uint8Array;
  /** Records and values that are not done. */
  records = 0;
  values = 0;
  /** Values by outcome, and records, that are done since `settle`. */
  #pending = { records: 0, acknowledged: 0, quarantined: 0, dropped: 0 };
  #isGone = false;

  /** `done` is a bitmap of `records`, as `bitmap` returns it; too short a one is filled with zeros. */
  constructor(
    id: number,
    records: readonly { readonly values: number }[],
    done: Uint8Array | undefined,
  ) {
    this.id = id;
    this.#valueCounts = Uint32Array.from(records, (record) => record.values);
    this.#done = new Uint8Array((records.length + 7) >> 3);
    this.#done.set((done ?? new Uint8Array()).subarray(0, this.#done.length));
    for (const [index, values] of this.#valueCounts.entries()) {
      if (!this.isDone(index)) {
        this.records += 1;
        this.values += values;
      }
    }
  }

  /** Records in the block, done or not. */
  get size(): number {
    return this.#valueCounts.length;
  }

  get isDirty(): boolean {
    return this.#pending.records > 0;
  }

  get pending(): Readonly<Record<Outcome | "records", number>> {
    return this.#pending;
  }

  /** Bit `i & 7` of byte `i >> 3` is set when record `i` is done. Not to be changed. */
  get bitmap(): Uint8Array {
    return this.#done;
  }

  isDone(index: number): boolean {
    return ((this.#done[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }

  /** Marks a record as done. False when there is none of that index, it is done already, or the block is gone. */
  finish(index: number, outcome: Outcome): boolean {
    const values = this.#valueCounts[index];
    if (values === undefined || this.#isGone || this.isDone(index)) {
      return false;
    }
    this.#done[index >> 3] = (this.#done[index >> 3] ?? 0) | (1 << (index & 7));
    this.records -= 1;
    this.values -= values;
    this.#pending.records += 1;
    this.#pending[outcome] += values;
    return true;
  }

  /** What was pending is accounted for. */
  settle(): void {
    this.#pending = { records: 0, acknowledged: 0, quarantined: 0, dropped: 0 };
  }

  /** The block has left the store: nothing of it can be finished any more. */
  markGone(): void {
    this.#isGone = true;
    this.settle();
  }
}

/** A block ready to be read from. */
export interface OpenBlock {
  readonly state: BlockState;
  readonly records: readonly EncodedRecord[];
}

/** Collects records until a limit of number or text is reached; the first one always fits. */
export class Selection {
  readonly records: StoredRecord[] = [];
  readonly #limit: { readonly records: number; readonly bytes: number };
  #bytes = 0;
  #isFull = false;

  constructor(limit: { readonly records: number; readonly bytes: number }) {
    this.#limit = limit;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** Takes the records of `block` from `index` on that are not done. */
  take(block: OpenBlock, index: number): void {
    const { state, records } = block;
    for (let at = index; at < records.length; at += 1) {
      const record = records[at];
      if (record === undefined || state.isDone(at)) {
        continue;
      }
      if (this.records.length > 0 && this.#bytes + record.json.length > this.#limit.bytes) {
        this.#isFull = true;
        return;
      }
      this.records.push({
        cursor: makeCursor(state.id, at),
        device: record.device,
        deviceType: record.deviceType,
        kind: record.kind,
        json: record.json,
        values: record.values,
      });
      this.#bytes += record.json.length;
      if (this.records.length >= this.#limit.records || this.#bytes >= this.#limit.bytes) {
        this.#isFull = true;
        return;
      }
    }
  }
}

/** Collects records from `after` on until the limit is reached or there are no more. `open` returns `undefined` for a block that cannot be read. */
export function select(
  after: Cursor,
  limit: { readonly records: number; readonly bytes: number },
  blocks: {
    open(id: number): OpenBlock | undefined;
    nextId(id: number): number | undefined;
  },
): readonly StoredRecord[] {
  const selection = new Selection(limit);
  let id: number | undefined = blockOf(after);
  const started = id === 0 ? undefined : blocks.open(id);
  if (started !== undefined) {
    selection.take(started, indexOf(after) + 1);
  }
  while (!selection.isFull) {
    id = blocks.nextId(id);
    if (id === undefined) {
      break;
    }
    const block = blocks.open(id);
    if (block !== undefined) {
      selection.take(block, 0);
    }
  }
  return selection.records;
}
