import { describe, expect, test } from "bun:test";
import { KeyQueue } from "../../../src/sdk/key-queue.ts";

/** Lets promises that are ready run. */
async function settled(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setImmediate(resolve);
  await promise;
}

describe("KeyQueue", () => {
  test("runs the jobs of a key in order and one at a time, those of other keys meanwhile", async () => {
    const queue = new KeyQueue({ perKey: 10, total: 10 });
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    queue.tryPush("a", async () => {
      await gate.promise;
      order.push("a1");
    });
    queue.tryPush("a", async () => {
      order.push("a2");
    });
    queue.tryPush("b", async () => {
      order.push("b1");
    });
    await settled();
    expect(order).toEqual(["b1"]);
    gate.resolve();
    await settled();
    expect(order).toEqual(["b1", "a1", "a2"]);
    expect(queue.size).toBe(0);
  });

  test("refuses more than it may hold, for a key and in all, and takes jobs again when there is room", async () => {
    const queue = new KeyQueue({ perKey: 2, total: 3 });
    const gate = Promise.withResolvers<void>();
    const hold = (): Promise<void> => gate.promise;
    expect([1, 2, 3, 4].map(() => queue.tryPush("a", hold))).toEqual([true, true, true, false]);
    expect([1, 2, 3].map(() => queue.tryPush("b", hold))).toEqual([true, true, false]);
    gate.resolve();
    await settled();
    expect(queue.tryPush("a", hold)).toBe(true);
  });

  test("a job that throws does not stop the next one", async () => {
    const queue = new KeyQueue({ perKey: 2, total: 2 });
    const order: string[] = [];
    queue.tryPush("a", () => Promise.reject(new Error("broken")));
    queue.tryPush("a", async () => {
      order.push("next");
    });
    await settled();
    expect(order).toEqual(["next"]);
  });
});
