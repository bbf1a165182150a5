import type { ConnectorHost } from "#sdk/connector";
import { errorText, TransientError } from "#sdk/errors";
import { type Logger, rateLimited } from "#sdk/logger";
import type { DeviceData } from "#sdk/model";
import { Schedule } from "#sdk/schedule";
import type { ModbusReply } from "./client.ts";
import type { ReadCode } from "./decoder.ts";
import { isGatewaySilence, LineDown, ModbusException, NoAnswer } from "./failures.ts";
import { type Block, type Slice, splitBlock } from "./plan.ts";
import { ReadPlan, type TablePlan } from "./read-plan.ts";
import type { Unit } from "./unit.ts";
import { CycleResult, type PolledDevice } from "./uplink.ts";
import type { TalkSettings } from "./waits.ts";

/** Devices of one unit that are read with the same period. */
export interface PollGroupOptions {
  readonly unit: Unit;
  readonly talk: TalkSettings;
  readonly periodMs: number;
  readonly devices: readonly PolledDevice[];
  readonly plan: ReadPlan;
  /** Pause before the first cycle, so that the groups of a line do not all begin at once. */
  readonly firstDelayMs: number;
  readonly host: ConnectorHost;
  /** Takes the records of a cycle. */
  readonly put: (records: readonly DeviceData[], signal: AbortSignal) => Promise<void>;
}

/** Exceptions 1 to 3 are about the request: illegal function, address or value. Others are about the device, and pass. */
const LAST_ILLEGAL = 3;
const DEVICE_FAILURE = 4;

/** How a cycle ended: every block was asked for, or the device fell silent, or the line was lost. */
type CycleEnd = "complete" | "silent" | "lost";

/** Reads the devices of one unit, cycle after cycle, never two at a time. */
export class PollGroup {
  readonly #options: PollGroupOptions;
  readonly #log: Logger;
  /** Blocks that have been answered: one that falls silent later is no question of its length. */
  readonly #answered = new Set<string>();

  constructor(options: PollGroupOptions) {
    this.#options = options;
    this.#log = rateLimited(options.host.log, options.host.clock);
  }

  /** Reads until `signal` aborts, whenever the unit can be read; rejects with its reason. */
  async run(signal: AbortSignal): Promise<void> {
    const { unit, host, firstDelayMs, periodMs } = this.#options;
    await unit.pollable(signal);
    if (firstDelayMs > 0) {
      await host.clock.sleep(firstDelayMs, signal);
    }
    for (;;) {
      await unit.pollable(signal);
      // After a pause the first cycle begins at once.
      const schedule = new Schedule(periodMs, host);
      while (unit.isPollable) {
        await schedule.next(signal);
        if (unit.isPollable) {
          await this.#cycle(signal);
        }
      }
    }
  }

