import { formatPath } from "#sdk/config";
import type { Explanation } from "#sdk/connector";
import type { DeviceData, Json } from "#sdk/model";
import type { ModbusConfig } from "./config.ts";
import { lineName } from "./line.ts";
import {
  type LineBudget,
  lineBudgets,
  type PlacedTarget,
  type PlannedGroup,
  planSlaves,
} from "./line-time.ts";

const TABLES = { 1: "coils", 2: "discrete inputs", 3: "holding registers", 4: "input registers" };

/** For each item the request that fetches it, and what a device that holds zeros sends; for each line how busy it is. */
export function explainModbus(config: ModbusConfig): readonly Explanation[] {
  const { slaves } = config.master;
  const items = planSlaves(slaves).flatMap((group) =>
    group.blocks.flatMap((block) =>
      block.targets.map((target) => ({
        path: formatPath(target.path),
        request: requestText(group, block),
        sends: exampleOf(target),
      })),
    ),
  );
  const lines = lineBudgets(slaves).map((budget) => ({
    path: "master",
    request: budgetText(budget),
    sends: null,
  }));
  return [...items, ...lines];
}

function requestText(
  { line, unitId, periodMs }: PlannedGroup,
  { first, length, targets }: PlannedGroup["blocks"][number],
): string {
  const code = targets[0]?.functionCode ?? 3;
  const others = targets.length - 1;
  const along =
    others === 0 ? "" : ` together with ${others} other value${others === 1 ? "" : "s"}`;
  return `${lineName(line)}, unit ${unitId}: function ${code}, ${TABLES[code]} ${first} to ${first + length - 1}${along}, every ${periodMs} ms`;
}

/** How busy a line is, in words. */
export function budgetText(budget: LineBudget): string {
  const { line, units, requestsPerSecond, cycleMs, utilisation } = budget;
  const rate = `${lineName(line)}: ${units} unit${units === 1 ? "" : "s"}, ${requestsPerSecond.toFixed(1)} requests/s`;
  if (cycleMs === undefined || utilisation === undefined) {
    return rate;
  }
  const use = `${Math.round(100 * utilisation)} % of the line, ${Math.round(cycleMs)} ms to read everything once`;
  return utilisation > 1 ? `${rate}, ${use}: the periods are impossible` : `${rate}, ${use}`;
}

function exampleOf(target: PlacedTarget): DeviceData | null {
  const isRegister = target.functionCode >= 3;
  const size = isRegister ? 2 * target.length : Math.ceil(target.length / 8);
  const value: Json | undefined = target.decoder.decode(new DataView(new ArrayBuffer(size)), 0);
  if (value === undefined) {
    return null;
  }
  const { deviceName, deviceType } = target.slave;
  const values = { [target.key]: value };
  return target.section === "attributes"
    ? { deviceName, deviceType, attributes: values }
    : { deviceName, deviceType, telemetry: [{ values }] };
}
