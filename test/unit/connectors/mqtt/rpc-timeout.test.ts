import { describe, expect, test } from "bun:test";
import { callTimeoutMs, compileRpc } from "../../../../connectors/mqtt/downlink.ts";
import { readMqttConfig } from "../../../support/mqtt-connector.ts";

function entry(method: string, response: object) {
  return {
    deviceNameFilter: "Pump .*",
    methodFilter: `^${method}$`,
    requestTopicExpression: "cmd/${deviceName}",
    valueExpression: "${params}",
    ...response,
  };
}

describe("callTimeoutMs()", () => {
  test("gives a call the time its response is awaited for, when that is longer than a call has anyway", () => {
    const responseTopicExpression = "cmd/${deviceName}/reply";
    const { config } = readMqttConfig({
      broker: { host: "127.0.0.1" },
      mapping: [],
      requestsMapping: {
        serverSideRpc: [
          entry("long", { responseTopicExpression, responseTimeout: 30_000 }),
          entry("short", { responseTopicExpression, responseTimeout: 3000 }),
          entry("oneway", { responseTimeout: 30_000 }),
        ],
      },
    });
    const planRpc = compileRpc(config.requestsMapping.serverSideRpc);
    const of = (method: string, deviceName = "Pump 1") =>
      callTimeoutMs(planRpc, { deviceName, method, params: null });
    expect([of("long"), of("mqtt_long"), of("short"), of("oneway"), of("none")]).toEqual([
      31_000,
      31_000,
      undefined,
      undefined,
      undefined,
    ]);
    expect(of("long", "Fan 1")).toBeUndefined();
  });
});
