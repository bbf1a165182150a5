import { describe, expect, test } from "bun:test";
import { OpenMetrics } from "../../../src/web/open-metrics.ts";
import { metricsText } from "../../../src/web/routes/metrics.ts";
import { someStatus } from "../../support/gateway-status.ts";

/** Value of one sample in an OpenMetrics text. */
function sample(text: string, name: string): number {
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? Number.NaN);
}

describe("OpenMetrics", () => {
  test("writes a family with its unit, and escapes labels", () => {
    const out = new OpenMetrics();
    out.add({ name: "a_bytes", type: "counter", help: 'say "x"\n', unit: "bytes" }, [
      [{ name: 'quote " back \\ line\nend' }, 5],
    ]);
    out.add({ name: "empty", type: "gauge", help: "nothing" }, []);
    expect(out.text()).toBe(
      [
        "# TYPE a_bytes counter",
        "# UNIT a_bytes bytes",
        '# HELP a_bytes say \\"x\\"\\n',
        'a_bytes_total{name="quote \\" back \\\\ line\\nend"} 5',
        "# EOF",
        "",
      ].join("\n"),
    );
  });
});

describe("metricsText()", () => {
  test("says what the ledger says", () => {
    const text = metricsText(someStatus(), 1_700_000_005_000);
    const { ledger } = someStatus().store;
    expect(sample(text, "tbgw_values_received_total")).toBe(ledger.received);
    expect(sample(text, "tbgw_values_stored_total")).toBe(ledger.stored);
    expect(sample(text, "tbgw_values_acknowledged_total")).toBe(ledger.acknowledged);
    expect(sample(text, "tbgw_values_queued")).toBe(ledger.queued);
    expect(sample(text, "tbgw_values_quarantined_total")).toBe(ledger.quarantined);
    expect(sample(text, 'tbgw_values_rejected_total{reason="not-json"}')).toBe(10);
    expect(sample(text, "tbgw_store_oldest_age_seconds")).toBe(5);
    expect(sample(text, 'tbgw_uplink_state{tbgw_uplink_state="connected"}')).toBe(1);
    expect(
      sample(text, 'tbgw_connector_events_total{connector="Plant broker",event="badTimestamps"}'),
    ).toBe(7);
  });

  test("a thousand reasons become a bounded number of samples with the same sum", () => {
    const rejected = Object.fromEntries(
      Array.from({ length: 1000 }, (_none, index) => [`reason-${index}`, 2]),
    );
    const { store } = someStatus();
    const text = metricsText(
      someStatus({ store: { ...store, ledger: { ...store.ledger, rejected } } }),
      0,
    );
    const lines = text.split("\n").filter((line) => line.startsWith("tbgw_values_rejected_total"));
    expect(lines.length).toBe(201);
    const sum = lines.reduce((total, line) => total + Number(line.split(" ").at(-1)), 0);
    expect(sum).toBe(2000);
  });
});
