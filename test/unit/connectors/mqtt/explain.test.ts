import { describe, expect, test } from "bun:test";
import { explainMappings } from "../../../../connectors/mqtt/explain.ts";
import { encodeJson } from "../../../../src/sdk/encode.ts";
import { toJson } from "../../../support/connector-host.ts";
import { readMqttConfig } from "../../../support/mqtt-connector.ts";

const explain = (...mapping: readonly object[]): readonly (readonly [string, string, string])[] => {
  const { config } = readMqttConfig({ broker: { host: "h" }, mapping: mapping as never });
  return explainMappings(config).map(({ path, request, sends }) => [
    path,
    request,
    sends === null ? "null" : encodeJson(toJson(sends)),
  ]);
};

describe("explainMappings()", () => {
  test("names the place in the file, also behind a mapping that is left out", () => {
    const good = {
      topicFilter: "a",
      converter: {
        type: "json",
        deviceInfo: { deviceNameExpressionSource: "constant", deviceNameExpression: "d" },
      },
    };
    expect(explain({ topicFilter: "a/#/b", converter: {} }, good).map(([path]) => path)).toEqual([
      "mapping[1]",
    ]);
  });

  test("makes up a message from the expressions and shows what it becomes", () => {
    const [explained] = explain({
      topicFilter: "plant/+/data",
      converter: {
        type: "json",
        deviceInfo: {
          deviceNameExpressionSource: "topic",
          deviceNameExpression: "plant/([^/]+)/data",
        },
        attributes: [{ type: "string", key: "model", value: "${info.model}" }],
        timeseries: [
          { type: "double", key: "t", value: "${info.t}" },
          { type: "boolean", key: "on", value: "${on}" },
        ],
      },
    });
    expect(explained).toEqual([
      "mapping[0]",
      'SUBSCRIBE plant/+/data (QoS 1); for example plant/example/data ← {"info":{"model":"text","t":42},"on":true}',
      '{"deviceName":"example","deviceType":"default","telemetry":[{"values":{"t":42.0,"on":true}}],"attributes":{"model":"text"}}',
    ]);
  });

  test("says null where no example can be made up, and names an extension", () => {
    const explained = explain(
      {
        topicFilter: "a",
        converter: {
          type: "json",
          deviceInfo: { deviceNameExpressionSource: "topic", deviceNameExpression: "never/(x+)" },
          timeseries: "*",
        },
      },
      { topicFilter: "b", converter: { type: "custom", extension: "TankConverter" } },
    );
    expect(explained.map(([, , sends]) => sends)).toEqual(["null", "null"]);
    expect(explained[1]?.[1]).toBe("SUBSCRIBE b (QoS 1); extension TankConverter");
  });
});
