// Methods and attribute updates of the OPC UA connector against a real server.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { DataType, Variant, VariantArrayType } from "node-opcua-client";
import { encodeJson } from "../../src/sdk/encode.ts";
import type { Json } from "../../src/sdk/model.ts";
import { RunningOpcua } from "../support/opcua-connector.ts";
import { BOILER1, CALLS, METHODS } from "../support/opcua-rows.ts";
import { PlantServer } from "../support/opcua-server.ts";
import {
  addTypes,
  TYPES_CALLS,
  TYPES_DEVICE,
  TYPES_METHODS,
  TYPES_PATTERN,
} from "../support/opcua-types.ts";

let server: PlantServer;
let running: RunningOpcua;

/** JSON text of an answer: a Float 5 is `5.0`. */
async function answer(method: string, params: Json, device = BOILER1): Promise<string> {
  return encodeJson((await running.rpc(device, method, params)) ?? null);
}

beforeAll(async () => {
  server = await PlantServer.start();
  addTypes(server);
  running = await RunningOpcua.start({
    server: { url: server.url },
    mapping: [
      {
        deviceNodePattern: "Root\\.Objects\\.Boiler\\d+",
        deviceInfo: { deviceNameExpression: "Boiler ${SerialNumber}" },
        timeseries: [{ key: "t", value: "${2:Temperature}" }],
        attributes_updates: [
          { key: "setpoint", value: "${2:Temperature}" },
          { key: "lost", value: "${Nowhere}" },
          { key: "running", value: "${Running}" },
        ],
        rpc_methods: METHODS,
      },
      {
        deviceNodePattern: TYPES_PATTERN,
        deviceInfo: { deviceNameExpression: TYPES_DEVICE },
        rpc_methods: TYPES_METHODS,
      },
    ],
  });
  await running.host.status("connected");
});
afterAll(async () => {
  await running[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

test.each(CALLS)("%s %p", async (method, params, expected) => {
  const text = await answer(method, params);
  expect(text.slice(0, expected.length)).toBe(expected);
});

test.each(TYPES_CALLS)("%s %p of every type", async (method, params, expected) => {
  const text = await answer(method, params, TYPES_DEVICE);
  expect(text.slice(0, expected.length)).toBe(expected);
});

test("each device is its own", async () => {
  expect(await answer("set", "Temperature; 65", "Boiler SN-002")).toBe('{"result":{"value":65.0}}');
  expect(await answer("get", "2:Temperature")).toBe('{"result":{"value":81.5}}');
  expect(await answer("get", "t", "Boiler SN-002")).toBe('{"result":{"value":65.0}}');
  await answer("set", "t; 64", "Boiler SN-002");
  expect(await answer("get", "t", "Nobody")).toBe('{"result":{"error":"Device not found"}}');
});

test("attribute updates are written, each by itself", async () => {
  const values = { setpoint: "70.5", lost: 1, unknown: 2, running: "false" };
  const update = { deviceName: "Boiler SN-001", values, removed: [] };
  await running.connector.handleAttributes?.(update, new AbortController().signal);
  expect(await answer("get", "2:Temperature")).toBe('{"result":{"value":70.5}}');
  expect(await answer("get", "Running")).toBe('{"result":{"value":false}}');
  expect(await answer("get", "t", "Boiler SN-002")).toBe('{"result":{"value":64.0}}');
  const { lines } = running.host;
  const failed = lines.filter(({ message }) => message === "Cannot write an attribute");
  expect(failed.map(({ fields }) => fields["attribute"])).toEqual(["lost"]);
  expect(running.connector.sharedAttributeKeys?.("Boiler SN-001")).toEqual([
    "setpoint",
    "lost",
    "running",
  ]);
});

test("a method of the connector is called on every device", async () => {
  const request = {
    id: 1,
    method: "Reset",
    params: { arguments: [{ type: "integer", value: 2 }] },
    timeoutMs: 5000,
  };
  const signal = new AbortController().signal;
  expect(await running.connector.handleConnectorRpc?.(request, signal)).toEqual([
    { result: true, device_name: "Boiler SN-001" },
    {
      error: "The requested operation has no match to return.(BadNoMatch)",
      device_name: "Boiler SN-002",
    },
    {
      error: "The requested operation has no match to return.(BadNoMatch)",
      device_name: TYPES_DEVICE,
    },
  ]);
});

/** Adds enumerations of both kinds and a variable of each: their names as a list, and with numbers of their own. */
function addEnumerations(): void {
  const { own, boiler1 } = server.plant;
  const mode = own.addEnumerationType({
    browseName: "Mode",
    enumeration: ["Off", "Auto", "Manual"],
  });
  const level = own.addEnumerationType({
    browseName: "Level",
    enumeration: [
      { displayName: "Low", value: -1 },
      { displayName: "High", value: 70_000 },
    ],
  });
  for (const [name, dataType] of [
    ["Mode", mode.nodeId],
    ["Level", level.nodeId],
  ] as const) {
    const variable = own.addVariable({
      componentOf: boiler1,
      browseName: name,
      nodeId: `s=enum.${name}`,
      dataType,
      accessLevel: "CurrentRead | CurrentWrite",
      userAccessLevel: "CurrentRead | CurrentWrite",
    });
    variable.setValueFromSource(
      new Variant({ dataType: DataType.Int32, arrayType: VariantArrayType.Scalar, value: 0 }),
    );
  }
}

test("an enumeration is written by its names or its numbers", async () => {
  addEnumerations();
  expect(await answer("set", "Mode; Manual")).toBe('{"result":{"value":2}}');
  expect(await answer("get", "Mode")).toBe('{"result":{"value":2}}');
  expect(await answer("set", "Mode; 1")).toBe('{"result":{"value":1}}');
  expect(await answer("set", "Level; Low")).toBe('{"result":{"value":-1}}');
  expect(await answer("set", "Level; High")).toBe('{"result":{"value":70000}}');
  expect(await answer("get", "Level")).toBe('{"result":{"value":70000}}');
  expect(await answer("set", "Mode; Sideways")).toBe(
    '{"result":{"error":"Sideways is none of the names of the type: Off, Auto, Manual"}}',
  );
});

test("attributes that come together are written with one request", async () => {
  const writes: number[] = [];
  const { engine } = server.server;
  const write = engine.write.bind(engine);
  engine.write = async (context, nodes) => {
    writes.push(nodes.length);
    return await write(context, nodes);
  };
  try {
    const values = { setpoint: 70.5, running: "false" };
    const update = { deviceName: "Boiler SN-001", values, removed: [] };
    await running.connector.handleAttributes?.(update, new AbortController().signal);
    expect(writes).toEqual([2]);
    expect(await answer("get", "2:Temperature")).toBe('{"result":{"value":70.5}}');
    expect(await answer("get", "Running")).toBe('{"result":{"value":false}}');
  } finally {
    engine.write = write;
  }
});
