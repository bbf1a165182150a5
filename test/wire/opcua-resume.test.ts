// What an OPC UA server keeps while the connection is away is fetched afterwards, and nothing is watched twice.
import { expect, test } from "bun:test";
import { DataType, OPCUAClient, Variant } from "node-opcua-client";
import { TestHost } from "../support/connector-host.ts";
import { fastClock } from "../support/fast-clock.ts";
import { RunningOpcua } from "../support/opcua-connector.ts";
import { PlantServer } from "../support/opcua-server.ts";
import { TcpRelay } from "../support/tcp-relay.ts";
import { until } from "../support/until.ts";

const MAPPING = [
  {
    deviceNodePattern: "Root\\.Objects\\.Boiler1",
    deviceInfo: { deviceNameExpression: "B-1" },
    timeseries: [
      { key: "zone", value: "${Zone(1)}" },
      { key: "running", value: "${Running}" },
    ],
  },
];

/** Sets a value and lets the server look at it: two changes in one moment are one. */
async function setZone(server: PlantServer, value: number): Promise<void> {
  let looks = 0;
  server.plant.variables
    .get("ns=2;i=16")
    ?.setValueFromSource(new Variant({ dataType: DataType.Int32, value }));
  await until("the server has looked", () => {
    looks += 1;
    return looks > 5;
  });
}

function zones(running: RunningOpcua): readonly number[] {
  return running.host.accepted.flatMap(({ telemetry = [] }) =>
    telemetry.flatMap(({ values }) => ("zone" in values ? [Number(values["zone"])] : [])),
  );
}

/** Each node of the mapping is watched by one item. */
const ONCE = { subscriptions: 1, items: 2 };

async function start(port: number, settings: object = {}, host?: TestHost): Promise<RunningOpcua> {
  const file = {
    server: {
      url: `opc.tcp://127.0.0.1:${port}/plant`,
      timeoutInMillis: 4000,
      subSamplingIntervalInMillis: 0,
      reconnectBackoffInitialDelay: 0.2,
      ...settings,
    },
    mapping: MAPPING,
  };
  return await RunningOpcua.start(file, host);
}

test("changes during an outage arrive afterwards, each once and in order", async () => {
  await using server = await PlantServer.start();
  await using relay = await TcpRelay.open(server.port);
  await using running = await start(relay.port);
  await running.said("B-1", "zone");
  await running.said("B-1", "running");
  for (let round = 0; round < 2; round += 1) {
    relay.cut(true);
    await running.host.status("disconnected");
    const from = 100 * (round + 1);
    const during = Array.from({ length: 8 }, (_, index) => from + index);
    for (const value of during) {
      await setZone(server, value);
    }
    const before = zones(running).length;
    relay.cut(false);
    await until("what the server kept", () => zones(running).includes(from + 7), 30_000);
    await setZone(server, from + 50);
    await until("it goes on", () => zones(running).includes(from + 50));
    expect(zones(running).slice(before)).toEqual([...during, from + 50]);
  }
  expect(server.watched).toEqual(ONCE);
}, 120_000);

test("a node that is faster than the messages has all its samples, each at its own time", async () => {
  await using server = await PlantServer.start();
  await using running = await start(server.port, { subCheckPeriodInMillis: 200 });
  await running.said("B-1", "zone");
  const values = Array.from({ length: 12 }, (_, index) => 300 + index);
  for (const value of values) {
    await setZone(server, value);
  }
  await until("the last one", () => zones(running).includes(311));
  expect(zones(running).slice(-12)).toEqual(values);
  const stamps = running.host.accepted.flatMap(({ receivedTs, telemetry = [] }) =>
    telemetry.flatMap(({ ts, values: said }) => ("zone" in said ? [ts ?? receivedTs ?? 0] : [])),
  );
  expect(stamps).toEqual([...new Set(stamps)].toSorted((one, other) => one - other));
}, 30_000);

test("the next session takes over the subscriptions of one that the server has closed", async () => {
  await using server = await PlantServer.start({
    allowAnonymousSubscriptionTransferOnUnsecuredChannel: true,
  });
  await using running = await start(server.port);
  await running.said("B-1", "running");
  const before = zones(running).length;
  server.closeSessions({ keepSubscriptions: true });
  await running.host.status("disconnected");
  server.setNumber("i=16", 100);
  await running.host.status("connected");
  await until("what changed meanwhile", () => zones(running).includes(100));
  const goesOn = (message: string): boolean => message.startsWith("The subscriptions go on");
  expect(running.host.lines.filter(({ message }) => goesOn(message))).toHaveLength(1);
  expect(zones(running).slice(before)).toEqual([100]);
  expect(server.watched).toEqual(ONCE);
}, 30_000);

test("a subscription that says nothing more is built anew", async () => {
  await using server = await PlantServer.start();
  // 10 s are 2 s.
  const host = new TestHost({ clock: fastClock(5) });
  await using running = await start(server.port, { timeoutInMillis: 25_000 }, host);
  await running.said("B-1", "running");
  server.silence();
  server.setNumber("i=16", 200);
  await until("the value at present", () => zones(running).includes(200));
  await until("another subscription", () => host.counters.get("subscriptionsRebuilt") === 1);
  server.setNumber("i=16", 201);
  await until("it goes on", () => zones(running).includes(201));
  await until("each node is watched once", () => Bun.deepEquals(server.watched, ONCE));
  expect(host.statuses.filter(({ status }) => status === "disconnected")).toEqual([]);
}, 60_000);

test.each([
  ["taken up again", true],
  ["opened anew", false],
])(
  "nothing is kept of connections whose session was %s",
  async (_name, isKept) => {
    const clients: WeakRef<OPCUAClient>[] = [];
    const create = OPCUAClient.create.bind(OPCUAClient);
    OPCUAClient.create = (options) => {
      const client = create(options);
      clients.push(new WeakRef(client));
      return client;
    };
    try {
      await using server = await PlantServer.start();
      await using relay = await TcpRelay.open(server.port);
      await using running = await start(relay.port, { reconnectBackoffInitialDelay: 0.1 });
      await running.said("B-1", "running");
      for (let round = 0; round < 5; round += 1) {
        if (isKept) {
          relay.cut(true);
        } else {
          server.closeSessions({ keepSubscriptions: false });
        }
        await running.host.status("disconnected");
        relay.cut(false);
        await running.host.status("connected");
      }
      expect(clients.length).toBeGreaterThanOrEqual(6);
      await until("the old ones are forgotten", () => {
        Bun.gc(true);
        return clients.filter((client) => client.deref() !== undefined).length <= 3;
      });
    } finally {
      OPCUAClient.create = create;
    }
  },
  60_000,
);
