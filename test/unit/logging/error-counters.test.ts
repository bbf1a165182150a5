import { describe, expect, test } from "bun:test";
import { ErrorCounters } from "../../../src/logging/error-counters.ts";
import type { LogRecord } from "../../../src/sdk/logger.ts";
import { unsentError } from "../../../src/sdk/unsent.ts";
import { PlatformLink } from "../../../src/service/platform-link.ts";
import { FakeClock } from "../../support/fake-clock.ts";

function rig() {
  const clock = new FakeClock();
  const platform = new PlatformLink();
  platform.update(true);
  const sent: unknown[] = [];
  const state = { fails: false };
  const counters = new ErrorCounters({
    clock,
    platform,
    publisher: {
      publish: async (_topic, payload) => {
        if (state.fails) {
          throw unsentError("busy");
        }
        sent.push(await Promise.resolve(JSON.parse(payload)));
      },
    },
  });
  return { clock, platform, sent, counters, state };
}

function error(more: Partial<LogRecord> = {}): LogRecord {
  return { ts: 0, level: "error", source: "service", message: "x", fields: {}, ...more };
}

describe("ErrorCounters", () => {
  test("counts a connector with its converters, and all together, at most every 5 s", async () => {
    const { clock, sent, counters } = rig();
    counters.offer(error());
    counters.offer(error({ source: "Modbus", channel: "connector" }));
    counters.offer(error({ source: "Modbus", channel: "converter" }));
    counters.offer(error({ source: "Modbus", channel: "connector", level: "warn" }));
    await clock.advance(4999);
    expect(sent).toEqual([]);
    await clock.advance(1);
    expect(sent).toEqual([
      { service_ERRORS_COUNT: 1, Modbus_ERRORS_COUNT: 2, ALL_ERRORS_COUNT: 3 },
    ]);
    counters.offer(error({ source: "delivery" }));
    await clock.advance(5000);
    expect(sent.at(-1)).toEqual({
      service_ERRORS_COUNT: 2,
      Modbus_ERRORS_COUNT: 2,
      ALL_ERRORS_COUNT: 4,
    });
  });

  test("starts again after a minute, sends the zeros once, and then does nothing", async () => {
    const { clock, sent, counters } = rig();
    expect(clock.waiting).toBe(0);
    counters.offer(error());
    await clock.advance(65_000);
    expect(sent).toEqual([
      { service_ERRORS_COUNT: 1, ALL_ERRORS_COUNT: 1 },
      { service_ERRORS_COUNT: 0, ALL_ERRORS_COUNT: 0 },
    ]);
    expect(clock.waiting).toBe(0);
    await clock.advance(600_000);
    expect(sent).toHaveLength(2);
  });

  test("while the platform is away nothing is sent; then what is true at that moment", async () => {
    const { clock, platform, sent, counters } = rig();
    platform.update(false);
    counters.offer(error());
    counters.offer(error());
    await clock.advance(30_000);
    expect(sent).toEqual([]);
    platform.update(true);
    await clock.advance(5000);
    expect(sent).toEqual([{ service_ERRORS_COUNT: 2, ALL_ERRORS_COUNT: 2 }]);
  });

  test("what could not be sent is tried again", async () => {
    const { clock, sent, counters, state } = rig();
    state.fails = true;
    counters.offer(error());
    await clock.advance(11_000);
    state.fails = false;
    await clock.advance(5000);
    expect(sent).toEqual([{ service_ERRORS_COUNT: 1, ALL_ERRORS_COUNT: 1 }]);
    counters[Symbol.dispose]();
    expect(clock.waiting).toBe(0);
  });
});