  async #cycle(signal: AbortSignal): Promise<void> {
    const { unit, host, periodMs, plan, devices, put } = this.#options;
    const startMs = host.clock.monotonicMs();
    const result = new CycleResult(devices);
    const end = await this.#readAll(result, signal);
    if (end === "silent") {
      unit.cycleFailed();
    }
    if (result.noValues > 0) {
      host.metrics.rejected("not-finite", result.noValues);
    }
    plan.endOfCycle();
    await put(result.finish(), signal);
    const tookMs = host.clock.monotonicMs() - startMs;
    host.metrics.count("cycles");
    host.metrics.count("cycleTimeMs", Math.round(tookMs));
    if (tookMs > periodMs && end === "complete") {
      this.#log.warn("Reading takes longer than its period", {
        devices: devices.map(({ deviceName }) => deviceName).slice(0, 10),
        periodMs,
        tookMs: Math.round(tookMs),
      });
    }
  }

  async #readAll(result: CycleResult, signal: AbortSignal): Promise<CycleEnd> {
    if (this.#options.plan.tables.length === 0) {
      return await this.#lookWhetherItIsThere(signal);
    }
    for (const table of this.#options.plan.tables) {
      for (const block of table.blocks) {
        if (!table.isDue(block)) {
          continue;
        }
        const end = await this.#readBlock({ table, block, result }, signal);
        if (end !== "complete") {
          return end;
        }
      }
    }
    return "complete";
  }

  /** A device that is only written has nothing to read; its first place tells whether it is there. */
  async #lookWhetherItIsThere(signal: AbortSignal): Promise<CycleEnd> {
    const { unit, talk } = this.#options;
    if (unit.probeRequest === undefined) {
      return "complete";
    }
    try {
      await unit.read(unit.probeRequest, talk, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof NoAnswer || isGatewaySilence(error)) {
        return "silent";
      }
      if (error instanceof LineDown) {
        return "lost";
      }
      if (!(error instanceof ModbusException)) {
        throw error;
      }
    }
    return "complete";
  }

  async #readBlock(part: BlockRead, signal: AbortSignal): Promise<CycleEnd> {
    try {
      const reply = await this.#read(part, signal);
      this.#take(part, reply);
      part.table.answered(part.block);
      return "complete";
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof NoAnswer || isGatewaySilence(error)) {
        return await this.#silent(part, signal);
      }
      if (error instanceof ModbusException) {
        return await this.#refused(part, error, signal);
      }
      if (error instanceof LineDown || error instanceof TransientError) {
        return "lost";
      }
      throw error;
    }
  }

  async #read({ table, block }: BlockRead, signal: AbortSignal): Promise<ModbusReply> {
    const { unit, talk } = this.#options;
    return await unit.read(requestOf(unit, table.functionCode, block), talk, signal);
  }

  #take({ table, block, result }: BlockRead, { bytes }: ModbusReply): void {
    this.#answered.add(keyOf(table.functionCode, block));
    const counter = table.functionCode <= 2 ? "bitsRead" : "registersRead";
    this.#options.host.metrics.count(counter, block.length);
    const receivedTs = this.#options.host.clock.now();
    result.take(block, table.targets, { bytes, receivedTs });
  }

  /**
   * Some devices do not answer a request that is too long for them. That is so when a single item of the block is answered; else
   * splitting would cost one time-out for each item.
   */
  async #silent(part: BlockRead, signal: AbortSignal): Promise<CycleEnd> {
    const { block } = part;
    const [first] = block.slices;
    const isWorthIt = block.slices.length > 1 && !this.#wasAnswered(part);
    if (this.#options.unit.state !== "up" || !isWorthIt || first === undefined) {
      return "silent";
    }
    const end = await this.#askFor(first, part, signal);
    return end === "silent" || end === "lost" ? end : await this.#readSplit(part, signal);
  }

  #wasAnswered({ table, block }: BlockRead): boolean {
    return this.#answered.has(keyOf(table.functionCode, block));
  }

  /** Asks for one item of a block alone; what it says does not matter here. */
  async #askFor(
    slice: Slice,
    { table, block }: BlockRead,
    signal: AbortSignal,
  ): Promise<"answered" | "refused" | "silent" | "lost"> {
    const { unit, talk } = this.#options;
    const single = { first: block.first + slice.offset, length: slice.length, slices: [] };
    try {
      await unit.readOnce(requestOf(unit, table.functionCode, single), talk, signal);
      return "answered";
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ModbusException && !isGatewaySilence(error)) {
        return "refused";
      }
      return error instanceof LineDown ? "lost" : "silent";
    }
  }

  /**
   * Some devices answer "device failure" to addresses they do not have. That is so when they answer to an item alone; a device that
   * has really failed does not.
   */
  async #isAboutAddress(part: BlockRead, signal: AbortSignal): Promise<boolean> {
    const { slices } = part.block;
    if (slices.length < 2 || this.#wasAnswered(part)) {
      return false;
    }
    for (const place of new Set([0, slices.length >> 1, slices.length - 1])) {
      const slice = slices[place];
      const end = slice === undefined ? "refused" : await this.#askFor(slice, part, signal);
      if (end !== "refused") {
        return end === "answered";
      }
    }
    return false;
  }

  /** Illegal function, address or value on a block of several items: at least one of them is to blame, so they are read apart. */
  async #refused(part: BlockRead, error: ModbusException, signal: AbortSignal): Promise<CycleEnd> {
    const { table, block } = part;
    const isForGood = error.code <= LAST_ILLEGAL;
    const isSplit =
      (isForGood && splitBlock(block, table.targets) !== undefined) ||
      (error.code === DEVICE_FAILURE && (await this.#isAboutAddress(part, signal)));
    if (isSplit) {
      return await this.#readSplit(part, signal);
    }
    const { host, unit } = this.#options;
    const keys = block.slices.map(({ span }) => table.targets[span]?.key);
    const isNew = table.refused(block, isForGood);
    const fields = { unit: unit.id, keys: keys.slice(0, 10), error: errorText(error) };
    if (isNew) {
      host.log.warn("Cannot read values; they are tried less often from now on", fields);
    } else if (isForGood) {
      host.log.debug("Cannot read values", fields);
    } else {
      this.#log.warn("The device does not give values now", fields);
    }
    host.metrics.rejected("exception", block.slices.length);
    return "complete";
  }

  /** Reads the parts of a refused block in the same cycle and remembers what came of it. */
  async #readSplit(part: BlockRead, signal: AbortSignal): Promise<CycleEnd> {
    const { table, block } = part;
    const split = splitBlock(block, table.targets);
    if (split === undefined) {
      return "complete";
    }
    const before = table.refusals;
    let end: CycleEnd = "complete";
    for (const smaller of split.blocks) {
      end = await this.#readBlock({ ...part, block: smaller }, signal);
      if (end !== "complete") {
        return end;
      }
    }
    const onlyTooLong = split.by !== "gaps" && table.refusals === before;
    await table.learn(block, split, onlyTooLong);
    return end;
  }
}

interface BlockRead {
  readonly table: TablePlan;
  readonly block: Block;
  readonly result: CycleResult;
}

function requestOf(
  unit: Unit,
  functionCode: ReadCode,
  block: Block,
): {
  readonly functionCode: ReadCode;
  readonly unit: number;
  readonly address: number;
  readonly count: number;
} {
  return { functionCode, unit: unit.id, address: block.first, count: block.length };
}

function keyOf(functionCode: ReadCode, { first, length }: Block): string {
  return `${functionCode}:${first}+${length}`;
}
