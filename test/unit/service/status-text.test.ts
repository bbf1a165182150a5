import { describe, expect, test } from "bun:test";
import type { StatusReport } from "../../../src/service/status-protocol.ts";
import { connectorText, statusText } from "../../../src/service/status-text.ts";
import { someStatus } from "../../support/gateway-status.ts";

const NOW_MS = 1_700_000_005_000;

function report(changed: Partial<StatusReport> = {}): StatusReport {
  return {
    ...someStatus(),
    deviceList: [
      {
        name: "Pump 3",
        type: "pump",
        connector: "Plant broker",
        connected: true,
        lastReadAgoMs: 300_000,
        lastError: "no answer within 400 ms",
        lastErrorAgoMs: 12_000,
        errors: 7,
      },
      {
        name: "Boiler",
        type: "boiler",
        connector: "Plant broker",
        connected: true,
        lastReadAgoMs: 200,
        lastError: undefined,
        lastErrorAgoMs: undefined,
        errors: 0,
      },
    ],
    devicesOmitted: 10,
    ...changed,
  };
}

describe("statusText()", () => {
  test("says everything a person asks for, in plain words", () => {
    expect(statusText(report(), NOW_MS)).toBe(
      `Gateway      tbgw 0.1.0, running for 3 h 12 min, process 1234, data in
             /var/lib/tbgw
Uplink       connected to tb.example.com:1883 for 2 h 5 min, MQTT 5,
             acknowledges after 12 ms, 3 reconnects
Rates        received 1,250/s, stored 1,249/s, acknowledged 1,250/s (values,
             over the last minute)
Queue        1,234 values in 40 records, 12.0 KiB of 1.0 GiB, oldest 5 s ago, 3
             publishes in flight
Buffer       lasts 11 d 3 h at this rate; backlog clears in 38 min (on the disk)
Clock        set

Ledger       every value since the store exists, kept over restarts
  received           1,001,246  = stored + filtered + rejected
  filtered                   0
  rejected                  12  not-json 10, too-large 2
  stored             1,001,234  = acknowledged + queued + dropped + quarantined
  acknowledged         999,998
  queued                 1,234
  dropped                    0
  quarantined                2  see tbgw store info

Connectors
  Plant broker          mqtt: running, connected, 12 devices, 10 not usable
                        (not-json 10)

Devices      12 connected of 12 known
  Pump 3                read 5 min ago; 7 errors, last 12 s ago: no answer
                        within 400 ms
  Boiler                read just now
  and 10 more: tbgw status --devices
`,
    );
  });

  test("an uplink that is away has its cause, since when, and when it is tried again", () => {
    const text = statusText(
      report({
        link: {
          state: "down",
          detail: "nothing listens on that port",
          host: "tb.example.com:1883",
          protocol: undefined,
          retryAt: NOW_MS + 12_000,
        },
        uplink: { sinceMs: 300_000, reconnects: 0 },
      }),
      NOW_MS,
    );
    expect(text.replaceAll(/\s+/g, " ")).toContain(
      "no connection to tb.example.com:1883, without a connection for 5 min: nothing listens on that port; next attempt in 12 s",
    );
  });

  test("a delivery thread that does not answer, an unset clock and a memory store are said", () => {
    const text = statusText(
      report({ delivery: "not-answering", clock: "not-set", storage: "memory" }),
      NOW_MS,
    ).replaceAll(/\s+/g, " ");
    expect(text).toContain("The delivery thread does not answer");
    expect(text).toContain("Clock not set: data is kept and goes out once the machine knows");
    expect(text).toContain("in memory only, lost at a restart");
  });

  test("no line is wider than 80 columns, whatever devices and errors are called", () => {
    const long = report({
      deviceList: report().deviceList.map((device) => ({
        ...device,
        name: "a name of many words ".repeat(10),
        lastError: "words and words ".repeat(30),
        lastErrorAgoMs: 5,
      })),
    });
    const lines = statusText(long, NOW_MS).split("\n");
    const wide = lines.filter((line) => line.length > 80 && !line.startsWith("  a name"));
    expect(wide).toEqual([]);
  });
});

describe("connectorText()", () => {
  test("shows counters, what was not usable, and the configuration", () => {
    const [connector] = report().connectors;
    if (connector === undefined) {
      throw new Error("the status has a connector");
    }
    const text = connectorText({ ...connector, configuration: { broker: { host: "10.0.0.5" } } });
    expect(text).toContain("Plant broker (mqtt), id 8e2d629c");
    expect(text).toMatch(/connectorMsgsReceived +4,000/);
    expect(text).toMatch(/not-json +10/);
    expect(text).toContain('"host": "10.0.0.5"');
  });
});
