// What the gateway says about itself, as it arrives at the platform.
import { describe, expect, test } from "bun:test";
import type { ConnectorHost } from "../../src/sdk/connector.ts";
import { ledgerImbalance } from "../../src/sdk/ledger.ts";
import type { StatisticsSettings } from "../../src/service/statistics.ts";
import { GatewayRig, plant } from "../support/gateway-rig.ts";

const settings: StatisticsSettings = {
  enable: true,
  periodMs: 200,
  enableCustom: true,
  customPeriodMs: 300_000,
  commands: [],
  allowCommands: false,
};

type Shape = { readonly [key: string]: string | Shape };

/** The names and types that dashboards made for the Python gateway read. */
const UPSTREAM: Shape = {
  machineStats: {
    totalCpuUsage: "number",
    diskUsage: "number",
    freeMemory: "number",
    freeDisk: "string",
    gwProcessCpuUsage: "number",
    gwMemory: "number",
    gwProcessMemoryFullInfo: {
      rss: "number",
      vms: "number",
      shared: "number",
      text: "number",
      lib: "number",
      data: "number",
      dirty: "number",
      uss: "number",
      pss: "number",
      swap: "number",
    },
    msgsSentToPlatform: "number",
    msgsReceivedFromPlatform: "number",
  },
  serviceStats: {
    storageMsgPulled: "number",
    storageMsgCount: "number",
    platformMsgPushed: "number",
    platformAttrProduced: "number",
    platformTsProduced: "number",
  },
  connectorsStats: {
    Plant: {
      storageMsgPushed: "number",
      connectorMsgsReceived: "number",
      connectorBytesReceived: "number",
    },
    Plant_converter: {
      convertersMsgProcessed: "number",
      convertersTsProduced: "number",
      convertersAttrProduced: "number",
    },
  },
};

/** Ours, which come besides. */
const OWN: Shape = {
  serviceStats: {
    connectedDevices: "number",
    valuesReceived: "number",
    valuesStored: "number",
    valuesAcknowledged: "number",
    valuesQueued: "number",
    valuesFiltered: {},
    valuesRejected: {},
    valuesDropped: {},
    valuesDroppedTotal: "number",
    valuesQuarantined: "number",
    storageBytes: "number",
    storageMaxBytes: "number",
    oldestUnsentAgeSeconds: "number",
    reconnects: "number",
    deliveryRestarts: "number",
  },
  connectorsStats: {
    Plant: { devices: "number", restarts: "number", running: "number", rejected: "number" },
  },
  connectedDevices: "number",
  messagesReceived: "number",
};

function merge(left: Shape, right: Shape): Shape {
  const merged: Record<string, string | Shape> = { ...left };
  for (const [key, value] of Object.entries(right)) {
    const before = merged[key];
    const both = typeof before === "object" && typeof value === "object";
    merged[key] = both ? merge(before, value) : value;
  }
  return merged;
}

function shapeOf(value: unknown): string | Shape {
  if (typeof value !== "object" || value === null) {
    return typeof value;
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]));
}

/** Own telemetry of the gateway by key, parsed, in the order it arrived. */
function reports<Report>(rig: GatewayRig, key: string): Report[] {
  return rig.server.series("GW", key).map(({ text }) => JSON.parse(text));
}

interface ServiceStats {
  readonly reconnects: number;
  readonly valuesReceived: number;
  readonly valuesRejected: Readonly<Record<string, number>>;
}

interface ConnectorsStats {
  readonly Plant: { readonly storageMsgPushed: number };
}

/** A plant that counts as a connector does, with two devices. */
async function openPlant(extra: Partial<StatisticsSettings> = {}) {
  let host: ConnectorHost | undefined;
  const rig = await GatewayRig.open(
    [
      plant({
        devices: ["Boiler", "Pump"],
        created: (made) => {
          host = made;
          made.metrics.count("connectorMsgsReceived", 4);
          made.metrics.count("connectorBytesReceived", 90);
          made.metrics.count("convertersMsgProcessed", 4);
          made.metrics.count("convertersTsProduced", 8);
          made.metrics.count("convertersAttrProduced", 2);
        },
      }),
    ],
    { setup: { statistics: { ...settings, ...extra } } },
  );
  if (host === undefined) {
    throw new Error("the connector was not created");
  }
  return { rig, host };
}

