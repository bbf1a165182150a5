import type { Clock } from "#sdk/clock";
import type { ReadCode } from "./decoder.ts";
import type { ReadTarget } from "./items.ts";
import { KEPT_MS, type LearntRefusals, type Table } from "./learnt.ts";
import { type Block, lowerLimit, type PlanLimits, planReads, type Split } from "./plan.ts";

/** `readOptimization` of the configuration. */
export interface ReadOptimization {
  readonly enabled: boolean;
  readonly maxRegisters: number;
  readonly maxBits: number;
  readonly maxGapRegisters: number;
  readonly maxGapBits: number;
}

/** What the plan of one unit is made from. */
export interface ReadPlanOptions {
  readonly line: string;
  readonly unit: number;
  readonly targets: readonly ReadTarget[];
  readonly optimization: ReadOptimization;
  readonly learnt: LearntRefusals;
  readonly clock: Clock;
}

/** A single item that was refused this often in a row is tried less often. */
const REFUSED_OFTEN = 3;
/** That is, in every tenth cycle. */
const SELDOM = 10;

/** The limits of a table by its function code, without anything learnt. */
export function limitsOf(functionCode: ReadCode, optimization: ReadOptimization): PlanLimits {
  const isBits = functionCode <= 2;
  return {
    merge: optimization.enabled,
    maxLength: isBits ? optimization.maxBits : optimization.maxRegisters,
    maxGap: isBits ? optimization.maxGapBits : optimization.maxGapRegisters,
    cuts: [],
  };
}

/** The requests of one cycle, table by table. It changes when a device refuses one of them. */
export class ReadPlan {
  readonly tables: readonly TablePlan[];

  constructor(options: ReadPlanOptions) {
    const byCode = Map.groupBy(options.targets, ({ functionCode }) => functionCode);
    this.tables = [...byCode]
      .sort(([a], [b]) => a - b)
      .map(([functionCode, targets]) => new TablePlan(functionCode, targets, options));
  }

  /** The shortest request of the plan: it shows whether the device is there. */
  get cheapest():
    | { readonly functionCode: ReadCode; readonly address: number; readonly count: number }
    | undefined {
    let best: { functionCode: ReadCode; address: number; count: number } | undefined;
    for (const { functionCode, targets } of this.tables) {
      for (const { first, length } of targets) {
        if (best === undefined || length < best.count) {
          best = { functionCode, address: first, count: length };
        }
      }
    }
    return best;
  }

  /** Told after each cycle. */
  endOfCycle(): void {
    for (const table of this.tables) {
      table.endOfCycle();
    }
  }
}

/** The requests for one table. */
export class TablePlan {
  readonly functionCode: ReadCode;
  readonly targets: readonly ReadTarget[];
  readonly #table: Table;
  readonly #limits: PlanLimits;
  readonly #learnt: LearntRefusals;
  readonly #clock: Clock;
  /** How often in a row a single item was refused, by its place. */
  readonly #refused = new Map<string, number>();
  #blocks: readonly Block[];
  #cycle = 0;
  #refusals = 0;
  #learntAtMs: number | undefined;

  constructor(functionCode: ReadCode, targets: readonly ReadTarget[], options: ReadPlanOptions) {
    const { line, unit, optimization, learnt, clock } = options;
    this.functionCode = functionCode;
    this.targets = targets;
    this.#table = { line, unit, functionCode, items: targets };
    this.#limits = limitsOf(functionCode, optimization);
    this.#learnt = learnt;
    this.#clock = clock;
    this.#blocks = this.#plan();
  }

  get blocks(): readonly Block[] {
    return this.#blocks;
  }

  /** Requests that could not be split any further and were refused, since the start. */
  get refusals(): number {
    return this.#refusals;
  }

  /** Whether a block is asked for in this cycle. */
  isDue(block: Block): boolean {
    const often = (this.#refused.get(keyOf(block)) ?? 0) >= REFUSED_OFTEN;
    return !often || this.#cycle % SELDOM === 0;
  }

  /** A block was answered. */
  answered(block: Block): void {
    this.#refused.delete(keyOf(block));
  }

  /**
   * A block was refused that cannot be split. Whether it is tried less often from now on: never when the refusal says something about
   * the device (busy, failure) and not about what was asked for.
   */
  refused(block: Block, isForGood: boolean): boolean {
    this.#refusals += 1;
    if (!isForGood) {
      return false;
    }
    const times = (this.#refused.get(keyOf(block)) ?? 0) + 1;
    this.#refused.set(keyOf(block), times);
    return times === REFUSED_OFTEN;
  }

  /** A block was refused and its parts were asked for: plans without such a block from now on. */
  async learn(block: Block, split: Split, onlyTooLong: boolean): Promise<void> {
    const known = this.#learnt.of(this.#table);
    const longest = Math.max(...split.blocks.map(({ length }) => length));
    const limit = this.functionCode <= 2 ? longest : lowerLimit(block.length);
    const cuts = split.blocks.slice(1).map(({ first }) => first);
    this.#learntAtMs = this.#clock.monotonicMs();
    await this.#learnt.learn(
      this.#table,
      onlyTooLong
        ? { cuts: known.cuts, limit: Math.min(limit, known.limit ?? limit) }
        : { cuts: [...new Set([...known.cuts, ...cuts])], limit: known.limit },
    );
    this.#blocks = this.#plan();
  }

  endOfCycle(): void {
    this.#cycle += 1;
    const atMs = this.#learntAtMs;
    if (atMs !== undefined && this.#clock.monotonicMs() - atMs >= KEPT_MS) {
      this.#learntAtMs = undefined;
      this.#refused.clear();
      this.#blocks = this.#plan();
    }
  }

  #plan(): readonly Block[] {
    const { cuts, limit } = this.#learnt.of(this.#table);
    const maxLength = Math.min(this.#limits.maxLength, limit ?? this.#limits.maxLength);
    return planReads(this.targets, { ...this.#limits, maxLength, cuts });
  }
}

function keyOf({ first, length }: Block): string {
  return `${first}+${length}`;
}
