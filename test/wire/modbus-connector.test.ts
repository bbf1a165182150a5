import { describe, expect, test } from "bun:test";
import type { Json } from "../../src/sdk/model.ts";
import { RunningModbus } from "../support/modbus-connector.ts";
import { ModbusServer, tcpSlave } from "../support/modbus-server.ts";
import { until } from "../support/until.ts";

const item = (tag: string, type: string, address: number | string, rest: object = {}): Json => ({
  tag,
  type,
  functionCode: 3,
  objectsCount: 1,
  address,
  ...rest,
});

/** The plant of the specification: what one device holds, and what becomes of it. */
function fillPlant(server: ModbusServer): void {
  for (const [address, word] of [
    [0, 0xfff6],
    [2, 2],
    [10, 0xe240],
    [11, 1],
    [12, 0xf5c3],
    [13, 0x4148],
  ] as const) {
    server.holding.set(address, word);
  }
  for (const [index, word] of [7, 8, 9].entries()) {
    server.input.set(20 + index, word);
  }
  server.coils.add(4);
  for (const address of [8, 10, 11]) {
    server.inputs.add(address);
  }
}

const PLANT = [
  item("temperature", "16int", 0, { divider: 10 }),
  item("state", "16uint", 2, { variants: { "1": "RUN", "2": "STOP" } }),
  item("energy", "32uint", 10, { objectsCount: 2, multiplier: 0.01 }),
  item("flow", "32float", 12, { objectsCount: 2, round: 2 }),
  item("relay", "bits", 4, { functionCode: 1 }),
  item("inputs", "bits", 8, { functionCode: 2, objectsCount: 4, bitTargetType: "int" }),
  item("r_${address}", "16uint", "20-22", { functionCode: 4 }),
];

describe("reading", () => {
  test("items of every kind arrive with as few requests as possible", async () => {
    await using server = await ModbusServer.listen();
    fillPlant(server);
    const slave = { unitId: 3, wordOrder: "LITTLE", timeseries: PLANT, pollPeriod: 20 };
    await using running = await RunningModbus.withSlaves([tcpSlave(server.port, slave)]);
    await running.records(2);
    expect(running.host.texts[1]).toBe(
      '{"deviceName":"Pump","deviceType":"default","telemetry":[{"values":{"relay":true,"inputs":[1,1,0,1],"temperature":-1.0,"state":"STOP","energy":1234.56,"flow":12.56,"r_20":7,"r_21":8,"r_22":9}}]}',
    );
    expect(server.requests.slice(0, 2)).toEqual(["3 3 0+14", "3 4 20+3"]);
    expect(running.host.devices.get("Pump")).toEqual({ deviceType: "default", connected: true });
    expect(running.host.statuses.at(-1)?.status).toBe("connected");
  });

  test("devices of one unit and period are read together, others apart", async () => {
    await using server = await ModbusServer.listen();
    const port = server.port;
    await using running = await RunningModbus.withSlaves([
      tcpSlave(port, { deviceName: "A", timeseries: [item("a", "16int", 0)] }),
      tcpSlave(port, { deviceName: "B", timeseries: [item("b", "16int", 5)] }),
      tcpSlave(port, { deviceName: "C", pollPeriod: 60, timeseries: [item("c", "16int", 9)] }),
      tcpSlave(port, { deviceName: "D", unitId: 2, timeseries: [item("d", "16int", 3)] }),
    ]);
    for (const name of ["A", "B", "C", "D"]) {
      await running.records(1, name);
    }
    expect(new Set(server.requests)).toEqual(new Set(["1 3 0+6", "1 3 9+1", "2 3 3+1"]));
  });

  test("with readOptimization off each item is a request of its own", async () => {
    await using server = await ModbusServer.listen();
    const timeseries = [item("a", "16int", 0), item("b", "16int", 1)];
    const slave = tcpSlave(server.port, { timeseries, readOptimization: false });
    await using running = await RunningModbus.withSlaves([slave]);
    await running.records(1);
    expect(server.requests.slice(0, 2)).toEqual(["1 3 0+1", "1 3 1+1"]);
  });

  test("a text longer than a request is fetched in parts of one cycle", async () => {
    await using server = await ModbusServer.listen();
    for (let address = 0; address < 200; address += 1) {
      server.holding.set(address, 0x4141 + (address % 20) * 0x0101);
    }
    const timeseries = [item("text", "string", 0, { objectsCount: 200 })];
    await using running = await RunningModbus.withSlaves([tcpSlave(server.port, { timeseries })]);
    await running.records(1);
    const text = running.host.accepted[0]?.telemetry?.[0]?.values["text"];
    expect(text).toBe("AABBCCDDEEFFGGHHIIJJKKLLMMNNOOPPQQRRSSTT".repeat(10));
    expect(server.requests.slice(0, 2)).toEqual(["1 3 0+125", "1 3 125+75"]);
  });

  test("attributes and telemetry are in one record, with their report strategies", async () => {
    await using server = await ModbusServer.listen();
    const strategy = { type: "ON_CHANGE" };
    const slave = tcpSlave(server.port, {
      deviceType: "pump",
      reportStrategy: { type: "ON_REPORT_PERIOD", reportPeriod: 1000 },
      attributes: [item("model", "16uint", 1, { reportStrategy: strategy })],
      timeseries: [item("rpm", "16uint", 0)],
    });
    await using running = await RunningModbus.withSlaves([slave]);
    await running.records(1);
    expect(running.host.texts[0]).toBe(
      '{"deviceName":"Pump","deviceType":"pump","telemetry":[{"values":{"rpm":0}}],"attributes":{"model":0},"strategy":{"type":"ON_REPORT_PERIOD","reportPeriod":1000},"keyStrategies":{"model":{"type":"ON_CHANGE"}}}',
    );
  });
});

