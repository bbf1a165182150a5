import { describe, expect, test } from "bun:test";
import { Float } from "../../../src/sdk/model.ts";
import type { MachineStats } from "../../../src/service/machine.ts";
import { statisticsReport } from "../../../src/service/statistics-report.ts";
import type { GatewayStatus } from "../../../src/service/status.ts";
import { someStatus } from "../../support/gateway-status.ts";

const machine: MachineStats = {
  totalCpuUsage: new Float(12.5),
  diskUsage: new Float(43.1),
  freeMemory: new Float(61),
  freeDisk: "33.2G",
  gwProcessCpuUsage: new Float(3),
  gwMemory: new Float(1.4),
  gwProcessMemoryFullInfo: {},
};
const NOW_MS = 1_700_000_005_000;

const report = (status: GatewayStatus, before: ReadonlyMap<string, number> = new Map()) =>
  statisticsReport(status, machine, before, NOW_MS);

/** The same gateway after `more` values and one message of each kind. */
function later(more: number): GatewayStatus {
  const status = someStatus();
  const { ledger } = status.store;
  const [connector] = status.connectors;
  if (connector === undefined) {
    throw new Error("the status has a connector");
  }
  return {
    ...status,
    store: {
      ...status.store,
      ledger: {
        ...ledger,
        received: ledger.received + more,
        rejected: { ...ledger.rejected, "not-json": 13 },
        dropped: { quota: 4, age: 1 },
      },
    },
    sender: { ...status.sender, publishes: status.sender.publishes + 2, recordsRead: 5003 },
    uplink: { ...status.uplink, reconnects: 5 },
    connectors: [
      {
        ...connector,
        counters: {
          ...connector.counters,
          connectorMsgsReceived: 4010,
          convertersMsgProcessed: 10,
        },
        rejected: { "not-json": 13 },
      },
    ],
    messagesFromPlatform: 5,
  };
}

describe("statisticsReport()", () => {
  test("counts what happened since the totals of the report before", () => {
    const first = report(someStatus());
    const { values } = report(later(70), first.totals);
    expect(values["machineStats"]).toMatchObject({
      msgsSentToPlatform: 2,
      msgsReceivedFromPlatform: 1,
      diskUsage: new Float(43.1),
    });
    expect(values["serviceStats"]).toMatchObject({
      storageMsgPulled: 3,
      storageMsgCount: 40,
      platformMsgPushed: 0,
      connectedDevices: 12,
      valuesReceived: 70,
      valuesRejected: { "not-json": 3 },
      valuesDropped: { quota: 4, age: 1 },
      valuesDroppedTotal: 5,
      storageBytes: 12_288,
      oldestUnsentAgeSeconds: 5,
      reconnects: 2,
    });
    expect(values["connectorsStats"]).toEqual({
      "Plant broker": {
        storageMsgPushed: 0,
        connectorMsgsReceived: 10,
        connectorBytesReceived: 0,
        badTimestamps: 0,
        devices: 12,
        restarts: 0,
        running: 1,
        rejected: 3,
      },
      "Plant broker_converter": { convertersMsgProcessed: 10 },
    });
    expect(values["connectedDevices"]).toBe(12);
    expect(values["messagesReceived"]).toBe(10);
  });

  test("a report that was not stored loses nothing: the next one counts it too", () => {
    const stored = report(someStatus()).totals;
    report(later(70), stored);
    const next = report(later(100), stored).values["serviceStats"];
    expect(next).toMatchObject({ valuesReceived: 100, reconnects: 2 });
  });

  test("a counter that began again has grown by what it says; one that was away comes back as it was", () => {
    const { totals } = report(later(0));
    const [connector] = someStatus().connectors;
    if (connector === undefined) {
      throw new Error("the status has a connector");
    }
    const away = report(someStatus({ connectors: [] }), totals);
    const back = report(later(0), away.totals).values["connectorsStats"];
    expect(back).toMatchObject({ "Plant broker": { connectorMsgsReceived: 0 } });
    const counters = { ...connector.counters, connectorMsgsReceived: 4 };
    const anew = report(someStatus({ connectors: [{ ...connector, counters }] }), totals);
    expect(anew.values["connectorsStats"]).toMatchObject({
      "Plant broker": { connectorMsgsReceived: 4 },
    });
  });
});
