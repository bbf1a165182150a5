import { type MqttConfig, mqttConfig } from "../../connectors/mqtt/config.ts";
import mqtt from "../../connectors/mqtt/connector.ts";
import type { Json } from "../../src/sdk/model.ts";
import { TestHost } from "./connector-host.ts";
import { type ReadConfig, readConfig } from "./read-config.ts";
import { RunningConnector } from "./running-connector.ts";

/** Reads a connector file as the core does. @throws Error with all errors when nothing is left of it */
export function readMqttConfig(file: Json): ReadConfig<MqttConfig> {
  return readConfig(mqttConfig, file, mqtt);
}

/** A mapping whose device is the second level of the topic, with one value. */
export function simpleMapping(topicFilter: string, extra: object = {}): Json {
  return {
    topicFilter,
    converter: {
      type: "json",
      deviceInfo: { deviceNameExpressionSource: "topic", deviceNameExpression: "[^/]+/([^/]+)" },
      timeseries: [{ type: "long", key: "n", value: "${n}" }],
    },
    ...extra,
  };
}

/** A running MQTT connector with its host; disposing stops both. */
export class RunningMqtt extends RunningConnector {
  static async start(
    broker: { readonly port: number; readonly [key: string]: Json },
    rest: { readonly [key: string]: Json } = {},
    host: TestHost = new TestHost(),
  ): Promise<RunningMqtt> {
    const file = {
      broker: { host: "127.0.0.1", ...broker },
      mapping: [simpleMapping("plant/+/data")],
      ...rest,
    };
    return new RunningMqtt(await mqtt.create(readMqttConfig(file).config, host.host), host);
  }
}
