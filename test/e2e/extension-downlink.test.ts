// Downlink converters in extension files, in the compiled program: what a device of MQTT and one of Modbus get, byte for byte.
import { expect, test } from "bun:test";
import { connectAsync } from "mqtt";
import { AedesBroker } from "../support/aedes.ts";
import { ExtensionGateway } from "../support/extension-gateway.ts";
import { SEQUENCE_MAPPING } from "../support/gateway-process.ts";
import { ScriptedModbus } from "../support/scripted-modbus.ts";
import { until } from "../support/until.ts";

const PATIENCE_MS = 30_000;

/** A start byte, where the value comes from, and the value. */
function converterText(type: string, start: number): string {
  return `import { defineDownlink } from "tbgw/sdk";
import * as v from "valibot";
export default defineDownlink({
  name: "FrameConverter", type: "${type}", schema: v.looseObject({}),
  create: () => ({ value, source }) => {
    const number = Number(value);
    return Uint8Array.of(${start}, source === "rpc" ? 1 : 2, (number >> 8) & 0xff, number & 0xff);
  },
});
`;
}

test("attributes and calls carry the bytes of the converter of an extension", async () => {
  await using broker = await AedesBroker.listen();
  await using device = await ScriptedModbus.listen(({ socket, right }) => socket.write(right));
  const rule = {
    deviceNameFilter: ".*",
    converter: { type: "custom", extension: "FrameConverter" },
  };
  const mqtt = {
    broker: { host: "127.0.0.1", port: broker.port, version: 4, security: { type: "anonymous" } },
    mapping: [SEQUENCE_MAPPING],
    requestsMapping: {
      attributeUpdates: [
        { ...rule, attributeFilter: "level", topicExpression: "set/${deviceName}" },
      ],
      serverSideRpc: [
        { ...rule, methodFilter: "tell", requestTopicExpression: "tell/${deviceName}" },
      ],
    },
  };
  const registers = { type: "bytes", functionCode: 16, objectsCount: 2 };
  const slave = {
    deviceName: "Pump",
    unitId: 3,
    host: "127.0.0.1",
    port: device.port,
    pollPeriod: 60_000,
    downlink_converter: "FrameConverter",
    timeseries: [{ tag: "n", type: "16int", functionCode: 3, address: 0 }],
    rpc: [{ ...registers, tag: "speed", address: 20 }],
    attributeUpdates: [{ ...registers, tag: "level", address: 30 }],
  };
  await using gateway = await ExtensionGateway.create(
    [
      { type: "mqtt", name: "Broker", file: mqtt },
      { type: "modbus", name: "Line", file: { master: { slaves: [slave] } } },
    ],
    {
      "mqtt/frame-converter.ts": converterText("mqtt", 0xa5),
      "modbus/frame-converter.ts": converterText("modbus", 0x55),
    },
  );
  const heard = new Map<string, string>();
  const client = await connectAsync(`mqtt://127.0.0.1:${broker.port}`, { clientId: "device" });
  client.on("message", (topic, payload) => heard.set(topic, payload.toString("hex")));
  await client.subscribeAsync(["set/#", "tell/#"], { qos: 1 });
  await gateway.start();
  const { platform } = gateway;
  await until(
    "both devices are there",
    async () => {
      await client.publishAsync("plant/Tank/data", '{"seq":1,"value":2}', { qos: 1 });
      return platform.valueCount("Tank", "seq") > 0 && platform.valueCount("Pump", "n") > 0;
    },
    PATIENCE_MS,
  );

  platform.setShared("Tank", { level: 258 });
  platform.setShared("Pump", { level: 258 });
  await platform.rpc("Tank", "tell", 300);
  await platform.rpc("Pump", "speed", 300);
  const written = (): readonly string[] =>
    device.requests
      .filter(({ pdu }) => (pdu[0] ?? 0) > 4)
      .map(({ unit, pdu }) => `${unit} ${Buffer.from(pdu).toString("hex")}`);
  await until("all four", () => heard.size === 2 && written().length === 2, PATIENCE_MS);
  expect(Object.fromEntries(heard)).toEqual({ "set/Tank": "a5020102", "tell/Tank": "a501012c" });
  expect(written().toSorted()).toEqual(["3 1000140002045501012c", "3 10001e00020455020102"]);
  await client.endAsync();
}, 120_000);
