import { expect, test } from "bun:test";
import { latencyEntry } from "../../src/sdk/latency.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { UplinkRig } from "../support/uplink-rig.ts";

test("telemetry with times is taken by the platform, which makes its statistics of them", async () => {
  const clock = new FakeClock();
  await using rig = await UplinkRig.open({ server: { clock } });
  const receivedTs = 1_600_000_000_000;
  const json = latencyEntry({ ts: 1, values: '{"k":1}', connector: "M", receivedTs });
  await rig.put([{ kind: "telemetry", device: "A", deviceType: "t", json, values: 1 }]);
  await rig.emptied();
  expect(rig.store.stats().ledger.quarantined).toBe(0);
  expect(rig.server.latest("A", "k")).toMatchObject({ ts: 1 });
  await clock.advance(60_000);
  const metrics = String(rig.server.latest("GW", "gatewayMetrics")?.value);
  const { M } = JSON.parse(metrics) as { readonly M: { readonly minGwLatency: number } };
  // Published now, years after it was received.
  expect(M.minGwLatency).toBeGreaterThan(100_000_000_000);
});