describe("statistics", () => {
  test("have the names and types of the Python gateway, and ours besides", async () => {
    const { rig } = await openPlant();
    await using _rig = rig;
    await rig.server.until(() => reports(rig, "machineStats").length > 1);
    const report = Object.fromEntries(
      rig.server.keys("GW").map((key) => [key, reports(rig, key).at(-1)]),
    );
    expect(shapeOf(report)).toEqual(merge(UPSTREAM, OWN));
    const client = rig.server.getClient("GW");
    expect(Object.keys(client).filter((key) => /^(total|cpu)/.test(key))).toEqual([
      "totalMemory",
      "totalDisk",
      "cpuCount",
    ]);
    expect(client["totalMemory"]).toMatchObject({
      type: "STRING",
      value: expect.stringMatching(/^\d+\.\d[BKMGT]$/),
    });
    expect(client["cpuCount"]).toMatchObject({ type: "LONG" });
  });

  test("add up to the ledger, over an outage of the platform too", async () => {
    const { rig, host } = await openPlant();
    await using _rig = rig;
    const { signal } = new AbortController();
    const send = (ts: number) =>
      host.uplink.accept(
        { deviceName: "Boiler", telemetry: [{ values: { t: ts, u: ts } }] },
        signal,
      );
    await send(1);
    await rig.server.until(() => reports(rig, "serviceStats").length > 1);
    await rig.server.down();
    await rig.disconnected();
    await send(2);
    host.metrics.rejected("not-json", 3);
    const before = (await rig.gateway.status()).store.ledger.stored;
    await rig.server.up();
    const service = (): ServiceStats[] => reports(rig, "serviceStats");
    await rig.server.until(() => service().some(({ reconnects }) => reconnects === 1), 20_000);
    const sum = (pick: (report: ServiceStats) => number): number =>
      service().reduce((total, report) => total + pick(report), 0);
    const { ledger } = (await rig.gateway.status()).store;
    expect(ledgerImbalance(ledger)).toEqual({ intake: 0, delivery: 0 });
    expect(ledger.stored).toBeGreaterThanOrEqual(before);
    expect(sum(({ valuesRejected }) => valuesRejected["not-json"] ?? 0)).toBe(3);
    expect(sum(({ valuesReceived }) => valuesReceived)).toBeLessThanOrEqual(ledger.received);
    const messages = reports<number>(rig, "messagesReceived").reduce(
      (total, count) => total + count,
      0,
    );
    expect(messages).toBe(4);
    const pushed = reports<ConnectorsStats>(rig, "connectorsStats").reduce(
      (total, { Plant }) => total + Plant.storageMsgPushed,
      0,
    );
    expect(pushed).toBe(2);
  });

  test("count connected devices, of the gateway and of each connector", async () => {
    const { rig, host } = await openPlant();
    await using _rig = rig;
    await rig.server.until(() => reports(rig, "connectedDevices").includes(2));
    await host.devices.disconnect("Pump");
    await rig.server.until(() => reports(rig, "connectedDevices").at(-1) === 1);
    expect(reports(rig, "connectorsStats").at(-1)).toMatchObject({ Plant: { devices: 1 } });
    expect(reports(rig, "serviceStats").at(-1)).toMatchObject({ connectedDevices: 1 });
  });

  test("outputs of custom commands are telemetry of the gateway, with the gate only", async () => {
    const commands = [
      { attributeOnGateway: "CPU", command: "echo 12.5", timeout: 10 },
      { attributeOnGateway: "Kernel", command: ["uname", "-s"], timeout: 10 },
    ];
    const { rig: open } = await openPlant({ commands, allowCommands: true });
    await using _open = open;
    await open.server.until(() => open.server.latest("GW", "Kernel") !== undefined);
    expect(open.server.latest("GW", "CPU")?.text).toBe("12.5");
    expect(open.server.latest("GW", "Kernel")?.text).toMatch(/^"?Linux"?$/);
    const { rig: closed } = await openPlant({ commands });
    await using _closed = closed;
    await closed.server.until(() => reports(closed, "machineStats").length > 1);
    expect(closed.server.keys("GW")).not.toContain("CPU");
  });
});
