// Downlink converters of extensions: what they return is what a device gets, byte for byte, and what they throw is the answer.
import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import type { DownlinkTable } from "../../src/connector/converters.ts";
import { type DownlinkRequest, defineDownlink } from "../../src/sdk/converter.ts";
import { DataError, RpcError } from "../../src/sdk/errors.ts";
import type { Json } from "../../src/sdk/model.ts";
import { TestHost } from "../support/connector-host.ts";
import { RunningModbus } from "../support/modbus-connector.ts";
import { RunningMqtt } from "../support/mqtt-connector.ts";
import { ScriptedBroker, type ScriptedPeer } from "../support/scripted-broker.ts";
import { ScriptedModbus } from "../support/scripted-modbus.ts";
import { until } from "../support/until.ts";

/** A frame of a protocol of its own: a start byte from the configuration, the value, a sum. Some values are special. */
function frame(
  start: number,
  { value, source }: DownlinkRequest<unknown>,
): Uint8Array | string | null {
  switch (value) {
    case "nothing":
      return null;
    case "text":
      return "as text";
    case "bad":
      throw new DataError("the value is out of range");
    case "busy":
      throw new RpcError("the device is in service", 409);
    case "broken":
      throw new TypeError("cannot read tables");
    default: {
      const number = Number(value);
      const body = [start, source === "rpc" ? 1 : 2, (number >> 8) & 0xff, number & 0xff];
      return Uint8Array.from([...body, 0xff]);
    }
  }
}

const mqttFrame = defineDownlink({
  name: "FrameConverter",
  type: "mqtt",
  schema: v.looseObject({
    converter: v.looseObject({ extensionConfig: v.object({ start: v.number() }) }),
  }),
  create:
    ({ converter }) =>
    (request) =>
      frame(converter.extensionConfig.start, request),
});

const modbusFrame = defineDownlink({
  name: "FrameConverter",
  type: "modbus",
  schema: v.looseObject({ deviceName: v.string() }),
  create: () => (request) => {
    const made = frame(0x55, request);
    return made instanceof Uint8Array ? made.subarray(0, 4) : made;
  },
});

const tableOf = (
  definition: Awaited<ReturnType<DownlinkTable[string]>>["default"],
): DownlinkTable => ({
  FrameConverter: async () => await Promise.resolve({ default: definition }),
});

