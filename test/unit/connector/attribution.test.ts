import { describe, expect, test } from "bun:test";
import {
  type Accountable,
  Attribution,
  chargeStray,
  onBehalf,
} from "../../../src/connector/attribution.ts";
import type { Connector } from "../../../src/sdk/connector.ts";
import { memoryLog } from "../../support/memory-log.ts";

function accountable(name: string, file?: string): Accountable & { readonly errors: unknown[] } {
  const errors: unknown[] = [];
  return { name, file, errors, fail: (error) => errors.push(error) };
}

describe("Attribution", () => {
  test("charges an error to the one whose timer it comes from", async () => {
    const attribution = new Attribution();
    const [a, b] = [accountable("a"), accountable("b")];
    using _a = attribution.enter(a);
    using _b = attribution.enter(b);
    const { promise, resolve } = Promise.withResolvers<unknown>();
    attribution.run(a, () => setImmediate(() => resolve(attribution.charge(new Error("bug")))));
    expect(await promise).toEqual({ name: "a", isOver: false });
    expect([a.errors.length, b.errors.length]).toEqual([1, 0]);
  });

  test("one that has ended is named and not ended again", () => {
    const attribution = new Attribution();
    const a = accountable("a");
    attribution.enter(a)[Symbol.dispose]();
    expect(attribution.run(a, () => attribution.charge("bug"))).toEqual({
      name: "a",
      isOver: true,
    });
    expect(a.errors).toEqual([]);
  });

  test("without a scope the stack tells the file; of two with one file nobody is charged", () => {
    const attribution = new Attribution();
    const error = new Error("bug");
    error.stack = "Error: bug\n  at later (/ext/tank/tank.ts?v=1:3:4)";
    const a = accountable("a", "/ext/tank/tank.ts");
    const other = accountable("other", "/ext/other.ts");
    using _a = attribution.enter(a);
    using _other = attribution.enter(other);
    expect(attribution.charge(error)).toEqual({ name: "a", isOver: false });
    using _b = attribution.enter(accountable("b", "/ext/tank/tank.ts"));
    expect(attribution.charge(error)).toBeUndefined();
    expect(attribution.charge("text")).toBeUndefined();
    expect(a.errors).toEqual([error]);
  });
});

describe("chargeStray()", () => {
  test("names an extension that no connector stands for, and leaves errors of the program alone", () => {
    const { log, records } = memoryLog();
    const options = { log, rareLog: log, roots: ["/ext"] };
    const error = new Error("bug");
    error.stack = "Error: bug\n  at /ext/tank/top-level.ts?v=1:3:4";
    expect(chargeStray(error, options)).toBe(true);
    expect(records[0]).toMatchObject({ level: "error", fields: { folder: "/ext", error: "bug" } });
    expect(chargeStray(new Error("ours"), options)).toBe(false);
    expect(chargeStray(undefined, options)).toBe(false);
    expect(records.length).toBe(1);
  });
});

describe("onBehalf()", () => {
  test("keeps `this`, and lacks the handlers that the connector lacks", async () => {
    class Plant implements Connector {
      readonly answer = 42;
      async run(): Promise<void> {}
      async handleRpc(): Promise<number> {
        return this.answer;
      }
      async [Symbol.asyncDispose](): Promise<void> {}
    }
    const made = onBehalf(new Plant(), accountable("a"));
    const request = { id: 1, method: "m", params: null, timeoutMs: 1 };
    expect(await made.handleRpc?.(request, new AbortController().signal)).toBe(42);
    expect(Object.keys(made).toSorted()).toEqual(["handleRpc", "run"]);
  });

  test("a dispose that throws rejects, whatever it is", async () => {
    const made = onBehalf(
      {
        run: async () => undefined,
        [Symbol.asyncDispose]: () => {
          throw new Error("bug");
        },
      },
      accountable("a"),
    );
    expect(await made[Symbol.asyncDispose]().catch((error: unknown) => error)).toEqual(
      new Error("bug"),
    );
  });
});
