// What arrives exactly, and what bad input costs, through the compiled gateway.
import { describe, expect, test } from "bun:test";
import { connectAsync } from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { ledgerOf } from "../support/ledger-line.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;

const MAPPING = {
  topicFilter: "plant/data",
  converter: {
    type: "json",
    deviceInfo: { deviceNameExpressionSource: "message", deviceNameExpression: "${name}" },
    attributes: [{ type: "string", key: "model", value: "${model}" }],
    timeseries: [
      { type: "double", key: "double", value: "${double}" },
      { type: "long", key: "long", value: "${long}" },
      { type: "double", key: "decimals", value: "${decimals}" },
      { type: "integer", key: "zero", value: "${zero}" },
      { type: "boolean", key: "off", value: "${off}" },
      { type: "string", key: "empty", value: "${empty}" },
    ],
  },
};

interface Line {
  readonly platform: ThingsBoardDouble;
  readonly gateway: GatewayProcess;
  publish(topic: string, payload: string | Buffer): Promise<unknown>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Broker, gateway and platform, connected. */
async function startLine(mapping: readonly object[]): Promise<Line> {
  await using stack = new AsyncDisposableStack();
  const platform = stack.use(await ThingsBoardDouble.listen({ clock: systemClock }));
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  const broker = stack.use(await Mosquitto.start());
  const gateway = stack.use(
    await GatewayProcess.create({
      platformPort: platform.port,
      brokerPort: broker.port,
      mqtt: { mapping },
    }),
  );
  gateway.start();
  await until("the gateway reached its broker", () =>
    gateway.output.includes("Plant broker: Link is up"),
  );
  const client = await connectAsync({ host: "127.0.0.1", port: broker.port });
  stack.defer(() => client.endAsync());
  const owned = stack.move();
  return {
    platform,
    gateway,
    publish: (topic, payload) => client.publishAsync(topic, payload, { qos: 1 }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

describe("values", () => {
  test(
    "arrive with their exact number type; 0, false and the empty text are data",
    async () => {
      await using line = await startLine([MAPPING]);
      await line.publish(
        "plant/data",
        '{"name":"A","model":"M","double":25,"long":9007199254740993,"decimals":0.12345678901234567,"zero":0,"off":false,"empty":""}',
      );
      await line.platform.until(() => line.platform.keys("A").includes("empty"), TIMEOUT_MS);
      const latest = (key: string) => {
        const { type, text } = line.platform.latest("A", key) ?? {};
        return `${type} ${text}`;
      };
      expect(latest("double")).toBe("DOUBLE 25.0");
      expect(latest("long")).toBe("LONG 9007199254740993");
      expect(latest("decimals")).toBe("DOUBLE 0.1234567890123457");
      expect(latest("zero")).toBe("LONG 0");
      expect(latest("off")).toBe("BOOLEAN false");
      expect(latest("empty")).toBe('STRING ""');
      await line.platform.until(() => line.platform.getClient("A")["model"] !== undefined);
    },
    TIMEOUT_MS,
  );
});

describe("bad input", () => {
  test(
    "costs one counted rejection with its reason, and no other message",
    async () => {
      const extra = { topicFilter: "plant/unknown", converter: { type: "jason" } };
      await using line = await startLine([extra, MAPPING]);
      await line.publish("plant/data", '{"name":"A","double":1}');
      await line.publish("plant/data", '{"name":"A","double":');
      await line.publish("plant/data", Buffer.alloc(256 * 1024 + 1, 0x20));
      await line.publish("plant/data", '{"double":1}');
      await line.publish("plant/data", '{"name":"A","double":"warm"}');
      await line.publish("plant/data", '{"name":"A","double":2}');
      await line.platform.until(
        () => line.platform.latest("A", "double")?.text === "2.0",
        TIMEOUT_MS,
      );
      expect(await line.gateway.stop()).toBe(0);
      expect(ledgerOf(line.gateway.output)).toMatchObject({
        // Two of them say of A which connector it belongs to.
        received: 8,
        stored: 4,
        rejected: { "not-json": 1, "too-large": 1, "no-device-name": 1, "bad-value": 1 },
        dropped: {},
        quarantined: 0,
      });
      expect(line.platform.series("A", "double").map(({ text }) => text)).toEqual(["1.0", "2.0"]);
      expect(line.platform.devices().toSorted()).toEqual(["A", "gateway"]);
      expect(line.gateway.output).toMatch(/mapping\[0\]\.converter\.type/);
    },
    TIMEOUT_MS,
  );
});
