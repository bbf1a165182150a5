import { describe, expect, test } from "bun:test";
import type { Values } from "../../../src/sdk/model.ts";
import { ConnectorErrors } from "../../../src/service/connector-errors.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

function scene() {
  const clock = new FakeClock();
  const told: Values[] = [];
  const errors = new ConnectorErrors({
    clock,
    log: memoryLog().log,
    own: {
      publish: async (values) => {
        told.push(values);
        return await Promise.resolve();
      },
    },
    secrets: { hide: (text) => text.replaceAll("s3cret", "***") },
  });
  const last = (): unknown => told.at(-1)?.["connector_errors"];
  return { clock, told, errors, last };
}

const A = { id: "a", name: "Line A" };

describe("ConnectorErrors", () => {
  test("tells at the start that all is well, then only changes, without secrets", async () => {
    const { clock, told, errors, last } = scene();
    await clock.advance(1000);
    expect(last()).toEqual({});
    errors.unusable([
      { name: "Line B", state: "invalid", detail: "b.json, line 3: port: s3cret is no port" },
    ]);
    errors.note(A, { state: "failed", reason: "no cable" });
    await clock.advance(1000);
    expect(last()).toEqual({
      "Line B": "invalid: b.json, line 3: port: *** is no port",
      "Line A": "failed: no cable",
    });
    errors.note(A, undefined);
    errors.note(A, { state: "failed", reason: "no cable" });
    await clock.advance(60_000);
    expect(told).toHaveLength(2);
    errors[Symbol.dispose]();
    expect(clock.waiting).toBe(0);
  });

  test("one that has run for a minute is well, one that is gone is not told of", async () => {
    const { clock, errors, last } = scene();
    errors.note(A, { state: "failed", reason: "x" });
    errors.note({ id: "b", name: "Line B" }, { state: "invalid", reason: "y" });
    await clock.advance(1000);
    errors.ended("b");
    errors.note(A, undefined);
    await clock.advance(59_000);
    expect(last()).toEqual({ "Line A": "failed: x" });
    await clock.advance(2000);
    expect(last()).toEqual({});
    errors.note(A, { state: "failed", reason: "x" });
    errors[Symbol.dispose]();
    errors.ended("a");
    await clock.advance(100_000);
    expect(last()).toEqual({});
  });

  test("a great many are counted, a long reason is cut", async () => {
    const { clock, errors, last } = scene();
    for (let n = 0; n < 60; n += 1) {
      errors.note({ id: `${n}`, name: `Line ${n}` }, { state: "failed", reason: "x".repeat(999) });
    }
    await clock.advance(1000);
    const shown = Object.entries(last() ?? {});
    expect(shown).toHaveLength(51);
    expect(shown[0]?.[1]).toHaveLength(300);
    expect(shown.at(-1)).toEqual(["…", "10 more"]);
  });
});