describe("MQTT", () => {
  const converter = {
    type: "custom",
    extension: "FrameConverter",
    extensionConfig: { start: 0xa5 },
  };
  const requestsMapping: Json = {
    attributeUpdates: [
      {
        deviceNameFilter: ".*",
        attributeFilter: "level|unused",
        topicExpression: "set/${deviceName}/${attributeKey}",
        qos: 1,
        converter,
      },
      {
        deviceNameFilter: ".*",
        attributeFilter: ".*",
        topicExpression: "plain",
        valueExpression: "${attributeValue}",
      },
    ],
    serverSideRpc: [
      {
        deviceNameFilter: ".*",
        methodFilter: "^ask$",
        requestTopicExpression: "req/${deviceName}/${requestId}",
        responseTopicExpression: "res/${deviceName}/${requestId}",
        responseTimeout: 3000,
        converter,
      },
      {
        deviceNameFilter: ".*",
        methodFilter: "^tell$",
        requestTopicExpression: "tell/${deviceName}",
        converter,
      },
      {
        deviceNameFilter: ".*",
        methodFilter: "^lost$",
        requestTopicExpression: "lost",
        converter: { extension: "Nobody" },
      },
    ],
  };

  async function start(broker: ScriptedBroker): Promise<RunningMqtt> {
    const host = new TestHost({ type: "mqtt", downlinks: tableOf(mqttFrame) });
    const running = await RunningMqtt.start(
      { port: broker.port, version: 5 },
      { requestsMapping, mapping: [] },
      host,
    );
    await host.status("connected");
    return running;
  }

  const rpc = ({ connector }: RunningMqtt, method: string, params: Json): Promise<Json | void> => {
    const request = { deviceName: "d", id: 7, method, params, timeoutMs: 10_000 };
    return Promise.resolve(connector.handleRpc?.(request, new AbortController().signal));
  };

  const hex = async (peer: ScriptedPeer, count: number): Promise<readonly [string, string]> => {
    const { topic, payload } = await peer.packet("publish", count);
    return [topic, Buffer.from(payload).toString("hex")];
  };

  test("attributes and calls carry the bytes of the converter", async () => {
    await using broker = await ScriptedBroker.listen(() => ({ acknowledges: true }));
    await using running = await start(broker);
    const peer = await broker.peer();
    const asked = rpc(running, "ask", 300);
    expect(await hex(peer, 1)).toEqual(["req/d/7", "a501012cff"]);
    peer.publish("res/d/7", '{"ok":1}');
    expect(await asked).toEqual({ ok: 1 });
    expect(await rpc(running, "tell", "text")).toBeUndefined();
    expect(await hex(peer, 2)).toEqual(["tell/d", Buffer.from("as text").toString("hex")]);

    const update = { deviceName: "d", values: { level: 258 }, removed: [] };
    await running.connector.handleAttributes?.(update, new AbortController().signal);
    await peer.packet("publish", 4);
    const sent = peer
      .of("publish")
      .slice(2)
      .map(({ topic, payload }) => [topic, Buffer.from(payload).toString("hex")]);
    expect(sent.toSorted(([a = ""], [b = ""]) => a.localeCompare(b))).toEqual([
      ["plain", Buffer.from("258").toString("hex")],
      ["set/d/level", "a5020102ff"],
    ]);
  });

  test("what it throws is the answer, and costs no other attribute", async () => {
    await using broker = await ScriptedBroker.listen(() => ({ acknowledges: true }));
    await using running = await start(broker);
    const peer = await broker.peer();
    for (const [params, code, message] of [
      ["bad", 400, "the value is out of range"],
      ["busy", 409, "the device is in service"],
      ["broken", 400, "cannot read tables"],
    ] as const) {
      await expect(rpc(running, "ask", params)).rejects.toMatchObject({
        name: "RpcError",
        code,
        message,
      });
    }
    expect(await rpc(running, "ask", "nothing")).toBeUndefined();
    await expect(rpc(running, "lost", 1)).rejects.toMatchObject({ code: 404 });
    expect(running.host.lines).toContainEqual(
      expect.objectContaining({ level: "error", message: "Request is switched off" }),
    );
    for (const value of ["bad", "busy", "broken", "nothing"]) {
      const update = { deviceName: "d", values: { level: value, other: value }, removed: [] };
      await running.connector.handleAttributes?.(update, new AbortController().signal);
    }
    await until("the other messages", () => peer.of("publish").length > 0);
    await peer.roundTrip();
    expect(new Set(peer.of("publish").map(({ topic }) => topic))).toEqual(new Set(["plain"]));
    expect(running.host.counters.get("badAttributeUpdates")).toBe(3);
  });
});

describe("Modbus", () => {
  const item = (tag: string, functionCode: number, address: number): Json => ({
    tag,
    type: "bytes",
    functionCode,
    objectsCount: 2,
    address,
  });

  async function start(port: number): Promise<RunningModbus> {
    const host = new TestHost({ type: "modbus", downlinks: tableOf(modbusFrame) });
    const running = await RunningModbus.withSlaves(
      [
        {
          deviceName: "Pump",
          unitId: 3,
          host: "127.0.0.1",
          port,
          pollPeriod: 60_000,
          timeout: 3,
          downlink_converter: "FrameConverter",
          timeseries: [{ tag: "n", type: "16int", functionCode: 3, address: 0 }],
          rpc: [item("speed", 16, 20)],
          attributeUpdates: [item("level", 16, 30)],
        },
      ],
      host,
    );
    await running.records(1);
    return running;
  }

  test("attributes and calls write the registers of the converter; what it throws is the answer", async () => {
    await using device = await ScriptedModbus.listen(({ socket, right }) => socket.write(right));
    await using running = await start(device.port);
    const written = (): readonly string[] =>
      device.requests
        .filter(({ pdu }) => (pdu[0] ?? 0) > 4)
        .map(({ unit, pdu }) => `${unit} ${Buffer.from(pdu).toString("hex")}`);

    expect(await running.rpc("Pump", "speed", 300)).toEqual({ result: { value: 300 } });
    expect(written()).toEqual(["3 1000140002045501012c"]);
    const update = { deviceName: "Pump", values: { level: 258 }, removed: [] };
    await running.connector.handleAttributes?.(update, new AbortController().signal);
    expect(written().at(-1)).toBe("3 10001e00020455020102");

    expect(await running.rpc("Pump", "speed", "bad")).toEqual({
      result: { error: "the value is out of range" },
    });
    expect(await running.rpc("Pump", "speed", "broken")).toEqual({
      result: { error: "cannot read tables" },
    });
    await expect(running.rpc("Pump", "speed", "busy")).rejects.toMatchObject({ code: 409 });
    await running.rpc("Pump", "speed", "nothing");
    expect(written().length).toBe(2);
  });
});
