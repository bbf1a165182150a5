import { expect, test } from "bun:test";
import { problemText, summarize } from "../../../../connectors/ble/summary.ts";
import { epochMs } from "../../../../src/sdk/model.ts";

const ts = epochMs(Date.UTC(2026, 10, 27, 14, 2, 11));

test("devices that are there are counted, those that are not are named with the reason", () => {
  const there = { name: "a", problem: undefined };
  expect(summarize([there, there])).toEqual({
    status: "connected",
    detail: "2 of 2 devices there",
  });
  expect(summarize([there, { name: "pump", problem: "not heard yet" }])).toEqual({
    status: "degraded",
    detail: "1 of 2 devices there; pump: not heard yet",
  });
});

test("of many absent devices five are named", () => {
  const many = Array.from({ length: 300 }, (_, index) => ({ name: `p${index}`, problem: "gone" }));
  const { detail } = summarize(many);
  expect(detail).toStartWith("0 of 300 devices there; p0: gone; ");
  expect(detail).toEndWith("p4: gone; and 295 more are not there");
});

test.each([
  [{ connects: true }, "not heard yet"],
  [{ connects: false }, "not heard yet"],
  [{ connects: true, heardTs: ts }, "not connected yet"],
  [{ connects: false, heardTs: ts }, "heard, but without a value"],
  [{ connects: true, heardTs: ts, thereTs: ts }, "not connected since 2026-11-27 14:02:11 UTC"],
  [{ connects: false, heardTs: ts, thereTs: ts }, "not heard since 2026-11-27 14:02:11 UTC"],
  [{ connects: true, heardTs: ts, error: "no answer" }, "not connected yet (no answer)"],
])("%j: %s", (about, text) => {
  const whole = { heardTs: undefined, thereTs: undefined, error: undefined, ...about };
  expect(problemText(whole)).toBe(text);
});

test("a long reason is cut", () => {
  const about = { connects: true, heardTs: ts, thereTs: undefined, error: "x".repeat(5000) };
  expect(problemText(about).length).toBeLessThan(150);
});
