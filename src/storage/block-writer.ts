import type { Account } from "./account.ts";
import type { BatchPiece } from "./batch-scan.ts";
import { MAX_BLOCK_BYTES } from "./intake.ts";
import { OLDEST_COUNTER } from "./oldest-counter.ts";
import { encodeBlock, MAX_BLOCK_RECORDS } from "./record.ts";
import type { BlockSummary, SqliteTables } from "./sqlite-tables.ts";
import type { BatchToStore, WritePlan } from "./write-plan.ts";

/** Most blocks one commit drops for one reason: a smaller quota must not stop the thread for seconds. */
const MAX_DROPS = 1000;

/** What a commit must know besides the plan. */
export interface WriteContext {
  readonly tables: SqliteTables;
  /** Epoch milliseconds. */
  readonly nowMs: number;
  /** Whether a block stored at `time` (epoch ms) is too old to be kept. */
  isExpired(time: number): boolean;
  /** Most bytes of records in quarantine. */
  readonly quarantineBytes: number;
  /** Whether records of the block may be on their way to the platform: such a block is dropped only when there is no other. */
  isInFlight(id: number): boolean;
  /** Drop the oldest blocks until the pages in use fit; `undefined`: drop nothing. */
  readonly evictAboveBytes: number | undefined;
  /** Counters by name as they are on disk. */
  readonly saved: ReadonlyMap<string, number>;
}

/** What a commit changed, for memory to follow. */
export interface WriteResult {
  readonly inserted: readonly { readonly id: number; readonly text: Uint8Array }[];
  readonly removed: readonly number[];
  readonly expiredValues: number;
  readonly evictedValues: number;
  /** Too old or too many blocks are left: the next commit is to go on. */
  readonly hasMoreToDrop: boolean;
  /** Values that the totals knew and no block held. */
  readonly missingValues: number;
  readonly usedBytes: number;
  readonly freeBytes: number;
  /** Epoch milliseconds of the oldest block left. */
  readonly oldestTime: number | undefined;
  /** Id of the oldest block left; the next one's when there is none. */
  readonly oldestId: number;
}

/**
 * Writes a plan inside an open transaction and changes `draft` with it. Releases come first: they make room and must not be counted
 * as dropped. @throws SqliteError; InvariantError when the account does not add up.
 */
export function writePlan(plan: WritePlan, draft: Account, context: WriteContext): WriteResult {
  const { tables } = context;
  const removed: number[] = [];
  writeReleases(plan, draft, tables, removed);
  writeQuarantine(plan, context);
  dropLost(plan, draft, context, removed);
  draft.collected(0, plan.counted.ledger);
  const expiredValues = dropExpired(draft, context, removed);
  const firstInserted = draft.nextBlock;
  const inserted = insertBlocks(plan.appends, draft, context);
  const evictedValues = evict(draft, context, firstInserted, removed);
  const oldest = tables.oldest();
  const missingValues = reconcileTotals(draft, tables, oldest);
  draft.check();
  const oldestId = oldest?.id ?? draft.nextBlock;
  if (context.saved.get(OLDEST_COUNTER) !== oldestId) {
    tables.saveCounter(OLDEST_COUNTER, oldestId);
  }
  for (const [name, value] of draft.rows()) {
    if (context.saved.get(name) !== value) {
      tables.saveCounter(name, value);
    }
  }
  const { usedBytes, freeBytes } = tables.size();
  const isOver = usedBytes > (context.evictAboveBytes ?? Number.POSITIVE_INFINITY);
  const isOld = oldest !== undefined && context.isExpired(oldest.time);
  return {
    inserted,
    removed,
    hasMoreToDrop: isOld || (isOver && evictedValues > 0),
    expiredValues,
    evictedValues,
    missingValues,
    usedBytes,
    freeBytes,
    oldestTime: oldest?.time,
    oldestId,
  };
}

function writeReleases(
  plan: WritePlan,
  draft: Account,
  tables: SqliteTables,
  removed: number[],
): void {
  for (const state of plan.dirty) {
    const { pending } = state;
    draft.records -= pending.records;
    draft.acknowledged(pending.acknowledged);
    draft.quarantined(pending.quarantined);
    if (state.records === 0) {
      tables.deleteBlock(state.id);
      draft.blocks -= 1;
      removed.push(state.id);
    } else {
      tables.savePartial(state, state.bitmap);
    }
  }
}

function writeQuarantine(plan: WritePlan, context: WriteContext): void {
  const { tables, nowMs, quarantineBytes } = context;
  for (const { line, reason, values } of plan.quarantined) {
    tables.quarantine.add({ time: nowMs, reason, values, record: line });
  }
  if (plan.quarantined.length > 0) {
    tables.addToCounter("quarantine/forgotten", tables.quarantine.trim(quarantineBytes));
  }
}

