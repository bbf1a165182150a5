// From the platform to devices on mosquitto and back, through the compiled program: calls, attributes, announcements.
import { describe, expect, test } from "bun:test";
import { connectAsync, type MqttClient } from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import type { Json } from "../../src/sdk/model.ts";
import { GatewayProcess, SEQUENCE_MAPPING } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;

const REQUESTS = {
  connectRequests: [
    {
      topicFilter: "hello/+",
      deviceInfo: {
        deviceNameExpressionSource: "topic",
        deviceNameExpression: "hello/(.+)",
        deviceProfileExpressionSource: "message",
        deviceProfileExpression: "${profile}",
      },
    },
  ],
  disconnectRequests: [
    {
      topicFilter: "bye/+",
      deviceInfo: { deviceNameExpressionSource: "topic", deviceNameExpression: "bye/(.+)" },
    },
  ],
  attributeRequests: [
    {
      topicFilter: "ask/+",
      deviceInfo: { deviceNameExpressionSource: "topic", deviceNameExpression: "ask/(.+)" },
      attributeNameExpressionSource: "message",
      attributeNameExpression: "${names}",
      topicExpression: "answer/${deviceName}",
      valueExpression: "${attributeKey}=${attributeValue}",
    },
  ],
  attributeUpdates: [
    {
      deviceNameFilter: ".*",
      attributeFilter: "level",
      topicExpression: "set/${deviceName}/${attributeKey}",
      valueExpression: "${attributeValue}",
      retain: true,
      qos: 1,
      syncOnConnect: true,
    },
  ],
  serverSideRpc: [
    {
      deviceNameFilter: ".*",
      methodFilter: "echo",
      requestTopicExpression: "req/${deviceName}/${methodName}/${requestId}",
      responseTopicExpression: "res/${deviceName}/${methodName}/${requestId}",
      responseTimeout: 2000,
      valueExpression: "${params}",
    },
    {
      deviceNameFilter: ".*",
      methodFilter: "^go$",
      requestTopicExpression: "go/${deviceName}",
      valueExpression: "${params}",
      qos: 1,
    },
  ],
};

const CUSTOM_MAPPING = {
  topicFilter: "custom/sensors/+",
  converter: {
    type: "custom",
    extension: "CustomMqttUplinkConverter",
    extensionConfig: { temperature: 2, humidity: 2, batteryLevel: 1 },
  },
};

/** A device that answers calls of `echo` and writes down everything it hears. */
class Device implements AsyncDisposable {
  readonly heard: { readonly topic: string; readonly text: string; readonly retain: boolean }[] =
    [];
  readonly #client: MqttClient;

  private constructor(client: MqttClient) {
    this.#client = client;
    client.on("message", (topic, payload, { retain }) => {
      this.heard.push({ topic, text: payload.toString(), retain });
      const text = payload.toString();
      if (topic.startsWith("req/") && !text.includes("silent")) {
        client.publish(topic.replace("req/", "res/"), text);
      }
    });
  }

  static async connect(port: number): Promise<Device> {
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 100 });
    client.on("error", () => client.reconnecting);
    const device = new Device(client);
    await client.subscribeAsync(["req/#", "set/#", "answer/#", "go/#", "own/#"], { qos: 1 });
    return device;
  }

  async publish(topic: string, payload: string): Promise<void> {
    await this.#client.publishAsync(topic, payload, { qos: 1 });
  }

  /** Waits for a message of a topic; the text of the last one. */
  async hears(topic: string): Promise<string> {
    await until(`a message for ${topic}`, () => this.heard.some((one) => one.topic === topic));
    return this.heard.findLast((one) => one.topic === topic)?.text ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.endAsync(true);
  }
}

interface Scene extends AsyncDisposable {
  readonly platform: ThingsBoardDouble;
  readonly broker: Mosquitto;
  readonly gateway: GatewayProcess;
  readonly device: Device;
  readonly call: (method: string, params?: Json, device?: string) => Promise<Json>;
}

