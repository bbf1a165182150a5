import { expect, test } from "bun:test";
import { deepFreeze } from "../../../src/config/freeze.ts";

test("deepFreeze() freezes objects and lists all the way down, and leaves buffers alone", () => {
  const value = deepFreeze({ list: [{ a: 1 }], bytes: new Uint8Array(2), when: new Date(0) });
  expect(Object.isFrozen(value)).toBe(true);
  expect(Object.isFrozen(value.list)).toBe(true);
  expect(Object.isFrozen(value.list[0])).toBe(true);
  value.bytes[0] = 7;
  expect(value.bytes[0]).toBe(7);
  expect(Object.isFrozen(value.when)).toBe(false);
});

test("deepFreeze() ends on a value that contains itself", () => {
  const value: { self?: unknown } = {};
  value.self = value;
  expect(Object.isFrozen(deepFreeze(value))).toBe(true);
});
