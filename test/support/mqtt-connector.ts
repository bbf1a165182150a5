import { type MqttConfig, mqttConfig } from "../../connectors/mqtt/config.ts";
import mqtt from "../../connectors/mqtt/connector.ts";
import type { Connector } from "../../src/sdk/connector.ts";
import type { Json } from "../../src/sdk/model.ts";
import { TestHost } from "./connector-host.ts";
import { type ReadConfig, readConfig } from "./read-config.ts";

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
export class RunningConnector implements AsyncDisposable {
  readonly host: TestHost;
  readonly connector: Connector;
  /** Settles when `run` ends; its rejection is not an error of the test. */
  readonly ended: Promise<unknown>;
  readonly #stop = new AbortController();

  private constructor(host: TestHost, connector: Connector) {
    this.host = host;
    this.connector = connector;
    this.ended = connector.run(this.#stop.signal).catch((error: unknown) => error);
  }

  static async start(
    broker: { readonly port: number; readonly [key: string]: Json },
    rest: { readonly [key: string]: Json } = {},
    host: TestHost = new TestHost(),
  ): Promise<RunningConnector> {
    const file = {
      broker: { host: "127.0.0.1", ...broker },
      mapping: [simpleMapping("plant/+/data")],
      ...rest,
    };
    const connector = await mqtt.create(readMqttConfig(file).config, host.host);
    return new RunningConnector(host, connector);
  }

  /** Asks it to stop and waits until it has. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.ended;
    await this.connector[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.host[Symbol.asyncDispose]();
  }
}
