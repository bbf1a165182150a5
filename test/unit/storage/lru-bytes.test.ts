import { expect, test } from "bun:test";
import { LruBytes } from "../../../src/storage/lru-bytes.ts";

test("LruBytes keeps what was used last, as much as fits", () => {
  const lru = new LruBytes<string>(10);
  lru.set(1, "a", 4);
  lru.set(2, "b", 4);
  lru.get(1);
  lru.set(3, "c", 4);
  expect([lru.get(1), lru.get(2), lru.get(3)]).toEqual(["a", undefined, "c"]);
});

test("LruBytes keeps the newest even when it is too big, and nothing beside it", () => {
  const lru = new LruBytes<string>(10);
  lru.set(1, "a", 4);
  lru.set(2, "b", 40);
  expect([lru.get(1), lru.get(2)]).toEqual([undefined, "b"]);
  lru.delete(2);
  lru.set(3, "c", 5);
  lru.set(4, "d", 5);
  expect([lru.get(3), lru.get(4)]).toEqual(["c", "d"]);
});

test("LruBytes counts an entry that is set again once", () => {
  const lru = new LruBytes<string>(10);
  lru.set(1, "a", 6);
  lru.set(1, "b", 6);
  lru.set(2, "c", 4);
  expect([lru.get(1), lru.get(2)]).toEqual(["b", "c"]);
});
