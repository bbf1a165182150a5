import { EMPTY_LEDGER } from "../../src/sdk/ledger.ts";
import type { GatewayStatus } from "../../src/service/status.ts";

/** A gateway at work, as its status says it. */
export function someStatus(changed: Partial<GatewayStatus> = {}): GatewayStatus {
  return {
    version: "0.1.0",
    pid: 1234,
    uptimeMs: 11_520_000,
    dataDir: "/var/lib/tbgw",
    storage: "sqlite",
    store: {
      durable: true,
      records: 40,
      values: 1234,
      bytes: 12_288,
      maxBytes: 1_073_741_824,
      oldestTs: 1_700_000_000_000,
      horizonMs: undefined,
      ledger: {
        ...EMPTY_LEDGER,
        received: 1_001_246,
        stored: 1_001_234,
        rejected: { "not-json": 10, "too-large": 2 },
        acknowledged: 999_998,
        queued: 1234,
        quarantined: 2,
      },
    },
    rates: { received: 1250, stored: 1249, acknowledged: 1249.5 },
    link: {
      state: "connected",
      detail: "",
      host: "tb.example.com:1883",
      protocol: "5",
      retryAt: undefined,
    },
    sender: {
      recordsRead: 5000,
      recordsAcknowledged: 4960,
      telemetryValuesAcknowledged: 900_000,
      attributeRecordsAcknowledged: 12,
      publishes: 345,
      inFlight: 3,
      bytesSent: 20_000_000,
      resends: 1,
      rttMs: 11.6,
    },
    watchdog: { reconnects: 1, rebuilds: 0 },
    delivery: "answering",
    uplink: { sinceMs: 7_500_000, reconnects: 3 },
    outlook: { lastsMs: 961_200_000, fullInMs: undefined, clearsInMs: 2_280_000 },
    threadRestarts: 0,
    clock: "set",
    devices: 12,
    connectors: [
      {
        id: "8e2d629c-3111-5433-82cd-6072bddbe686",
        name: "Plant broker",
        type: "mqtt",
        state: "running",
        link: "connected",
        detail: undefined,
        restarts: 0,
        devices: 12,
        counters: {
          connectorMsgsReceived: 4000,
          connectorBytesReceived: 90_000,
          storageMsgPushed: 4000,
          badTimestamps: 7,
        },
        rejected: { "not-json": 10 },
      },
    ],
    messagesFromPlatform: 4,
    logs: { dropped: 0, remote: { shipped: 0, dropped: 0, cut: 0, waiting: 0 } },
    ...changed,
  };
}
