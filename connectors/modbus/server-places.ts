import type { Json, ReportStrategy } from "#sdk/model";
import { toReportStrategy } from "#sdk/report-strategy";
import type { Decoder } from "./decoder.ts";
import { encodeWrite, type WriteOrders } from "./encoder.ts";
import { compileItems, type ReadTarget } from "./items.ts";
import { addressRange } from "./problems.ts";
import type { ServerConfig, TablesConfig } from "./server-config.ts";
import { createTables, type ServerTables, type TableCode } from "./server-tables.ts";
import { coilsOf, registersOf, valueType } from "./value-type.ts";

/** Names of the tables in the configuration, and the function code that reads each. */
export const TABLE_NAMES = {
  coils_initializer: 1,
  discrete_inputs: 2,
  holding_registers: 3,
  input_registers: 4,
} as const satisfies Readonly<Record<string, TableCode>>;

/** What the configuration of a server comes to: its tables with their first values, and what is reported. */
export interface ServerPlaces {
  readonly tables: ServerTables;
  readonly targets: readonly ReadTarget[];
  readonly keyStrategies: Readonly<Record<string, ReportStrategy>> | undefined;
}

interface Placed {
  readonly tag: string;
  readonly type?: string | undefined;
  readonly address: number | string;
  readonly objectsCount: number;
  readonly bitOrder: "python" | "natural";
  readonly value?: Json | undefined;
}

/** Makes the tables of a server. @throws DataError for a first value that does not fit */
export function createPlaces(config: ServerConfig): ServerPlaces {
  const tables = createTables();
  const { byteOrder, wordOrder, repack, unitId } = config;
  const orders = { byteOrder, wordOrder, repack };
  const decoders = new Map<string, Decoder>();
  const targets: ReadTarget[] = [];
  const strategies: [string, ReportStrategy][] = [];
  for (const [code, table] of tablesOf(config.values)) {
    const { attributes, timeseries, attributeUpdates, rpc } = table;
    const placed = [...attributes, ...timeseries, ...attributeUpdates, ...rpc];
    // Items without a value first: they must not wipe out the value that another one gives to the same place.
    for (const item of [...placed.filter(isEmpty), ...placed.filter((one) => !isEmpty(one))]) {
      define(tables, code, item, orders);
    }
    for (const [section, items] of [
      ["telemetry", timeseries],
      ["attributes", attributes],
    ] as const) {
      for (const item of items) {
        const compiled = compileItems([{ ...item, functionCode: code }], section, {
          device: 0,
          unitId,
          orders,
          decoders,
        });
        targets.push(...compiled);
        const strategy = toReportStrategy(item.reportStrategy);
        if (strategy !== undefined) {
          strategies.push(...compiled.map(({ key }): [string, ReportStrategy] => [key, strategy]));
        }
      }
    }
  }
  const keyStrategies = strategies.length === 0 ? undefined : Object.fromEntries(strategies);
  return { tables, targets, keyStrategies };
}

type Section = NonNullable<TablesConfig["holding_registers"]>;

/** The tables that are configured, each with its function code. */
export function tablesOf(values: TablesConfig): readonly (readonly [TableCode, Section])[] {
  const found: (readonly [TableCode, Section])[] = [];
  for (const name of [
    "coils_initializer",
    "discrete_inputs",
    "holding_registers",
    "input_registers",
  ] as const) {
    const table = values[name];
    if (table !== undefined) {
      found.push([TABLE_NAMES[name], table]);
    }
  }
  return found;
}

function isEmpty({ value }: { readonly value?: Json | undefined }): boolean {
  return value === undefined || value === null || value === "";
}

/** Puts the first value of an item into its table; every place of a range gets it. */
function define(tables: ServerTables, code: TableCode, item: Placed, orders: WriteOrders): void {
  const name = item.type ?? item.tag;
  const type = valueType(name, item.objectsCount);
  const isCoils = code <= 2;
  const length = isCoils ? coilsOf(type, item.objectsCount) : registersOf(type, item.objectsCount);
  const values = firstValues(item, { isCoils, name, length }, orders);
  const { first, last, isRange } = addressRange(item.address);
  const step = isRange ? Math.max(item.objectsCount, length) : 1;
  for (let address = first; address <= last; address += step) {
    tables[code].define(address, values);
  }
}

function firstValues(
  item: Placed,
  place: { readonly isCoils: boolean; readonly name: string; readonly length: number },
  orders: WriteOrders,
): readonly number[] {
  const { value } = item;
  if (value === undefined || isEmpty(item)) {
    return Array.from({ length: place.length }, () => 0);
  }
  const settings = { type: place.name, objectsCount: item.objectsCount, bitOrder: item.bitOrder };
  if (!place.isCoils) {
    const data = encodeWrite(value, { ...settings, functionCode: 16 }, orders);
    return data.functionCode === 16 ? data.registers : [];
  }
  const code = item.objectsCount > 1 ? 15 : 5;
  const data = encodeWrite(value, { ...settings, functionCode: code }, orders);
  if (data.functionCode === 15) {
    return data.coils.map(Number);
  }
  return [data.functionCode === 5 ? Number(data.on) : 0];
}
