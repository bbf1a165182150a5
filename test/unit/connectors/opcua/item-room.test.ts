import { expect, test } from "bun:test";
import { ItemRoom, isFull } from "../../../../connectors/opcua/item-room.ts";

test("a subscription is filled before there is another one", () => {
  const room = new ItemRoom();
  expect(room.of([])).toBe("another");
  const first = { size: 4999 };
  expect(room.of([first])).toBe(first);
  expect(room.sizeOf(first)).toBe(1);
  expect(room.of([{ size: 5000 }])).toBe("another");
});

test("subscriptions take more once the server allows no other", () => {
  const room = new ItemRoom();
  room.noOther();
  const [large, small] = [{ size: 7000 }, { size: 6000 }];
  expect(room.of([large, small])).toBe(small);
  expect(room.sizeOf(small)).toBe(5000);
  room.refused({ size: 7500 });
  expect(room.sizeOf(small)).toBe(1500);
  expect(room.of([{ size: 7500 }])).toBe("none");
  room.clear();
  expect(room.of([large])).toBe("another");
});

test("what the server allows for one subscription holds for all of them", () => {
  const room = new ItemRoom();
  room.refused({ size: 1000 });
  expect(room.of([{ size: 1000 }])).toBe("another");
  const next = { size: 0 };
  expect(room.of([{ size: 1000 }, next])).toBe(next);
  expect(room.sizeOf(next)).toBe(1000);
  room.refused(next);
  expect(room.of([{ size: 1000 }, next])).toBe("none");
});

test.each([
  ["BadTooManyMonitoredItems", true],
  ["BadNodeIdUnknown", false],
])("%s means no room: %p", (name, expected) => {
  expect(isFull({ name })).toBe(expected);
});
