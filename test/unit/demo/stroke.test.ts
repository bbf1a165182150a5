import { expect, test } from "bun:test";
import fc from "fast-check";
import { pressAt } from "../../../src/demo/opcua/stroke.ts";

const elapsed = fc.integer({ min: 0, max: 10_000_000 });
const setpoint = fc.double({ min: 0, max: 1000, noNaN: true });

test("pressAt() presses with at most the force that is set, and only while it presses", () => {
  fc.assert(
    fc.property(elapsed, setpoint, (ms, kn) => {
      const { forceKn, phase, running, positionMm } = pressAt(ms, kn);
      expect(forceKn).toBeGreaterThanOrEqual(0);
      expect(forceKn).toBeLessThanOrEqual(kn + 0.05);
      expect(phase === "pressing" || forceKn === 0).toBe(true);
      expect(running).toBe(phase !== "idle");
      expect(positionMm).toBeGreaterThanOrEqual(40);
      expect(positionMm).toBeLessThanOrEqual(250);
    }),
  );
});

test("pressAt() counts strokes upwards, one at a time", () => {
  fc.assert(
    fc.property(elapsed, (ms) => {
      const more = pressAt(ms + 500, 100).strokes - pressAt(ms, 100).strokes;
      expect([0, 1]).toContain(more);
    }),
  );
});
