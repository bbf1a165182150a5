import { describe, expect, test } from "bun:test";
import type { Rates } from "../../../src/delivery/port.ts";
import { Throughput } from "../../../src/delivery/throughput.ts";

/** A meter with counts that change by `happen`, as a store's do: told before, then changed. */
class Line {
  readonly meter = new Throughput(0);
  counts: Rates = { received: 0, stored: 0, acknowledged: 0 };
  asked = 0;

  happen(nowMs: number, more: Partial<Rates>): void {
    this.meter.before(nowMs, () => {
      this.asked += 1;
      return this.counts;
    });
    this.counts = {
      received: this.counts.received + (more.received ?? 0),
      stored: this.counts.stored + (more.stored ?? 0),
      acknowledged: this.counts.acknowledged + (more.acknowledged ?? 0),
    };
  }

  at(nowMs: number): Rates {
    return this.meter.rates(nowMs, this.counts);
  }
}

describe("Throughput", () => {
  test("gives values a second over the last minute", () => {
    const line = new Line();
    for (let ms = 0; ms < 300_000; ms += 100) {
      line.happen(ms, { received: 5, stored: 4, acknowledged: 3 });
    }
    const { received, stored, acknowledged } = line.at(300_000);
    expect(received).toBeCloseTo(50, 0);
    expect(stored).toBeCloseTo(40, 0);
    expect(acknowledged).toBeCloseTo(30, 0);
  });

  test("is right after a pause of any length, with what came in one moment before it", () => {
    const line = new Line();
    for (let count = 0; count < 100; count += 1) {
      line.happen(1000, { received: 1 });
    }
    expect(line.at(600_000).received).toBe(0);
    line.happen(600_000, { received: 60 });
    expect(line.at(600_001).received).toBe(1);
    expect(line.at(659_999).received).toBe(1);
    expect(line.at(660_001).received).toBe(0);
  });

  test("a thread that has just started counts over its own time", () => {
    const line = new Line();
    line.happen(5000, { received: 100 });
    expect(line.at(10_000).received).toBe(10);
  });

  test("asks for the counts once a second at most, whatever the load", () => {
    const line = new Line();
    for (let ms = 0; ms < 10_000; ms += 1) {
      line.happen(ms, { stored: 1 });
    }
    expect(line.asked).toBe(10);
  });
});
