import { indexInFile } from "#sdk/config-places";
import type { Decoder } from "./decoder.ts";
import { compileItems, type ReadTarget } from "./items.ts";
import { type Line, lineKey, lineOf, timingOf, wireSize } from "./line.ts";
import { type Block, planReads } from "./plan.ts";
import { limitsOf } from "./read-plan.ts";
import type { SlaveConfig } from "./slave-config.ts";
import { pduSizes } from "./waits.ts";

/** An item with its place in the configuration. */
export interface PlacedTarget extends ReadTarget {
  readonly path: readonly (string | number)[];
  readonly slave: SlaveConfig;
}

/** What one unit is asked for in one cycle. */
export interface PlannedGroup {
  readonly line: Line;
  readonly unitId: number;
  readonly periodMs: number;
  readonly blocks: readonly (Block & { readonly targets: readonly PlacedTarget[] })[];
}

/** The cycles a configuration leads to, planned as they are when nothing is refused. Opens nothing. */
export function planSlaves(slaves: readonly SlaveConfig[]): readonly PlannedGroup[] {
  const decoders = new Map<string, Decoder>();
  const groups = new Map<
    string,
    { readonly slave: SlaveConfig; readonly periodMs: number; readonly targets: PlacedTarget[] }
  >();
  for (const [index, slave] of slaves.entries()) {
    const lists = [
      ["timeseries", "telemetry", slave.timeseries, slave.pollPeriod],
      [
        "attributes",
        "attributes",
        slave.attributes,
        slave.attributesPollPeriod ?? slave.pollPeriod,
      ],
    ] as const;
    for (const [key, section, items, periodMs] of lists) {
      const { unitId, byteOrder, wordOrder, readOptimization } = slave;
      const name = [lineKey(lineOf(slave)), unitId, periodMs, JSON.stringify(readOptimization)];
      const group = groups.get(name.join(" ")) ?? { slave, periodMs, targets: [] };
      const context = { device: index, unitId, orders: { byteOrder, wordOrder }, decoders };
      for (const [place, item] of items.entries()) {
        const at = indexInFile(slaves, index);
        const path = ["master", "slaves", at, key, indexInFile(items, place)];
        const targets = compileItems([item], section, context);
        group.targets.push(...targets.map((target) => ({ ...target, path, slave })));
        groups.set(name.join(" "), group);
      }
    }
  }
  return [...groups.values()].map(({ slave, periodMs, targets }) => ({
    line: lineOf(slave),
    unitId: slave.unitId,
    periodMs,
    blocks: blocksOf(targets, slave),
  }));
}

function blocksOf(targets: readonly PlacedTarget[], slave: SlaveConfig): PlannedGroup["blocks"] {
  const byCode = [...Map.groupBy(targets, ({ functionCode }) => functionCode)];
  return byCode.flatMap(([code, list]) =>
    planReads(list, limitsOf(code, slave.readOptimization)).map((block) => ({
      ...block,
      targets: block.slices.flatMap(({ span }) => list[span] ?? []),
    })),
  );
}

/** How much of a line's time a configuration asks for. */
export interface LineBudget {
  readonly line: Line;
  readonly units: number;
  readonly requestsPerSecond: number;
  /** Time one cycle of every device takes together. Serial lines alone; others depend on the device. */
  readonly cycleMs: number | undefined;
  /** Part of the line's time that is asked for; above 1 the periods are impossible. */
  readonly utilisation: number | undefined;
}

/** Time a device is taken to need before it answers; the standard asks for the silence of a gap, most need more. */
const TURNAROUND_MS = 5;

/** The budget of each line. */
export function lineBudgets(slaves: readonly SlaveConfig[]): readonly LineBudget[] {
  const byLine = Map.groupBy(planSlaves(slaves), ({ line }) => lineKey(line));
  return [...byLine.values()].flatMap((groups) => {
    const [first] = groups;
    return first === undefined ? [] : [budgetOf(first.line, groups)];
  });
}

function budgetOf(line: Line, groups: readonly PlannedGroup[]): LineBudget {
  const isSerial = line.kind === "serial";
  let requestsPerSecond = 0;
  let cycleMs = 0;
  let utilisation = 0;
  for (const { blocks, periodMs } of groups) {
    requestsPerSecond += (1000 * blocks.length) / periodMs;
    const ms = blocks.reduce((sum, block) => sum + transactionMs(line, block), 0);
    cycleMs += ms;
    utilisation += ms / periodMs;
  }
  return {
    line,
    units: new Set(groups.map(({ unitId }) => unitId)).size,
    requestsPerSecond,
    cycleMs: isSerial ? cycleMs : undefined,
    utilisation: isSerial ? utilisation : undefined,
  };
}

/** Request, answer, and the silence behind each of them. */
function transactionMs(line: Line, block: PlannedGroup["blocks"][number]): number {
  const { charMs, gapMs } = timingOf(line);
  const functionCode = block.targets[0]?.functionCode ?? 3;
  const request = { functionCode, unit: 1, address: block.first, count: block.length };
  const [sent, answered] = pduSizes(request);
  const characters = wireSize(line.framing, sent) + wireSize(line.framing, answered);
  return charMs * characters + 2 * gapMs + TURNAROUND_MS;
}
