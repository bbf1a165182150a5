import { describe, expect, test } from "bun:test";
import { BlockState, Selection } from "../../../src/storage/block-state.ts";
import { blockOf, indexOf, makeCursor } from "../../../src/storage/cursor.ts";
import { records } from "./batches.ts";

describe("BlockState", () => {
  test("finish() counts a record once, with its values", () => {
    const state = new BlockState(1, [{ values: 2 }, { values: 3 }, { values: 5 }], undefined);
    expect(state.finish(1, "acknowledged")).toBe(true);
    expect(state.finish(1, "acknowledged")).toBe(false);
    expect(state.finish(3, "acknowledged")).toBe(false);
    expect(state.finish(2, "quarantined")).toBe(true);
    expect([state.records, state.values]).toEqual([1, 2]);
    expect(state.pending).toEqual({ records: 2, acknowledged: 3, quarantined: 5, dropped: 0 });
    state.settle();
    expect(state.isDirty).toBe(false);
  });

  test("the bitmap brings a state back", () => {
    const list = records(0, 20);
    const state = new BlockState(1, list, undefined);
    for (const index of [0, 7, 8, 19]) {
      state.finish(index, "acknowledged");
    }
    const again = new BlockState(1, list, state.bitmap);
    expect([again.records, again.values, again.isDirty]).toEqual([16, 16, false]);
    expect(Array.from({ length: 20 }, (_, index) => again.isDone(index))).toEqual(
      Array.from({ length: 20 }, (_, index) => [0, 7, 8, 19].includes(index)),
    );
  });

  test("markGone() makes finish() do nothing", () => {
    const state = new BlockState(1, records(0, 2), undefined);
    state.finish(0, "acknowledged");
    state.markGone();
    expect(state.finish(1, "acknowledged")).toBe(false);
    expect(state.isDirty).toBe(false);
  });
});

describe("Selection", () => {
  const list = records(0, 10);
  const open = { state: new BlockState(3, list, undefined), records: list };

  test("take() stops at the number of records and skips what is done", () => {
    const selection = new Selection({ records: 3, bytes: 1e9 });
    open.state.finish(2, "acknowledged");
    selection.take(open, 1);
    expect(selection.records.map(({ cursor }) => [blockOf(cursor), indexOf(cursor)])).toEqual([
      [3, 1],
      [3, 3],
      [3, 4],
    ]);
    expect(selection.isFull).toBe(true);
  });

  test("take() stops before the bytes are passed, but never without a record", () => {
    const length = list[0]?.json.length ?? 0;
    const two = new Selection({ records: 100, bytes: 3 * length - 1 });
    two.take(open, 3);
    expect([two.records.length, two.isFull]).toEqual([2, true]);
    const one = new Selection({ records: 100, bytes: 1 });
    one.take(open, 3);
    expect([one.records.length, one.isFull]).toEqual([1, true]);
  });
});

test("makeCursor() puts block and index together, in order", () => {
  const last = makeCursor(5, 2 ** 20 - 1);
  expect([blockOf(last), indexOf(last)]).toEqual([5, 2 ** 20 - 1]);
  expect(makeCursor(6, 0) > last).toBe(true);
});
