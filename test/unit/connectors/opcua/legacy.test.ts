import { expect, test } from "bun:test";
import type { Json } from "../../../../src/sdk/model.ts";
import { readOpcuaConfig } from "../../../support/opcua-connector.ts";

const MAPPING: Json = [
  {
    deviceNodePattern: "Root\\.Objects\\.Boiler1",
    deviceInfo: { deviceNameExpression: "B", deviceProfileExpression: "boiler" },
    attributes: [{ key: "model", value: "${Info\\.Model}" }],
    timeseries: [{ key: "t", value: "${ns=2;s=B1.T}", timestampLocation: "sourcetimestamp" }],
    attributes_updates: [{ key: "setpoint", value: "${Setpoint}" }],
    rpc_methods: [
      {
        method: "add",
        arguments: [
          { type: "integer", value: 2 },
          { type: "string", value: "a" },
          { type: "double", value: 1.5 },
          { type: "boolean", value: true },
        ],
      },
    ],
  },
];

const NEW: Json = {
  server: { url: "opc.tcp://a:4840", enableSubscriptions: false },
  mapping: MAPPING,
};

const OLD: Json = {
  server: {
    url: "opc.tcp://a:4840",
    disableSubscriptions: true,
    mapping: [
      {
        deviceNodePattern: "Root\\.Objects\\.Boiler1",
        deviceNamePattern: "B",
        deviceTypePattern: "boiler",
        attributes: [{ key: "model", path: "${Info\\.Model}" }],
        timeseries: [{ key: "t", path: "${ns=2;s=B1.T}", timestampLocation: "sourcetimestamp" }],
        attributes_updates: [
          { attributeOnThingsBoard: "setpoint", attributeOnDevice: "${Setpoint}" },
        ],
        rpc_methods: [{ method: "add", arguments: [2, "a", 1.5, true] }],
      },
    ],
  },
};

test("an old file and its twin of today are the same", () => {
  const { server: oldServer, ...old } = readOpcuaConfig(OLD).config;
  const { server, ...today } = readOpcuaConfig(NEW).config;
  expect(old).toEqual(today);
  expect(oldServer.disableSubscriptions).toBe(true);
  expect(server.enableSubscriptions).toBe(false);
  expect(readOpcuaConfig(OLD).issues).toEqual([]);
});

test("entries of today inside server.mapping are taken as well", () => {
  const inside: Json = { server: { url: "a", mapping: MAPPING } };
  expect(readOpcuaConfig(inside).config.mapping).toHaveLength(1);
});

test("a bad entry costs only itself", () => {
  const { config, issues } = readOpcuaConfig({
    server: { url: "a" },
    mapping: [
      { deviceNodePattern: "Root\\.Objects\\.A", deviceInfo: {} },
      {
        deviceNodePattern: "ns=2;i=x",
        deviceInfo: { deviceNameExpression: "B" },
      },
      {
        deviceNodePattern: "Root\\.Objects\\.C",
        deviceInfo: { deviceNameExpression: "C" },
        timeseries: [{ key: "a" }, { key: "b", value: "${ns=2;g=1}" }, { key: "c", value: "${c}" }],
      },
    ],
  });
  expect(config.mapping).toHaveLength(1);
  expect(config.mapping[0]?.timeseries.map(({ key }) => key)).toEqual(["c"]);
  expect(
    issues.filter((issue) => issue.startsWith("error")).map((issue) => issue.split(":")[0]),
  ).toEqual([
    "error mapping[0].deviceInfo.deviceNameExpression",
    "error mapping[1].deviceNodePattern",
    "error mapping[2].timeseries[0].value",
    "error mapping[2].timeseries[1].value",
  ]);
});
