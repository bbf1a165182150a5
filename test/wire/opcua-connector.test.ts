// The OPC UA connector against a real server.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { UAVariable } from "node-opcua-address-space";
import { DataType, StatusCodes, Variant } from "node-opcua-client";
import { encodeJson } from "../../src/sdk/encode.ts";
import type { Json } from "../../src/sdk/model.ts";
import { RunningOpcua } from "../support/opcua-connector.ts";
import { CURRENT_TIME, EXPRESSIONS, NAMES, PATTERNS } from "../support/opcua-rows.ts";
import { PlantServer } from "../support/opcua-server.ts";
import { addTypes, TYPED, TYPES_DEVICE, TYPES_PATTERN } from "../support/opcua-types.ts";
import { freePort } from "../support/ports.ts";
import { until } from "../support/until.ts";

const BOILERS = "Root\\.Objects\\.Boiler\\d+";
const NAME = { deviceNameExpression: "Boiler ${SerialNumber}" };
const D = "Boiler SN-001";

let server: PlantServer;
beforeAll(async () => {
  // Else the server reports a node at most every 50 ms, and folds what comes between.
  server = await PlantServer.start({ serverCapabilities: { minSupportedSampleRate: 0 } });
  addTypes(server);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function start(mapping: readonly Json[], settings: object = {}): Promise<RunningOpcua> {
  return await RunningOpcua.start({
    server: { url: server.url, timeoutInMillis: 4000, scanPeriodInMillis: 1000, ...settings },
    mapping,
  });
}

/** JSON text of an answer: a Float 5 is `5.0`. */
async function answer(
  running: RunningOpcua,
  method: string,
  params: Json,
  device = D,
): Promise<string> {
  return encodeJson((await running.rpc(device, method, params)) ?? null);
}

describe.each([
  ["subscriptions", true],
  ["polling", false],
])("values by %s", (_name, enableSubscriptions) => {
  const settings = { enableSubscriptions, pollPeriodInMillis: 50 };

  test("the worked example", async () => {
    await using running = await start(
      [
        {
          deviceNodePattern: BOILERS,
          deviceInfo: NAME,
          attributes: [
            { key: "model", value: "${Info\\.Model}" },
            { key: "status", value: "${Status}" },
          ],
          timeseries: [
            { key: "t", value: "${2:Temperature}", timestampLocation: "sourcetimestamp" },
            { key: "run", value: "${ns=2;i=11}", timestampLocation: "sourcetimestamp" },
            { key: "zone", value: "${Zone(1)}" },
          ],
        },
      ],
      settings,
    );
    await running.said(D, "zone");
    const text = running.host.texts.find((one) => one.includes(D)) ?? "";
    expect(JSON.parse(text)).toEqual({
      deviceName: D,
      deviceType: "default",
      attributes: { model: "BX", status: "Running" },
      telemetry: [
        { ts: 1_772_359_200_250, values: { t: 81.5 } },
        { ts: 1_772_359_200_000, values: { run: true } },
        { values: { zone: 7 } },
      ],
    });
    expect(running.host.devices.get(D)).toEqual({ deviceType: "default", connected: true });
  });

  test("every expression of a value means the node it names", async () => {
    await using running = await start(
      [
        {
          deviceNodePattern: "ns=2;s=Boiler1",
          deviceInfo: { deviceNameExpression: D },
          timeseries: [
            ...EXPRESSIONS.map(([value], index) => ({ key: `k${index}`, value })),
            { key: "now", value: CURRENT_TIME },
            { key: "constant", type: "constant", value: "plain text" },
            { value: "ns=2;i=14" },
          ],
        },
      ],
      settings,
    );
    await running.said(D, "k16");
    await running.said(D, "now");
    await running.said(D, "constant");
    await running.said(D, "Model");
    const values = EXPRESSIONS.map(([text], index) => {
      const value = running.latest(D, `k${index}`);
      return [text, value === undefined ? undefined : encodeJson(value)];
    });
    expect(values).toEqual(EXPRESSIONS.map((one) => [...one]));
    const several = running.host.lines.filter(({ message }) => message.includes("several nodes"));
    expect(several.length).toBeGreaterThan(0);
  });

  test("every type of value goes up as it should", async () => {
    await using running = await start(
      [
        {
          deviceNodePattern: TYPES_PATTERN,
          deviceInfo: { deviceNameExpression: TYPES_DEVICE },
          timeseries: Object.keys(TYPED).map((key) => ({ key, value: `\${${key}}` })),
        },
      ],
      settings,
    );
    await running.said(TYPES_DEVICE, "Matrix");
    await running.said(TYPES_DEVICE, "Structure");
    for (const [name, { sent }] of Object.entries(TYPED)) {
      const value = running.latest(TYPES_DEVICE, name);
      expect([name, value === undefined ? undefined : encodeJson(value)]).toEqual([name, sent]);
    }
  });

  test("a change arrives", async () => {
    await using running = await start(
      [
        {
          deviceNodePattern: "ns=2;s=Boiler2",
          deviceInfo: { deviceNameExpression: "B2" },
          timeseries: [{ key: "serial", value: "${SerialNumber}" }],
        },
      ],
      settings,
    );
    expect(await running.said("B2", "serial")).toBe("SN-002");
    const variable = server.plant.variables.get("ns=2;i=22");
    variable?.setValueFromSource(new Variant({ dataType: DataType.String, value: "SN-003" }));
    await until("the change", () => running.latest("B2", "serial") === "SN-003");
    variable?.setValueFromSource(new Variant({ dataType: DataType.String, value: "SN-002" }));
  });

  test("a bad status is no value, said once, and over when it is over", async () => {
    await using running = await start(
      [
        {
          deviceNodePattern: "ns=2;s=Boiler2",
          deviceInfo: { deviceNameExpression: "B2" },
          timeseries: [
            { key: "t", value: "${Temperature}" },
            { key: "model", value: "${Info\\.Model}" },
          ],
        },
      ],
      settings,
    );
    await running.said("B2", "t");
    const variable = server.plant.variables.get("ns=2;s=B2.T");
    const value = new Variant({ dataType: DataType.Double, value: 64 });
    variable?.setValueFromSource(value, StatusCodes.BadSensorFailure);
    const said = (text: string): boolean =>
      running.host.lines.some(({ message }) => message === text);
    await until("the bad status is said", () => said("A node has no good value"));
    variable?.setValueFromSource(value, StatusCodes.Good);
    await until("its end is said", () => said("A node has a good value again"));
    expect(running.host.failures.map(({ deviceName }) => deviceName)).toContain("B2");
  });
});

test("changes that the server has no room for are counted, and said", async () => {
  await using running = await start(
    [
      {
        deviceNodePattern: "ns=2;s=Boiler2",
        deviceInfo: { deviceNameExpression: "B2" },
        timeseries: [{ key: "serial", value: "${SerialNumber}" }],
      },
    ],
    { subQueueSize: 2, subSamplingIntervalInMillis: 0 },
  );
  expect(await running.said("B2", "serial")).toBe("SN-002");
  const variable = server.plant.variables.get("ns=2;i=22");
  for (const value of ["SN-1", "SN-2", "SN-3", "SN-4", "SN-002"]) {
    variable?.setValueFromSource(new Variant({ dataType: DataType.String, value }));
  }
  const { host } = running;
  await until("it is counted", () => host.counters.get("serverQueueOverflows") === 1);
  await until("what was kept", () => running.latest("B2", "serial") === "SN-002");
  expect(host.lines.filter(({ message }) => message.includes("left out changes"))).toHaveLength(1);
});

describe("devices", () => {
  const devicesOf = async (deviceNodePattern: string, deviceInfo: Json): Promise<string[]> => {
    await using running = await start([{ deviceNodePattern, deviceInfo }]);
    await running.host.status("connected");
    return [...running.host.devices.keys()];
  };

  test.each(PATTERNS)("at %s", async (pattern, serials) => {
    const names = serials.map((serial) => `Boiler ${serial}`);
    expect(await devicesOf(pattern, NAME)).toEqual(names);
  });

  test("at a name with a space", async () => {
    const name = { deviceNameExpression: "Line ${Speed}" };
    expect(await devicesOf("Root\\.Objects\\.Line A", name)).toEqual(["Line 9007199254740993"]);
  });

  test.each(NAMES)("named %s", async (deviceNameExpression, name) => {
    const names = name === undefined ? [] : [name];
    expect(await devicesOf("Root\\.Objects\\.Boiler1", { deviceNameExpression })).toEqual(names);
  });

  test("two nodes of one name: the first one has it", async () => {
    await using running = await start([
      { deviceNodePattern: BOILERS, deviceInfo: { deviceNameExpression: "same" } },
    ]);
    await running.host.status("connected");
    expect([...running.host.devices.keys()]).toEqual(["same"]);
    const error = running.host.lines.find(({ message }) => message.startsWith("Two nodes"));
    expect(error?.fields).toMatchObject({ device: "same", first: "ns=2;s=Boiler1" });
  });

  test("a device and a point come with their nodes, and go with them", async () => {
    await using running = await start([
      {
        deviceNodePattern: "Root\\.Objects\\.Late",
        deviceInfo: { deviceNameExpression: "Late" },
        timeseries: [{ key: "n", value: "${Number}" }],
      },
    ]);
    await running.host.status("connected");
    expect(running.host.devices.size).toBe(0);
    const { own } = server.plant;
    const space = server.server.engine.addressSpace;
    const late = own.addObject({
      organizedBy: space?.rootFolder.objects ?? "i=85",
      browseName: "Late",
      nodeId: "s=Late",
    });
    await until("the device", () => running.host.devices.has("Late"));
    const add = (): UAVariable => {
      const number = own.addVariable({
        componentOf: late,
        browseName: "Number",
        nodeId: "s=Late.Number",
        dataType: "Int32",
      });
      number.setValueFromSource(new Variant({ dataType: DataType.Int32, value: 4 }));
      return number;
    };
    const number = add();
    expect(await running.said("Late", "n")).toBe(4);
    const { length } = running.host.accepted;
    space?.deleteNode(number);
    await until("the node is missed", () =>
      running.host.lines.some(({ message }) => message.startsWith("A point has no node")),
    );
    add();
    await until("the node is back", () => running.host.accepted.length > length);
    space?.deleteNode(late);
    await until("the device is gone", () => !running.host.devices.has("Late"));
  }, 30_000);
});

test("a node that was given by its id and is not there is watched when it comes", async () => {
  await using running = await start([
    {
      deviceNodePattern: "ns=2;s=Boiler2",
      deviceInfo: { deviceNameExpression: "B2" },
      timeseries: [
        { key: "later", value: "ns=2;s=Later" },
        { key: "model", value: "${Info\\.Model}" },
      ],
    },
  ]);
  await running.said("B2", "model");
  const refused = (): boolean =>
    running.host.lines.some(
      ({ message, fields }) =>
        message.startsWith("A node cannot be watched") &&
        String(fields["status"]).includes("BadNodeIdUnknown"),
    );
  await until("the refusal is said", refused);
  const { own, boiler2 } = server.plant;
  const later = own.addVariable({
    componentOf: boiler2,
    browseName: "Later",
    nodeId: "s=Later",
    dataType: "Int32",
  });
  later.setValueFromSource(new Variant({ dataType: DataType.Int32, value: 5 }));
  expect(await running.said("B2", "later")).toBe(5);
  server.server.engine.addressSpace?.deleteNode(later);
});

test("an old file and its twin of today send the same", async () => {
  const deviceNodePattern = "Root\\.Objects\\.Boiler2";
  const model = "${Info\\.Model}";
  const today = {
    server: { url: server.url, enableSubscriptions: false },
    mapping: [
      {
        deviceNodePattern,
        deviceInfo: {
          deviceNameExpression: "B ${SerialNumber}",
          deviceProfileExpression: "boiler",
        },
        attributes: [{ key: "model", value: model }],
        timeseries: [{ key: "t", value: "${Temperature}", timestampLocation: "sourcetimestamp" }],
      },
    ],
  };
  const old = {
    server: {
      url: server.url,
      disableSubscriptions: true,
      mapping: [
        {
          deviceNodePattern,
          deviceNamePattern: "B ${SerialNumber}",
          deviceTypePattern: "boiler",
          attributes: [{ key: "model", path: model }],
          timeseries: [{ key: "t", path: "${Temperature}", timestampLocation: "sourcetimestamp" }],
        },
      ],
    },
  };
  const sent = async (file: Json): Promise<string | undefined> => {
    await using running = await RunningOpcua.start(file);
    await running.said("B SN-002", "t");
    return running.host.texts[0];
  };
  const text = await sent(today);
  expect(text).toContain('"model":"BY"');
  expect(await sent(old)).toBe(text ?? "");
});

test("a server that is not there refuses commands at once, and is found when it comes", async () => {
  const port = await freePort();
  await using running = await RunningOpcua.start({
    server: { url: `opc.tcp://127.0.0.1:${port}/plant`, timeoutInMillis: 2000 },
    mapping: [
      {
        deviceNodePattern: "ns=2;s=Boiler1",
        deviceInfo: { deviceNameExpression: "B1" },
        timeseries: [{ key: "t", value: "${2:Temperature}" }],
      },
    ],
  });
  await running.host.status("disconnected");
  {
    await using _first = await PlantServer.start({ port });
    await running.said("B1", "t");
  }
  await running.host.status("disconnected");
  expect(await answer(running, "set", "t; 5", "B1")).toBe(
    '{"result":{"error":"OPC UA server is not connected"}}',
  );
  const { length } = running.host.accepted;
  await using second = await PlantServer.start({ port });
  await until("data again", () => running.host.accepted.length > length);
  const variable = second.plant.variables.get("ns=2;s=B1.T");
  expect(variable?.readValue().value.value).toBe(81.5);
  expect(running.host.devices.has("B1")).toBe(true);
}, 60_000);
