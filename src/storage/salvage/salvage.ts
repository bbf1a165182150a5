import { readBatch } from "#sdk/batch";
import { DataError } from "#sdk/errors";
import { BlockState } from "../block-state.ts";
import { OLDEST_COUNTER } from "../oldest-counter.ts";
import { type Block, blockCrcOf, decodeBlock } from "../record.ts";
import type { SqliteTables } from "../sqlite-tables.ts";
import { PageView, withFile } from "./page-view.ts";
import { type SalvagedRow, salvageRows } from "./salvage-rows.ts";
import type { WalImage } from "./wal-image.ts";

/** Rows put into the target in one transaction. */
const BATCH_ROWS = 200;

/** Most bytes of blocks without a number that are kept until the numbers of all others are known. */
const MAX_LOOSE_BYTES = 16 * 1024 * 1024;

/** Most bitmaps kept until their blocks have been found. */
const MAX_PARTIALS = 100_000;

/** What to take out of a damaged file, and where to put it. */
export interface SalvageOrder {
  readonly path: string;
  /** The file's log as it was before anybody opened the file. */
  readonly wal: WalImage;
  readonly target: SqliteTables;
  /** Whether a block of that id is missing in the target. */
  wants(id: number): boolean;
  readonly withQuarantine: boolean;
}

/** What was found. Blocks are in the target already. */
export interface Salvaged {
  readonly blocks: number;
  /** One more than the highest id. */
  readonly nextBlock: number;
  readonly counters: ReadonlyMap<string, number>;
}

/**
 * Looks through all pages of a file without SQLite and puts every block that passes its CRC into the target, with what is known about
 * its parts. Reads the file once, or three times when its log is damaged; memory does not grow with it. @throws SqliteError of the target
 */
export function salvage(order: SalvageOrder): Salvaged {
  const { committed, ignored } = order.wal;
  const work = new Salvage(order);
  withFile(order.path, (file) => {
    work.scan(new PageView(file, [ignored, committed]), true);
    if (ignored.size > 0) {
      // A page that is damaged in one image may be whole in an older one.
      work.scan(new PageView(file, [committed]), false);
      work.scan(new PageView(file, []), false);
    }
  });
  return work.finish();
}

class Salvage {
  readonly #order: SalvageOrder;
  readonly #counters = new Map<string, number>();
  readonly #partials = new Map<number, Uint8Array>();
  readonly #quarantined = new Set<number>();
  readonly #inserted = new Set<number>();
  /** CRCs of blocks that have a number: the same block without one is an image of an earlier time. */
  readonly #known = new Set<number>();
  readonly #loose: { readonly block: Block; readonly data: Uint8Array }[] = [];
  #looseBytes = 0;
  #blocks = 0;
  #highest = 0;

  constructor(order: SalvageOrder) {
    this.#order = order;
  }

  /** `isNewest`: no other view is newer, so that what it says about counters and parts counts. */
  scan(view: PageView, isNewest: boolean): void {
    const rows = salvageRows(view);
    let more = true;
    while (more) {
      more = this.#order.target.database.transaction(() => this.#takeSome(rows, isNewest));
    }
  }

  finish(): Salvaged {
    const { target } = this.#order;
    const loose = this.#loose.filter(({ data }) => !this.#known.has(blockCrcOf(data)));
    const nextBlock = Math.max(this.#highest + 1, this.#counters.get("next-block") ?? 1);
    target.database.transaction(() => {
      this.#deleteOlder();
      for (const [id, done] of this.#partials) {
        applyPartial(target, id, done);
      }
      for (const [index, { block, data }] of loose.entries()) {
        const { time, records, values } = block;
        target.insertBlock({ id: nextBlock + index, time, records, values, data });
        this.#blocks += 1;
      }
    });
    return {
      blocks: this.#blocks,
      nextBlock: nextBlock + loose.length,
      counters: this.#counters,
    };
  }

  /** False when there is nothing left. */
  #takeSome(rows: Iterator<SalvagedRow>, isNewest: boolean): boolean {
    for (let count = 0; count < BATCH_ROWS; count += 1) {
      const next = rows.next();
      if (next.done === true) {
        return false;
      }
      this.#take(next.value, isNewest);
    }
    return true;
  }

  #take(row: SalvagedRow, isNewest: boolean): void {
    if (row.kind === "block") {
      this.#takeBlock(row, isNewest);
    } else if (row.kind === "quarantine") {
      if (this.#order.withQuarantine && !this.#quarantined.has(row.id)) {
        this.#quarantined.add(row.id);
        this.#order.target.quarantine.add(row.entry);
      }
    } else if (row.kind === "counter") {
      if (isNewest || !this.#counters.has(row.name)) {
        this.#counters.set(row.name, row.value);
      }
    } else if (isNewest && this.#partials.size < MAX_PARTIALS) {
      this.#partials.set(row.id, row.done);
    }
  }

  #takeBlock(row: Extract<SalvagedRow, { kind: "block" }>, isNewest: boolean): void {
    const { id, block, data } = row;
    const { target } = this.#order;
    if (id === undefined) {
      if (isNewest && this.#looseBytes + data.length <= MAX_LOOSE_BYTES) {
        this.#looseBytes += data.length;
        this.#loose.push({ block, data });
      }
      return;
    }
    this.#highest = Math.max(this.#highest, id);
    this.#known.add(blockCrcOf(data));
    if (!this.#order.wants(id) || target.readLeft(id) !== undefined) {
      return;
    }
    const { time, records, values } = block;
    target.insertBlock({ id, time, records, values, data });
    this.#inserted.add(id);
    this.#blocks += 1;
  }

  #deleteOlder(): void {
    const { target } = this.#order;
    const oldest = this.#counters.get(OLDEST_COUNTER) ?? 0;
    for (const id of this.#inserted) {
      if (id < oldest && oldest <= (this.#counters.get("next-block") ?? 0)) {
        target.deleteBlock(id);
        this.#blocks -= 1;
      }
    }
  }
}

/** Marks the records of a block that are done; a bitmap that does not fit the block is left alone. */
function applyPartial(target: SqliteTables, id: number, done: Uint8Array): void {
  const row = target.readBlock(id);
  if (
    row === undefined ||
    target.readBitmap(id) !== undefined ||
    done.length !== (row.records + 7) >> 3
  ) {
    return;
  }
  try {
    const state = new BlockState(id, readBatch(decodeBlock(row.data).text), done);
    if (state.records === 0) {
      target.deleteBlock(id);
    } else {
      target.savePartial(state, state.bitmap);
    }
  } catch (error) {
    if (!(error instanceof DataError)) {
      throw error;
    }
  }
}
