import { expect, test } from "bun:test";
import { explainOpcua } from "../../../../connectors/opcua/explain.ts";
import { readOpcuaConfig } from "../../../support/opcua-connector.ts";

const MAPPING = [
  {
    deviceNodePattern: "Root\\.Objects\\.Boiler\\d+",
    deviceInfo: {
      deviceNameExpression: "Boiler ${SerialNumber}",
      deviceProfileExpression: "boiler",
    },
    attributes: [
      { key: "model", value: "${Info\\.Model}" },
      { key: "site", type: "constant", value: "North" },
    ],
    timeseries: [{ key: "t", value: "nsu=urn:plant;b=U3BlZWQ=", timestampLocation: "source" }],
    attributes_updates: [{ key: "setpoint", value: "${Setpoint}", timeout: 700 }],
    rpc_methods: [{ method: "Reset", arguments: [{ type: "integer", value: 1 }] }],
  },
];

function lines(server: object): readonly (readonly [string, string])[] {
  const { config } = readOpcuaConfig({
    server: { url: "10.0.0.5:4840", ...server },
    mapping: MAPPING,
  });
  return explainOpcua(config).map(({ path, request }) => [path, request] as const);
}

test("explainOpcua() names the node, the request and the time of each point", () => {
  const device = "mapping[0]";
  expect(lines({ subCheckPeriodInMillis: 500 })).toEqual([
    [
      "server",
      "a session with opc.tcp://10.0.0.5:4840; all nodes are looked for when it is open and every 3600000 ms",
    ],
    [
      `${device}.deviceNodePattern`,
      "the path Objects / Boiler\\d+ from Root: each node found is a device named Boiler ${SerialNumber}",
    ],
    [
      `${device}.attributes[0]`,
      "monitored item (sampled every 500 ms, queue of 10, published every 500 ms) on the path Info / Model from the device",
    ],
    [`${device}.attributes[1]`, "no request: the text is sent with each scan"],
    [
      `${device}.timeseries[0]`,
      "monitored item (sampled every 500 ms, queue of 10, published every 500 ms) on the node nsu=urn:plant;b=U3BlZWQ=, with the time of the source",
    ],
    [
      `${device}.attributes_updates[0]`,
      "shared attribute setpoint: write to the path Setpoint from the device, within 700 ms",
    ],
    [
      `${device}.rpc_methods[0]`,
      "RPC Reset: call the method Reset of the device with 1 argument, within 5000 ms",
    ],
  ]);
});

test("explainOpcua() says when nodes are read instead", () => {
  const polled = lines({ enableSubscriptions: false, pollPeriodInMillis: 2 });
  expect(polled.find(([path]) => path === "mapping[0].attributes[0]")?.[1]).toBe(
    "read every 10 ms: the path Info / Model from the device",
  );
});

test("explainOpcua() shows what goes up", () => {
  const { config } = readOpcuaConfig({ server: { url: "a:1" }, mapping: MAPPING });
  const sent = explainOpcua(config).flatMap(({ sends }) => (sends === null ? [] : [sends]));
  const device = { deviceName: "Boiler ${SerialNumber}", deviceType: "boiler" };
  expect(sent).toEqual([
    { ...device, attributes: { model: "<value of the node>" } },
    { ...device, attributes: { site: "North" } },
    { ...device, telemetry: [{ values: { t: "<value of the node>" } }] },
  ]);
});

test("explainOpcua() names the place in the file, also behind an entry that is left out", () => {
  const { config } = readOpcuaConfig({
    server: { url: "10.0.0.5:4840" },
    mapping: [
      { deviceNodePattern: "Root\\.Objects\\.[", deviceInfo: {} },
      {
        deviceNodePattern: "Root\\.Objects\\.Pump",
        deviceInfo: { deviceNameExpression: "Pump", deviceProfileExpression: "default" },
        timeseries: [
          { key: "bad", value: 5 },
          { key: "t", value: "ns=2;i=1" },
        ],
        rpc_methods: [{ method: 7 }, { method: "Reset" }],
      },
    ],
  });
  expect(explainOpcua(config).map(({ path }) => path)).toEqual([
    "server",
    "mapping[1].deviceNodePattern",
    "mapping[1].timeseries[1]",
    "mapping[1].rpc_methods[1]",
  ]);
});
