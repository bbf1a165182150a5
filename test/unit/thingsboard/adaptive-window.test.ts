import { describe, expect, test } from "bun:test";
import { AdaptiveWindow, MAX_WINDOW } from "../../../src/thingsboard/adaptive-window.ts";

function acknowledge(window: AdaptiveWindow, times: number, rttMs: number, wasFull = true): void {
  for (let count = 0; count < times; count += 1) {
    window.acknowledged(rttMs, wasFull);
  }
}

describe("AdaptiveWindow", () => {
  test("grows by one for each full window at a flat round trip, up to the most", () => {
    const window = new AdaptiveWindow();
    expect(window.size).toBe(16);
    acknowledge(window, 16, 5);
    expect(window.size).toBe(17);
    acknowledge(window, 2000, 5);
    expect(window.size).toBe(MAX_WINDOW);
  });

  test("does not grow while it is not used in full", () => {
    const window = new AdaptiveWindow();
    acknowledge(window, 1000, 5, false);
    expect(window.size).toBe(16);
  });

  test("gives back what made the round trip grow, but not more", () => {
    const window = new AdaptiveWindow();
    acknowledge(window, 2000, 5);
    acknowledge(window, MAX_WINDOW, 500);
    expect(window.size).toBe(MAX_WINDOW - 1);
    acknowledge(window, 2000, 500);
    expect(window.size).toBe(16);
  });

  test("halves on trouble, to two at least, and recovers", () => {
    const window = new AdaptiveWindow();
    for (const size of [8, 4, 2, 2]) {
      window.shrink();
      expect(window.size).toBe(size);
    }
    acknowledge(window, 2, 5);
    expect(window.size).toBe(3);
  });

  test("another connection has another round trip", () => {
    const window = new AdaptiveWindow();
    acknowledge(window, 16, 5);
    window.reset();
    acknowledge(window, 17, 300);
    expect(window.size).toBe(18);
  });
});
