import { describe, expect, test } from "bun:test";
import type { DeliveryReport, LinkState } from "../../../src/delivery/port.ts";
import { UplinkHistory } from "../../../src/service/uplink-history.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { someStatus } from "../../support/gateway-status.ts";

function report(state: LinkState["state"], publishes = 0): DeliveryReport {
  const { store, link, sender, rates } = someStatus();
  return {
    store: { ...store, marks: new Map() },
    rates,
    link: { ...link, state },
    sender: { ...sender, publishes },
    watchdog: { reconnects: 0, rebuilds: 0 },
  };
}

describe("UplinkHistory", () => {
  test("counts connections after the first, and since when the uplink is as it is", async () => {
    const clock = new FakeClock();
    const history = new UplinkHistory(clock);
    for (const state of ["connecting", "connected"] as const) {
      history.update(report(state));
      await clock.advance(1000);
    }
    expect(history.summary).toEqual({ sinceMs: 1000, reconnects: 0 });
    history.update(report("down"));
    await clock.advance(5000);
    // Attempts that fail do not make the outage any younger.
    history.update(report("connecting"));
    history.update(report("down"));
    await clock.advance(5000);
    expect(history.summary).toEqual({ sinceMs: 10_000, reconnects: 0 });
    history.update(report("connected"));
    expect(history.summary).toEqual({ sinceMs: 0, reconnects: 1 });
  });

  test("counters go on when those of the delivery thread begin again", () => {
    const history = new UplinkHistory(new FakeClock());
    const seen = [5, 9, 0, 4, 4].map(
      (count) => history.update(report("connected", count)).sender.publishes,
    );
    expect(seen).toEqual([5, 9, 9, 13, 13]);
    expect(history.last?.sender.publishes).toBe(13);
  });
});
