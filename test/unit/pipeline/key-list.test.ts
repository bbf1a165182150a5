import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { KeyList } from "../../../src/pipeline/key-list.ts";

const operation = fc.record({
  do: fc.constantFrom("add", "add", "add", "delete", "get"),
  key: fc.nat(60).map((index) => (index === 0 ? "__proto__" : `k${index}`)),
});

test("KeyList holds what a Map would, in its order, however many there are", () => {
  fc.assert(
    fc.property(fc.array(operation, { minLength: 20, maxLength: 200 }), (operations) => {
      const list = new KeyList<{ readonly key: string }>();
      const model = new Map<string, { readonly key: string }>();
      for (const { do: what, key } of operations) {
        if (what === "add" && !model.has(key)) {
          const item = { key };
          list.add(item);
          model.set(key, item);
        } else if (what === "delete") {
          list.delete(key);
          model.delete(key);
        }
        expect(list.get(key)).toBe(model.get(key));
        expect(list.size).toBe(model.size);
      }
      expect([...list.values()]).toEqual([...model.values()]);
      for (const item of list.values()) {
        list.delete(item.key);
      }
      expect(list.size).toBe(0);
    }),
  );
});