function dropLost(
  plan: WritePlan,
  draft: Account,
  { tables, nowMs }: WriteContext,
  removed: number[],
): void {
  for (const [id, reason] of plan.lost) {
    const left = tables.readLeft(id);
    if (left !== undefined) {
      const data = tables.readBytes(id) ?? new Uint8Array();
      tables.damaged.add({ time: nowMs, block: id, reason, values: left.values, data });
      dropBlock(left, draft, tables, "corruption");
      removed.push(id);
    }
  }
}

function dropExpired(draft: Account, context: WriteContext, removed: number[]): number {
  return dropWhile(
    (oldest) => context.isExpired(oldest.time),
    { draft, tables: context.tables, removed },
    "ttl",
  );
}

/** Drops the oldest blocks, but none from `firstInserted` on, and those in flight only when there are no others. */
function evict(
  draft: Account,
  context: WriteContext,
  firstInserted: number,
  removed: number[],
): number {
  const { tables, evictAboveBytes } = context;
  const limitBytes = evictAboveBytes ?? Number.POSITIVE_INFINITY;
  const isDue = (): boolean => tables.size().usedBytes > limitBytes;
  let values = 0;
  let drops = 0;
  for (const spares of [true, false]) {
    let id = isDue() ? tables.nextId(0) : undefined;
    while (id !== undefined && id < firstInserted && drops < MAX_DROPS && isDue()) {
      const left = spares && context.isInFlight(id) ? undefined : tables.readLeft(id);
      if (left !== undefined) {
        dropBlock(left, draft, tables, "quota");
        removed.push(id);
        values += left.values;
        drops += 1;
      }
      id = tables.nextId(id);
    }
  }
  return values;
}

/** Drops the oldest block as long as `isDue` says so, at most `MAX_DROPS` of them; returns their values. */
function dropWhile(
  isDue: (oldest: BlockSummary) => boolean,
  target: {
    readonly draft: Account;
    readonly tables: SqliteTables;
    readonly removed: number[];
  },
  reason: string,
): number {
  const { draft, tables, removed } = target;
  let values = 0;
  for (let drops = 0; drops < MAX_DROPS; drops += 1) {
    const oldest = tables.oldest();
    if (oldest === undefined || !isDue(oldest)) {
      break;
    }
    dropBlock(oldest, draft, tables, reason);
    removed.push(oldest.id);
    values += oldest.values;
  }
  return values;
}

function dropBlock(
  block: BlockSummary,
  draft: Account,
  tables: SqliteTables,
  reason: string,
): void {
  tables.deleteBlock(block.id);
  draft.blocks -= 1;
  draft.records -= block.records;
  draft.dropped(block.values, reason);
}

/**
 * The totals can only be wrong after damage to the file. They are right again when the last block has gone, or as soon as they
 * would go below zero.
 */
function reconcileTotals(
  draft: Account,
  tables: SqliteTables,
  oldest: BlockSummary | undefined,
): number {
  const { queued } = draft.ledger;
  if (oldest === undefined) {
    const isRight = draft.blocks === 0 && draft.records === 0 && queued === 0;
    return isRight ? 0 : draft.reconcile({ blocks: 0, records: 0, values: 0 }, "corruption");
  }
  const isPossible = draft.blocks > 0 && draft.records >= 0 && queued >= 0;
  return isPossible ? 0 : draft.reconcile(tables.totals(), "corruption");
}

function insertBlocks(
  appends: readonly BatchToStore[],
  draft: Account,
  context: WriteContext,
): { id: number; text: Uint8Array }[] {
  const inserted: { id: number; text: Uint8Array }[] = [];
  let group: BatchPiece[] = [];
  let bytes = 0;
  let records = 0;
  const flush = (): void => {
    if (group.length > 0) {
      inserted.push(insertBlock(group, draft, context));
      group = [];
      bytes = 0;
      records = 0;
    }
  };
  for (const append of appends) {
    draft.stored(append.counts.values, append.collected);
    if (append.mark !== undefined) {
      draft.marked(append.mark);
    }
    for (const piece of append.pieces) {
      if (
        bytes + piece.bytes.length > MAX_BLOCK_BYTES ||
        records + piece.records > MAX_BLOCK_RECORDS
      ) {
        flush();
      }
      group.push(piece);
      bytes += piece.bytes.length;
      records += piece.records;
    }
  }
  flush();
  return inserted;
}

function insertBlock(
  pieces: readonly BatchPiece[],
  draft: Account,
  { tables, nowMs }: WriteContext,
): { id: number; text: Uint8Array } {
  const [first] = pieces;
  const isSingle = pieces.length === 1 && first !== undefined;
  const text = isSingle ? first.bytes : Buffer.concat(pieces.map((piece) => piece.bytes));
  const id = draft.nextBlock;
  let records = 0;
  let values = 0;
  for (const piece of pieces) {
    records += piece.records;
    values += piece.values;
  }
  const data = encodeBlock({ time: nowMs, records, values, text });
  tables.insertBlock({ id, time: nowMs, records, values, data });
  draft.nextBlock += 1;
  draft.blocks += 1;
  draft.records += records;
  return { id, text };
}
