import { describe, expect, test } from "bun:test";
import {
  type Accountable,
  Attribution,
  attribution,
  onBehalf,
  StrayErrorLog,
} from "../../../src/connector/attribution.ts";
import type { Connector } from "../../../src/sdk/connector.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

function accountable(name: string, file?: string): Accountable & { readonly errors: unknown[] } {
  const errors: unknown[] = [];
  return { name, file, errors, fail: (error) => errors.push(error) };
}

describe("Attribution", () => {
  test("charges an error to the one whose timer it comes from", async () => {
    const scopes = new Attribution();
    const [a, b] = [accountable("a"), accountable("b")];
    using _a = scopes.enter(a);
    using _b = scopes.enter(b);
    const { promise, resolve } = Promise.withResolvers<unknown>();
    scopes.run(a, () => setImmediate(() => resolve(scopes.charge(new Error("bug")))));
    expect(await promise).toEqual({ name: "a", isOver: false });
    expect([a.errors.length, b.errors.length]).toEqual([1, 0]);
  });

  test("one that has ended is named and not ended again", () => {
    const scopes = new Attribution();
    const a = accountable("a");
    scopes.enter(a)[Symbol.dispose]();
    expect(scopes.run(a, () => scopes.charge("bug"))).toEqual({
      name: "a",
      isOver: true,
    });
    expect(a.errors).toEqual([]);
  });

  test("without a scope the stack tells the file; of two with one file nobody is charged", () => {
    const scopes = new Attribution();
    const error = new Error("bug");
    error.stack = "Error: bug\n  at later (/ext/tank/tank.ts?v=1:3:4)";
    const a = accountable("a", "/ext/tank/tank.ts");
    const other = accountable("other", "/ext/other.ts");
    using _a = scopes.enter(a);
    using _other = scopes.enter(other);
    expect(scopes.charge(error)).toEqual({ name: "a", isOver: false });
    using _b = scopes.enter(accountable("b", "/ext/tank/tank.ts"));
    expect(scopes.charge(error)).toBeUndefined();
    expect(scopes.charge("text")).toBeUndefined();
    expect(a.errors).toEqual([error]);
  });
});

describe("StrayErrorLog", () => {
  test("names an extension that no connector stands for, and leaves errors of the program alone", () => {
    const { log, records } = memoryLog();
    const errors = new StrayErrorLog(log, new FakeClock(), ["/ext"]);
    const error = new Error("bug");
    error.stack = "Error: bug\n  at /ext/tank/top-level.ts?v=1:3:4";
    expect(errors.take(error)).toBe(true);
    expect(records[0]).toMatchObject({ level: "error", fields: { folder: "/ext", error: "bug" } });
    expect(errors.take(new Error("ours"))).toBe(false);
    expect(errors.take(undefined)).toBe(false);
    expect(records.length).toBe(1);
  });

  test("says once a minute what an ended instance goes on doing, each error for itself", async () => {
    const { log, messages } = memoryLog();
    const clock = new FakeClock();
    const errors = new StrayErrorLog(log, clock, []);
    const ended = accountable("a");
    const take = (text: string): boolean =>
      attribution.run(ended, () => errors.take(new Error(text)));
    for (let count = 0; count < 10; count += 1) {
      expect(take("one")).toBe(true);
      expect(take("other")).toBe(true);
    }
    expect(messages("warn").length).toBe(2);
    await clock.advance(60_000);
    take("one");
    expect(messages("warn").length).toBe(3);
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
