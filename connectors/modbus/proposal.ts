import type { Json } from "#sdk/model";
import type { Orders } from "./codec.ts";
import type { Line } from "./line.ts";
import { findMatches, type Match } from "./probe-match.ts";

/** Registers by their address. */
export type Words = ReadonlyMap<number, number>;

/** A value that the device shows somewhere, and what it is to be called. */
export interface Expected {
  readonly name: string;
  readonly text: string;
}

/** What could be read of one unit by one function code. */
export interface ReadTable {
  readonly unit: number;
  readonly code: 3 | 4;
  readonly words: Words;
}

/** Registers that are proposed one by one for a unit of which nothing is known. */
const MAX_GUESSED = 40;
const POLL_PERIOD_MS = 5000;

/** `229.01`, or several as `voltage=229.01,state=3`. */
export function parseExpected(text: string): readonly Expected[] {
  const parts = text.split(",").map((part) => part.trim());
  return parts
    .filter((part) => part !== "")
    .map((part, index) => {
      const [, name, value] = /^([^=]+)=(.+)$/.exec(part) ?? [];
      const fallback = parts.length === 1 ? "value" : `value_${index + 1}`;
      return { name: name?.trim() ?? fallback, text: value?.trim() ?? part };
    });
}

/**
 * A connector file that reads what was found: a device for each unit, with the expected values, or where none are known with every
 * register that is not zero. `undefined` when there is nothing to read.
 */
export function proposeFile(
  line: Line,
  tables: readonly ReadTable[],
  expected: readonly Expected[],
): Json | undefined {
  const units = [...new Set(tables.map(({ unit }) => unit))];
  const slaves = units.flatMap((unit) => {
    const own = tables.filter((table) => table.unit === unit);
    const found = expected.length === 0 ? guessed(own) : matched(own, expected);
    return found === undefined ? [] : [slaveOf(line, unit, found)];
  });
  return slaves.length === 0 ? undefined : { master: { slaves } };
}

interface Proposed {
  readonly orders: Orders;
  readonly items: readonly Json[];
}

const USUAL_ORDERS: Orders = { byteOrder: "BIG", wordOrder: "BIG" };

function guessed(tables: readonly ReadTable[]): Proposed | undefined {
  const [first, second] = tables;
  // Many devices show the same registers by both function codes.
  const isSame = second !== undefined && isEqual(first?.words, second.words);
  const items = (isSame ? [first] : tables).flatMap((table) =>
    table === undefined ? [] : registersOf(table),
  );
  return items.length === 0
    ? undefined
    : { orders: USUAL_ORDERS, items: items.slice(0, MAX_GUESSED) };
}

function isEqual(a: Words | undefined, b: Words): boolean {
  return a?.size === b.size && [...b].every(([address, word]) => a.get(address) === word);
}

function registersOf({ code, words }: ReadTable): readonly Json[] {
  const prefix = code === 3 ? "r" : "input";
  return [...words]
    .filter(([, word]) => word !== 0)
    .map(([address]) => ({
      tag: `${prefix}_${address}`,
      type: "16uint",
      functionCode: code,
      objectsCount: 1,
      address,
    }));
}

interface Candidate extends Match {
  readonly name: string;
  readonly code: 3 | 4;
}

/** The orders belong to the device, so those are taken by which most of the values stand somewhere. */
function matched(
  tables: readonly ReadTable[],
  expected: readonly Expected[],
): Proposed | undefined {
  const candidates = expected.flatMap(({ name, text }) =>
    tables.flatMap(({ code, words }) =>
      findMatches(words, text).map((match): Candidate => ({ ...match, name, code })),
    ),
  );
  const best = ORDERS.map((orders) => ({ orders, found: firstOfEach(candidates, orders) })).reduce(
    (left, right) => (right.found.length > left.found.length ? right : left),
  );
  return best.found.length === 0
    ? undefined
    : { orders: best.orders, items: best.found.map(itemOf) };
}

const ORDERS: readonly Orders[] = [
  USUAL_ORDERS,
  { byteOrder: "BIG", wordOrder: "LITTLE" },
  { byteOrder: "LITTLE", wordOrder: "BIG" },
  { byteOrder: "LITTLE", wordOrder: "LITTLE" },
];

function firstOfEach(candidates: readonly Candidate[], orders: Orders): readonly Candidate[] {
  const fitting = candidates.filter(
    ({ byteOrder, wordOrder, objectsCount }) =>
      byteOrder === orders.byteOrder && (objectsCount === 1 || wordOrder === orders.wordOrder),
  );
  const names = [...new Set(fitting.map(({ name }) => name))];
  return names.flatMap((name) => fitting.find((one) => one.name === name) ?? []);
}

function itemOf({ name, type, code, objectsCount, address, divider }: Candidate): Json {
  const scale = divider === undefined ? {} : { divider };
  return { tag: name, type, functionCode: code, objectsCount, address, ...scale };
}

function slaveOf(line: Line, unit: number, { orders, items }: Proposed): Json {
  return {
    deviceName: `Modbus ${unit}`,
    ...lineKeys(line),
    unitId: unit,
    pollPeriod: POLL_PERIOD_MS,
    ...orders,
    timeseries: items,
  };
}

function lineKeys(line: Line): { readonly [key: string]: Json } {
  if (line.kind === "serial") {
    const { path: port, baudRate: baudrate, parity, stopBits: stopbits } = line.serial;
    return { type: "serial", method: line.framing, port, baudrate, parity, stopbits };
  }
  const { kind: type, framing: method, host, port } = line;
  return { type, method, host, port };
}
