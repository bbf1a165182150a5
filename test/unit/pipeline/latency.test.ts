import { describe, expect, test } from "bun:test";
import { ReportRig } from "../../support/report-rig.ts";

const { signal } = new AbortController();

/** Telemetry and attributes of a connector called M. */
async function send(rig: ReportRig, ts?: number): Promise<readonly string[]> {
  const uplink = rig.pipeline.uplinkOf({ onDevice: () => "default" }, { id: "m", name: "M" });
  const values = { k: 1 };
  const telemetry = [ts === undefined ? { values } : { ts: rig.at(ts), values }];
  await uplink.accept(
    { deviceName: "d", receivedTs: rig.at(3), telemetry, attributes: { a: 1 } },
    signal,
  );
  return rig.sink.records.splice(0).map(({ json }) => json);
}

describe("Pipeline.latencyDebug", () => {
  test("adds connector and times to telemetry while it is on", async () => {
    const rig = new ReportRig();
    expect(await send(rig)).toEqual(['{"a":1}', `{"ts":${rig.at(3)},"values":{"k":1}}`]);
    rig.pipeline.latencyDebug = true;
    const [attributes, entry = ""] = await send(rig, 7);
    expect(attributes).toBe('{"a":1}');
    expect(JSON.parse(entry)).toEqual({
      ts: rig.at(7),
      values: { k: 1 },
      metadata: { connector: "M", receivedTs: rig.at(3), publishedTs: rig.at(3) },
    });
    rig.pipeline.latencyDebug = false;
    expect((await send(rig, 8))[1]).toBe(`{"ts":${rig.at(8)},"values":{"k":1}}`);
  });

  test("adds none to a sample without a time that is known, nor to the gateway's own data", async () => {
    const rig = new ReportRig();
    rig.pipeline.latencyDebug = true;
    const provisional = -2 * rig.at(0);
    expect((await send(rig, provisional))[1]).toStartWith('{"ts":-');
    await rig.pipeline.acceptOwn({ telemetry: [{ ts: rig.at(0), values: { k: 1 } }] }, signal);
    expect(rig.sink.records[0]?.json).toBe(`{"ts":${rig.at(0)},"values":{"k":1}}`);
  });

  test("works under a report strategy too", async () => {
    const rig = new ReportRig({ gateway: { type: "ON_CHANGE" } });
    rig.pipeline.latencyDebug = true;
    expect((await send(rig, 7))[1]).toContain('"metadata"');
  });
});
