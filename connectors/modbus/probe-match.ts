import { Float, type Json } from "#sdk/model";
import type { Orders } from "./codec.ts";
import { createDecoder } from "./decoder.ts";

/** A way to read an expected value out of registers. */
export interface Match extends Orders {
  readonly address: number;
  readonly type: string;
  readonly objectsCount: number;
  readonly divider?: number;
}

const ORDERS: readonly Orders[] = [
  { byteOrder: "BIG", wordOrder: "BIG" },
  { byteOrder: "BIG", wordOrder: "LITTLE" },
  { byteOrder: "LITTLE", wordOrder: "BIG" },
  { byteOrder: "LITTLE", wordOrder: "LITTLE" },
];

/** Types that hold a number, with the registers they take; the likely ones first. */
const NUMBERS: readonly (readonly [string, number])[] = [
  ["32float", 2],
  ["16int", 1],
  ["16uint", 1],
  ["32int", 2],
  ["32uint", 2],
  ["64float", 4],
  ["64int", 4],
  ["64uint", 4],
  ["16float", 1],
];
/** Meters store 22.9 as 229. */
const DIVIDERS = [1, 10, 100, 1000];
const MAX_MATCHES = 50;

/** Where and how `expect` stands in the registers: every type, order and usual scale at every address. */
export function findMatches(words: ReadonlyMap<number, number>, expect: string): readonly Match[] {
  const number = Number(expect);
  const matches =
    expect.trim() === "" || Number.isNaN(number)
      ? findText(words, expect)
      : NUMBERS.flatMap(([type, size]) => findNumber(words, { type, size, expect, number }));
  return matches.slice(0, MAX_MATCHES);
}

function findText(words: ReadonlyMap<number, number>, expect: string): readonly Match[] {
  const objectsCount = Math.max(1, Math.ceil(new TextEncoder().encode(expect).length / 2));
  const type = "string";
  const orders = ORDERS[0] ?? { byteOrder: "BIG", wordOrder: "BIG" };
  const decoder = createDecoder({ functionCode: 3, type, objectsCount }, orders);
  return [...words.keys()]
    .filter((address) => {
      const view = viewOf(words, address, objectsCount);
      return view !== undefined && decoder.decode(view, 0) === expect;
    })
    .map((address) => ({ address, type, objectsCount, ...orders }));
}

interface Wanted {
  readonly type: string;
  readonly size: number;
  readonly expect: string;
  readonly number: number;
}

function findNumber(words: ReadonlyMap<number, number>, wanted: Wanted): readonly Match[] {
  const { type, size } = wanted;
  const isFloat = type.endsWith("float");
  const matches: Match[] = [];
  // A single register has no order of registers.
  for (const orders of size === 1
    ? ORDERS.filter(({ wordOrder }) => wordOrder === "BIG")
    : ORDERS) {
    for (const divider of isFloat ? [1] : DIVIDERS) {
      const scale = divider === 1 ? {} : { divider };
      const settings = { functionCode: 3, type, objectsCount: size, round: 9, ...scale } as const;
      const decoder = createDecoder(settings, orders);
      for (const address of words.keys()) {
        const view = viewOf(words, address, size);
        if (view !== undefined && isSame(decoder.decode(view, 0), wanted)) {
          matches.push({ address, type, objectsCount: size, ...scale, ...orders });
        }
      }
    }
  }
  return matches;
}

function viewOf(
  words: ReadonlyMap<number, number>,
  address: number,
  size: number,
): DataView | undefined {
  const view = new DataView(new ArrayBuffer(2 * size));
  for (let index = 0; index < size; index += 1) {
    const word = words.get(address + index);
    if (word === undefined) {
      return undefined;
    }
    view.setUint16(2 * index, word);
  }
  return view;
}

/** Whether a value shows as the text people read on the display: equal to its last decimal. */
function isSame(value: Json | undefined, { expect, number }: Wanted): boolean {
  if (typeof value === "bigint") {
    return /^[+-]?\d+$/.test(expect) && value === BigInt(expect.replace("+", ""));
  }
  const found = value instanceof Float ? value.value : value;
  if (typeof found !== "number" || (found === 0) !== (number === 0)) {
    return false;
  }
  const decimals = Math.min(9, /\.(\d+)$/.exec(expect)?.[1]?.length ?? 0);
  return found === number || found.toFixed(decimals) === number.toFixed(decimals);
}
