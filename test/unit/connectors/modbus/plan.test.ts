import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type Block,
  lowerLimit,
  type PlanLimits,
  planReads,
  type Span,
  type Split,
  splitBlock,
} from "../../../../connectors/modbus/plan.ts";

const LIMITS: PlanLimits = { merge: true, maxLength: 125, maxGap: 8, cuts: [] };

/** Spans written as `"3"` or `"2-5"`. */
const spans = (...texts: readonly string[]): Span[] =>
  texts.map((text) => {
    const [first = 0, last = first] = text.split("-").map(Number);
    return { first, length: last - first + 1, divisible: false };
  });

const requests = (blocks: readonly Block[]): string =>
  blocks.map(({ first, length }) => `(${first},${length})`).join(" ");

const plan = (list: readonly Span[], rest: Partial<PlanLimits> = {}): string =>
  requests(planReads(list, { ...LIMITS, ...rest }));

describe("planReads()", () => {
  test.each([
    [["0", "1", "2-3"], "(0,4)"],
    [["0", "9"], "(0,10)"],
    [["0", "10"], "(0,1) (10,1)"],
    [["0-99", "100-149"], "(0,100) (100,50)"],
    [["0-3", "2-5"], "(0,6)"],
    [["7", "0"], "(0,8)"],
    [[], ""],
  ])("%p are fetched with %s", (texts, expected) => {
    expect(plan(spans(...texts))).toBe(expected);
  });

  test("nothing is merged when merging is off", () => {
    expect(plan(spans("0", "1", "1"), { merge: false })).toBe("(0,1) (1,1) (1,1)");
  });

  test("no block crosses a cut", () => {
    expect(plan(spans("0", "1", "2", "3"), { cuts: [2] })).toBe("(0,2) (2,2)");
    expect(plan(spans("0", "5"), { cuts: [5] })).toBe("(0,1) (5,1)");
  });

  test("an item's own limit counts for the requests it is part of", () => {
    const list = spans("0", "1", "2", "3").map((span) => ({ ...span, maxLength: 2 }));
    expect(plan(list)).toBe("(0,2) (2,2)");
  });

  test("what is longer than a request is fetched in parts, if it may be", () => {
    const long = { first: 10, length: 300, divisible: true };
    expect(plan([long])).toBe("(10,125) (135,125) (260,50)");
    expect(plan([{ ...long, divisible: false }])).toBe("(10,300)");
  });

  test("every place of every span is fetched exactly once, within the limits", () => {
    const span = fc.record({
      first: fc.integer({ min: 0, max: 600 }),
      length: fc.integer({ min: 1, max: 200 }),
      divisible: fc.boolean(),
    });
    const anyLimits = fc.record({
      merge: fc.boolean(),
      maxLength: fc.integer({ min: 4, max: 125 }),
      maxGap: fc.integer({ min: 0, max: 20 }),
      cuts: fc.array(fc.integer({ min: 0, max: 800 })),
    });
    fc.assert(
      fc.property(fc.array(span, { maxLength: 40 }), anyLimits, (list, limits) => {
        const sized = list.map((one) =>
          one.divisible ? one : { ...one, length: 1 + (one.length % 4) },
        );
        const seen = sized.map((one) => Array.from({ length: one.length }, () => 0));
        for (const block of planReads(sized, limits)) {
          expect(block.length).toBeLessThanOrEqual(limits.maxLength);
          for (const slice of block.slices) {
            expect(slice.offset + slice.length).toBeLessThanOrEqual(block.length);
            expect(block.first + slice.offset).toBe((sized[slice.span]?.first ?? -1) + slice.from);
            for (let place = slice.from; place < slice.from + slice.length; place += 1) {
              const counts = seen[slice.span] ?? [];
              counts[place] = (counts[place] ?? 0) + 1;
            }
          }
        }
        expect(seen.flat().every((count) => count === 1)).toBe(true);
      }),
    );
  });
});

describe("splitBlock()", () => {
  const first = (list: readonly Span[]): Block => {
    const [block] = planReads(list, LIMITS);
    if (block === undefined) {
      throw new Error("no block");
    }
    return block;
  };

  const split = (block: Block | undefined, list: readonly Span[]): Split => {
    const found = block === undefined ? undefined : splitBlock(block, list);
    if (found === undefined) {
      throw new Error("not split");
    }
    return found;
  };

  test("goes by gaps first, then by halves, then by parts of one item", () => {
    const list = spans("0", "1", "5", "6-7");
    const gaps = split(first(list), list);
    expect(gaps.by).toBe("gaps");
    expect(requests(gaps.blocks)).toBe("(0,2) (5,3)");
    const halves = split(gaps.blocks[1], list);
    expect(halves.by).toBe("halves");
    expect(requests(halves.blocks)).toBe("(5,1) (6,2)");
    expect(() => split(halves.blocks[1], list)).toThrow("not split");
    const text = [{ first: 0, length: 100, divisible: true }];
    const parts = split(first(text), text);
    expect(parts.by).toBe("parts");
    expect(requests(parts.blocks)).toBe("(0,50) (50,50)");
  });

  test("the parts hold what the block held", () => {
    const span = fc.record({
      first: fc.integer({ min: 0, max: 100 }),
      length: fc.integer({ min: 1, max: 60 }),
      divisible: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(span, { minLength: 1, maxLength: 20 }), (list) => {
        for (const block of planReads(list, LIMITS)) {
          const parts = splitBlock(block, list);
          const held = (blocks: readonly Block[]): number[] =>
            blocks
              .flatMap((one) =>
                one.slices.flatMap((slice) =>
                  Array.from(
                    { length: slice.length },
                    (_, index) => slice.span * 1000 + slice.from + index,
                  ),
                ),
              )
              .sort((a, b) => a - b);
          if (parts !== undefined) {
            expect(held(parts.blocks)).toEqual(held([block]));
          }
        }
      }),
    );
  });
});

test("a refused length leads to the next lower limit", () => {
  expect([125, 110, 100, 50, 20, 16, 9, 3].map(lowerLimit)).toEqual([
    100, 100, 64, 32, 16, 8, 8, 8,
  ]);
});
