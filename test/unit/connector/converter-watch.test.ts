import { describe, expect, test } from "bun:test";
import { ConverterWatch } from "../../../src/connector/converter-watch.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

function setUp() {
  const clock = new FakeClock();
  const { log, records } = memoryLog();
  const counted: string[] = [];
  const at: (string | undefined)[] = [];
  const times = [0, 0];
  const watch = new ConverterWatch({
    clock: { monotonicMs: () => times.shift() ?? clock.monotonicMs() },
    rareLog: log,
    metrics: { count: (name) => counted.push(name), rejected: () => undefined },
    at: (converter) => at.push(converter),
  });
  return { watch, times, records, counted, at };
}

describe("ConverterWatch", () => {
  test("names the converter at work, also when it throws", () => {
    const { watch, at } = setUp();
    expect(watch.run("A", () => 1)).toBe(1);
    expect(() =>
      watch.run("B", () => {
        throw new Error("bug");
      }),
    ).toThrow("bug");
    expect(at).toEqual(["A", undefined, "B", undefined]);
  });

  test("charges more than 250 ms to the converter, with its name", () => {
    const { watch, times, records, counted } = setUp();
    times.splice(0, 2, 1000, 1250);
    watch.run("Quick", () => 1);
    times.push(2000, 2251.4);
    watch.run("Slow", () => 1);
    expect(counted).toEqual(["slowConverter"]);
    expect(records.map(({ level, fields }) => [level, fields])).toEqual([
      ["warn", { converter: "Slow", ms: 251 }],
    ]);
  });
});