async function openScene(version: 4 | 5): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const platform = stack.use(await ThingsBoardDouble.listen({ clock: systemClock }));
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  const broker = stack.use(await Mosquitto.start());
  const device = stack.use(await Device.connect(broker.port));
  const gateway = stack.use(
    await GatewayProcess.create({
      platformPort: platform.port,
      brokerPort: broker.port,
      mqtt: {
        broker: { version, cleanStart: false, sessionExpiryInterval: 600 },
        mapping: [SEQUENCE_MAPPING, CUSTOM_MAPPING],
        requestsMapping: REQUESTS,
      },
    }),
  );
  gateway.start();
  await until("both links are up", () => gateway.output.split("Link is up").length > 2);
  await device.publish("hello/pump", '{"profile":"Pump"}');
  await platform.until(() => platform.devices().includes("pump"), 10_000);
  const kept = stack.move();
  return {
    platform,
    broker,
    gateway,
    device,
    call: async (method, params = null, name = "pump") =>
      JSON.parse(await platform.rpc(name, method, params)),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

describe.each([4, 5] as const)("MQTT version %i", (version) => {
  test(
    "calls reach the device and are answered once, attributes too",
    async () => {
      await using scene = await openScene(version);
      const { platform, device, call } = scene;
      expect(platform.device("pump")?.profile).toBe("Pump");

      const answers: string[] = [];
      const farewells: string[] = [];
      platform.onPublish(({ topic, text }) => {
        if (topic === "v1/gateway/disconnect") {
          farewells.push(text);
        }
        if (topic === "v1/gateway/rpc") {
          answers.push(text);
        }
      });
      expect(await call("echo", { on: true, text: "it's" })).toEqual({ on: true, text: "it's" });
      expect(await call("go", 5)).toEqual({ success: true });
      expect(await device.hears("go/pump")).toBe("5");
      expect(await call("nothing")).toMatchObject({ success: false, code: 404 });
      expect(await call("echo", { silent: true })).toMatchObject({ success: false, code: 408 });
      expect(
        await call("set", "requestTopicExpression=own/${deviceName};value=${params};"),
      ).toEqual({ success: true });
      expect(await device.hears("own/pump")).toStartWith('"requestTopicExpression=');
      const own = { requestTopicExpression: "own/all", value: "${params.payload}", payload: [1] };
      expect(await call("mqtt_all", own, "gateway")).toEqual({ success: true });
      expect(await device.hears("own/all")).toBe("[1]");
      expect(answers).toHaveLength(5);

      platform.setShared("pump", { level: 7.5 });
      await until("the update", () =>
        device.heard.some(({ topic, text }) => topic === "set/pump/level" && text === "7.5"),
      );
      await device.publish("ask/pump", '{"names":"level"}');
      expect(await device.hears("answer/pump")).toBe("level=7.5");

      await device.publish("custom/sensors/dev1", "0x01B402BC5F");
      await platform.until(() => platform.series("dev1", "batteryLevel").length === 1, 10_000);
      expect(platform.series("dev1", "temperature")[0]?.text).toBe("180");

      await device.publish("bye/pump", "");
      await until("the device is signed off", () => farewells.length === 1);
      expect(farewells).toEqual(['{"device":"pump"}']);
    },
    TIMEOUT_MS,
  );
});

test(
  "while the broker is away a call is an error, an update waits, and both work when it is back",
  async () => {
    await using scene = await openScene(4);
    const { platform, broker, device, gateway, call } = scene;
    await broker.kill();
    await until("the link is down", () => gateway.output.includes("Link is down"));
    expect(await call("go", 1)).toMatchObject({ success: false, error: "broker not connected" });
    expect(await call("echo", 1)).toMatchObject({ success: false, error: "broker not connected" });
    platform.setShared("pump", { level: 1 });
    platform.setShared("pump", { level: 2 });
    await broker.restart();
    await until("the link is up again", () => gateway.output.includes("Link is up again"));
    expect(await device.hears("set/pump/level")).toBe("2");
    await until("a call gets through", async () => {
      const answer = await call("go", 3);
      return JSON.stringify(answer) === '{"success":true}';
    });
  },
  TIMEOUT_MS,
);
