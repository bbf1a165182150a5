// What a server of the OPC UA connector may limit, choose, or change under way.
import { expect, test } from "bun:test";
import { DataChangeNotification, DataType, PublishResponse, Variant } from "node-opcua-client";
import { Subscription } from "node-opcua-server";
import type { Json } from "../../src/sdk/model.ts";
import { RunningOpcua } from "../support/opcua-connector.ts";
import { PlantServer } from "../support/opcua-server.ts";
import { freePort } from "../support/ports.ts";
import { until } from "../support/until.ts";

const COUNT = 250;

const MANY: Json = [
  {
    deviceNodePattern: "Root\\.Objects\\.Boiler1",
    deviceInfo: { deviceNameExpression: "B1" },
    timeseries: Array.from({ length: COUNT }, (_, index) => ({
      key: `n${index}`,
      value: `\${n${index}}`,
    })),
  },
];

async function start(server: PlantServer, settings: object): Promise<RunningOpcua> {
  return await RunningOpcua.start({ server: { url: server.url, ...settings }, mapping: MANY });
}

test.each<[string, boolean, number]>([
  ["subscriptions, 10 for each request", true, 10],
  ["subscriptions without limits", true, 0],
  ["polling, 100 for each request", false, 100],
  ["polling without limits", false, 0],
])(
  "every value has its own key, with %s",
  async (_name, enableSubscriptions, limit) => {
    const operationLimits = {
      maxNodesPerRead: limit,
      maxNodesPerBrowse: limit,
      maxMonitoredItemsPerCall: limit,
      maxNodesPerTranslateBrowsePathsToNodeIds: limit,
    };
    await using server = await PlantServer.start({ serverCapabilities: { operationLimits } });
    server.addNumbers(COUNT);
    await using running = await start(server, { enableSubscriptions, pollPeriodInMillis: 100 });
    await running.host.status("connected");
    await until("all values", () => {
      for (let index = 0; index < COUNT; index += 1) {
        if (running.latest("B1", `n${index}`) === undefined) {
          return false;
        }
      }
      return true;
    });
    for (let index = 0; index < COUNT; index += 1) {
      expect(running.latest("B1", `n${index}`)).toBe(index);
    }
  },
  30_000,
);

test.each([
  ["of so many items as it takes", { maxMonitoredItemsPerSubscription: 100 }, undefined],
  [
    "as long as it takes any, and the rest is read",
    { maxMonitoredItemsPerSubscription: 100, maxSubscriptionsPerSession: 2 },
    50,
  ],
])("a server gets subscriptions %s", async (_name, serverCapabilities, read) => {
  await using server = await PlantServer.start({ serverCapabilities });
  server.addNumbers(COUNT);
  await using running = await start(server, { pollPeriodInMillis: 100 });
  await until("all values", () => running.latest("B1", `n${COUNT - 1}`) === COUNT - 1);
  const said = running.host.lines.find(({ message }) => message.includes("no room"));
  expect(said?.fields["read"]).toBe(read);
});

test("a session that the server closes is opened anew, with every item once", async () => {
  await using server = await PlantServer.start();
  server.addNumbers(COUNT);
  await using running = await start(server, { scanPeriodInMillis: 1000 });
  await running.said("B1", `n${COUNT - 1}`);
  server.closeSessions({ keepSubscriptions: false });
  await running.host.status("disconnected");
  await running.host.status("connected");
  server.setNumber("s=n0", 1000);
  await until("a change", () => running.latest("B1", "n0") === 1000);
  const once = { subscriptions: 1, items: COUNT };
  await until("every item once", () => Bun.deepEquals(server.watched, once));
  expect(server.server.engine.currentSessionCount).toBe(1);
}, 30_000);

test("a node that moves to another namespace number is found by its URI and its path", async () => {
  const port = await freePort();
  const mapping: Json = [
    {
      deviceNodePattern: "nsu=urn:plant;s=Boiler1",
      deviceInfo: { deviceNameExpression: "B1" },
      timeseries: [
        { key: "path", value: "${Zone(1)}" },
        { key: "uri", value: "${nsu=urn:plant;i=16}" },
      ],
    },
  ];
  const first = await PlantServer.start({ port });
  await using running = await RunningOpcua.start({ server: { url: first.url }, mapping });
  await running.said("B1", "uri");
  await first[Symbol.asyncDispose]();
  await running.host.status("disconnected");
  const { length } = running.host.accepted;
  await using _second = await PlantServer.start({ port, before: "urn:new" });
  await until("data again", () => running.host.accepted.length > length);
  const again = running.host.accepted.slice(length).flatMap(({ telemetry = [] }) => telemetry);
  expect(again.map(({ values }) => values)).toEqual([{ path: 7, uri: 7 }]);
}, 60_000);

test("a server that publishes once a second, with a session of 30 s, is heard", async () => {
  const fastest = Subscription.minimumPublishingInterval;
  Subscription.minimumPublishingInterval = 1000;
  try {
    await using server = await PlantServer.start();
    const mapping: Json = [
      {
        deviceNodePattern: "Root\\.Objects\\.Boiler1",
        deviceInfo: { deviceNameExpression: "B1" },
        timeseries: [{ key: "zone", value: "${Zone(1)}" }],
      },
    ];
    const settings = { url: server.url, sessionTimeoutInMillis: 30_000 };
    await using running = await RunningOpcua.start({ server: settings, mapping });
    await running.said("B1", "zone");
    const zone = server.plant.variables.get("ns=2;i=16");
    zone?.setValueFromSource(new Variant({ dataType: DataType.Int32, value: 77 }));
    await until("a change", () => running.latest("B1", "zone") === 77);
  } finally {
    Subscription.minimumPublishingInterval = fastest;
  }
}, 30_000);

test("no message has more changes than are wanted", async () => {
  await using server = await PlantServer.start();
  server.addNumbers(COUNT);
  const sizes: number[] = [];
  server.server.on("response", (response) => {
    if (response instanceof PublishResponse) {
      for (const data of response.notificationMessage.notificationData ?? []) {
        sizes.push(data instanceof DataChangeNotification ? (data.monitoredItems?.length ?? 0) : 0);
      }
    }
  });
  await using running = await start(server, { subDataMaxBatchSize: 100 });
  await until("all values", () =>
    Array.from({ length: COUNT }, (_, index) => running.latest("B1", `n${index}`)).every(
      (value) => value !== undefined,
    ),
  );
  expect(Math.max(...sizes)).toBe(100);
}, 30_000);

test("showMap names the paths that are looked at, of many some", async () => {
  await using server = await PlantServer.start();
  server.addNumbers(1990);
  const shown = async (showMap: boolean): Promise<readonly unknown[]> => {
    await using running = await start(server, { showMap });
    await running.said("B1", `n${COUNT - 1}`);
    const lines = running.host.lines.filter(({ message }) => message === "A path of the server");
    return lines.map(({ fields }) => [fields["path"], fields["node"]]);
  };
  expect(await shown(false)).toEqual([]);
  const paths = await shown(true);
  expect(paths).toContainEqual(["Root / Objects", "i=85"]);
  expect(paths).toContainEqual(["Root / Objects / Boiler1", "ns=2;s=Boiler1"]);
  // 2,000 nodes are below the boiler.
  expect(paths.filter((one) => String(one).startsWith("ns=2;s=Boiler1 / "))).toHaveLength(2);
}, 30_000);
