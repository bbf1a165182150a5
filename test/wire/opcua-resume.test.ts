// What an OPC UA server keeps while the connection is away is fetched afterwards, and nothing is watched twice.
import { expect, test } from "bun:test";
import { DataType, Variant } from "node-opcua-client";
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

function monitoredItems(server: PlantServer): number {
  return server.server.engine
    .getSessions()
    .flatMap((session) => Array.from({ length: session.currentMonitoredItemCount })).length;
}

async function start(port: number, settings: object = {}): Promise<RunningOpcua> {
  return await RunningOpcua.start({
    server: {
      url: `opc.tcp://127.0.0.1:${port}/plant`,
      timeoutInMillis: 4000,
      subSamplingIntervalInMillis: 0,
      reconnectBackoffInitialDelay: 0.2,
      ...settings,
    },
    mapping: MAPPING,
  });
}

test("changes during an outage arrive afterwards, each once and in order", async () => {
  await using server = await PlantServer.start();
  await using relay = await TcpRelay.open(server.port);
  await using running = await start(relay.port);
  await running.said("B-1", "zone");
  await running.said("B-1", "running");
  for (let round = 0; round < 3; round += 1) {
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
  expect(monitoredItems(server)).toBe(2);
}, 120_000);