describe("commands", () => {
  const slave = (port: number): Json =>
    tcpSlave(port, {
      timeseries: [item("n", "16int", 0)],
      rpc: [
        item("read", "16int", 3, { divider: 10 }),
        item("write", "32float", 10, { functionCode: 16, objectsCount: 2 }),
        item("bit", "bits", 12, { functionCode: 6, registerBit: 4 }),
        item("start", "bits", 1, { functionCode: 5 }),
      ],
      attributeUpdates: [item("setpoint", "16uint", 7, { functionCode: 6 })],
    });

  test("methods read and write, and every failure is one answer", async () => {
    await using server = await ModbusServer.listen();
    server.holding.set(3, 235);
    server.holding.set(12, 0b1001);
    await using running = await RunningModbus.withSlaves([slave(server.port)]);
    await running.records(1);
    expect(await running.rpc("Pump", "read", null)).toEqual({ result: { value: 23.5 } });
    expect(await running.rpc("Pump", "write", 12.56)).toEqual({ result: { value: 12.56 } });
    expect([server.holding.get(10), server.holding.get(11)]).toEqual([0x4148, 0xf5c3]);
    expect(await running.rpc("Pump", "bit", true)).toEqual({ result: { value: true } });
    expect(server.holding.get(12)).toBe(0b1_1001);
    expect(await running.rpc("Pump", "start", 1)).toEqual({ result: { value: 1 } });
    expect(server.coils.has(1)).toBe(true);
    expect(await running.rpc("Pump", "write", "abc")).toEqual({
      result: { error: 'Cannot write "abc": need a number' },
    });
    expect(await running.rpc("Pump", "nothing", 1)).toEqual({
      result: { error: "Method not found for nothing" },
    });
    expect(await running.rpc("X", "read", 1)).toEqual({
      result: { error: "Device not found" },
    });
  });

  test("get and set are there for every device", async () => {
    await using server = await ModbusServer.listen();
    server.holding.set(2, 78);
    await using running = await RunningModbus.withSlaves([slave(server.port)]);
    await running.records(1);
    const rest = "functionCode=3;objectsCount=1;address=2;";
    expect(await running.rpc("Pump", "get", `type=16int;${rest}`)).toEqual({
      result: { value: 78 },
    });
    expect(await running.rpc("Pump", "GET", `type=8uint;${rest}`)).toEqual({
      result: { value: 0 },
    });
    const set = "type=32float;functionCode=16;objectsCount=2;address=4;value=1.5;";
    expect(await running.rpc("Pump", "set", set)).toEqual({ result: { value: "1.5" } });
    expect([server.holding.get(4), server.holding.get(5)]).toEqual([0x3fc0, 0]);
    const coil = "type=bits;functionCode=5;objectsCount=1;address=1;value=true;";
    expect(await running.rpc("Pump", "set", coil)).toEqual({ result: { value: "true" } });
    expect(server.coils.has(1)).toBe(true);
    expect(await running.rpc("Pump", "get", "type=16int")).toEqual({
      error:
        "The requested RPC either does not match with the schema get type=<type>;functionCode=<functionCode>;objectsCount=<objectsCount>;address=<address>; or incorrect value/values provided",
      success: false,
    });
  });

  test("a method of the connector goes to every device, or to the one it describes", async () => {
    await using server = await ModbusServer.listen();
    server.holding.set(2, 78);
    const port = server.port;
    await using running = await RunningModbus.withSlaves([slave(port)]);
    await running.records(1);
    const signal = new AbortController().signal;
    const ask = async (params: Json): Promise<Json | void> =>
      await running.connector.handleConnectorRpc?.(
        { id: 1, method: "get", params, timeoutMs: 2000 },
        signal,
      );
    const read = { type: "16int", functionCode: 3, objectsCount: 1, address: 2 };
    expect(await ask(read)).toEqual([{ result: 78, device_name: "Pump" }]);
    const where = { host: "127.0.0.1", port, unitId: 9, byteOrder: "BIG", deviceName: "other" };
    expect(await ask({ ...read, ...where })).toEqual([{ result: 78, device_name: "other" }]);
    await using elsewhere = await ModbusServer.listen();
    elsewhere.holding.set(2, 5);
    expect(await ask({ ...read, ...where, port: elsewhere.port })).toEqual([
      { result: 5, device_name: "other" },
    ]);
    expect(await ask({ functionCode: 3 })).toEqual({
      error: '"type" must be a type such as 16int',
      success: false,
    });
  });

  test("a shared attribute is written, and its keys are known to the core", async () => {
    await using server = await ModbusServer.listen();
    await using running = await RunningModbus.withSlaves([slave(server.port)]);
    await running.records(1);
    expect(running.connector.sharedAttributeKeys?.("Pump")).toEqual(["setpoint"]);
    const update = { deviceName: "Pump", values: { setpoint: 21, other: 1 }, removed: [] };
    await running.connector.handleAttributes?.(update, new AbortController().signal);
    expect(server.holding.get(7)).toBe(21);
  });

  test("an attribute that changes while the device is away is written when it is back", async () => {
    const server = await ModbusServer.listen();
    const port = server.port;
    await server[Symbol.asyncDispose]();
    await using running = await RunningModbus.withSlaves([slave(port)]);
    const update = { deviceName: "Pump", values: { setpoint: 1 }, removed: [] };
    const signal = new AbortController().signal;
    await running.connector.handleAttributes?.(update, signal);
    await running.connector.handleAttributes?.({ ...update, values: { setpoint: 22 } }, signal);
    expect(await running.rpc("Pump", "read", null)).toEqual({
      result: { error: "there is no connection" },
    });
    await using back = await ModbusServer.listen(port);
    await until("the attribute is written", () => back.holding.get(7) === 22);
  });

  test("a value that was written is not overtaken by an older one that had to wait", async () => {
    await using server = await ModbusServer.listen();
    await using running = await RunningModbus.withSlaves([slave(server.port)]);
    const signal = new AbortController().signal;
    const update = (setpoint: number) => ({
      deviceName: "Pump",
      values: { setpoint },
      removed: [],
    });
    // Not connected yet: it waits.
    await running.connector.handleAttributes?.(update(1), signal);
    await running.records(1);
    await running.connector.handleAttributes?.(update(2), signal);
    await running.records(running.host.accepted.length + 3);
    expect(server.holding.get(7)).toBe(2);
  });
});
