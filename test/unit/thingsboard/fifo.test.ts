import { expect, test } from "bun:test";
import fc from "fast-check";
import { Fifo } from "../../../src/thingsboard/fifo.ts";

test("a Fifo does what an array does", () => {
  const operation = fc.oneof(
    fc.record({ kind: fc.constant("push" as const), value: fc.integer() }),
    fc.record({ kind: fc.constant("shift" as const) }),
    fc.record({
      kind: fc.constant("prepend" as const),
      values: fc.array(fc.integer(), { maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant("takeAll" as const) }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const fifo = new Fifo<number>();
      let model: number[] = [];
      for (const each of operations) {
        switch (each.kind) {
          case "push":
            fifo.push(each.value);
            model.push(each.value);
            break;
          case "shift":
            expect(fifo.shift()).toBe(model.shift());
            break;
          case "prepend":
            fifo.prepend(each.values);
            model.unshift(...each.values);
            break;
          case "takeAll":
            expect(fifo.takeAll()).toEqual(model);
            model = [];
            break;
        }
        expect([fifo.size, fifo.peek()]).toEqual([model.length, model[0]]);
      }
    }),
  );
});
