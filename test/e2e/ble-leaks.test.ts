// The connector against peripherals and a controller of an independent implementation, H4 over TCP.
import { heapStats } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/sdk/clock.ts";
import type { Json } from "../../src/sdk/model.ts";
import { RunningBle } from "../support/ble-connector.ts";
import { BlePeer, DOORS, doorAddress } from "../support/ble-peer.ts";
import { EmitterCensus } from "../support/emitter-census.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;
const WAIT_MS = 30_000;
const LABEL = "6e400002-b5a3-f393-e0a9-e50e24dcca9e";
const TICKS = "6E400003-B5A3-F393-E0A9-E50E24DCCA9E";
const LOCKED = "6E400004-B5A3-F393-E0A9-E50E24DCCA9E";

/** A door: battery and firmware are read, ticks are notified, the label is written. */
function door(index: number, more: { readonly [key: string]: Json } = {}): Json {
  return {
    name: DOORS[index] ?? "",
    MACAddress: doorAddress(index),
    pollPeriod: 300,
    connectRetryInSeconds: 1,
    telemetry: [
      {
        key: "battery",
        method: "READ",
        characteristicUUID: "00002A19-0000-1000-8000-00805F9B34FB",
        valueExpression: "[0]",
      },
      { key: "low", method: "notify", characteristicUUID: TICKS, valueExpression: "[0]" },
      { key: "ticks", method: "notify", characteristicUUID: TICKS, format: "uint16le" },
    ],
    attributes: [
      { key: "fw", method: "read", characteristicUUID: "2a26", valueExpression: "v[0].[1]" },
    ],
    attributeUpdates: [{ attributeOnThingsBoard: "label", characteristicUUID: LABEL }],
    serverSideRpc: [
      { methodRPC: "readLabel", methodProcessing: "READ", characteristicUUID: LABEL },
      { methodRPC: "setLabel", methodProcessing: "write", characteristicUUID: LABEL },
      { methodRPC: "lock", methodProcessing: "write", characteristicUUID: LOCKED },
      { methodRPC: "map", methodProcessing: "scan" },
    ],
    ...more,
  };
}

function file(port: number, devices: readonly Json[]): Json {
  return { name: "Doors", adapter: `tcp:127.0.0.1:${port}`, devices };
}

async function untilValues(running: RunningBle, names: readonly string[]): Promise<void> {
  await until(
    "values of every door",
    () =>
      names.every((name) =>
        ["battery", "fw", "ticks"].every((key) => running.values(name, key).length > 0),
      ),
    WAIT_MS,
  );
}

describe("BLE connector and bumble", () => {
  test(
    "three peripherals at once: read, notified at 50/s, written by attribute and method, mapped",
    async () => {
      await using peer = await BlePeer.start();
      await using running = await RunningBle.start(file(peer.port, [door(0), door(1), door(2)]));
      await untilValues(running, DOORS);
      expect(running.values("Door2", "battery")[0]).toBe("92");
      expect(running.values("Door2", "fw")[0]).toBe("v1.4");
      expect([...running.host.devices.keys()].toSorted()).toEqual([...DOORS]);

      // Both items of one notification are in one record, and none of them comes twice.
      const record = running.host.accepted.find(({ telemetry }) => telemetry?.[0]?.values["ticks"]);
      expect(Object.keys(record?.telemetry?.[0]?.values ?? {})).toEqual(["low", "ticks"]);
      const startMs = systemClock.monotonicMs();
      const before = running.values("Door3", "ticks").length;
      await until("50 more ticks", () => running.values("Door3", "ticks").length >= before + 50);
      // A second's worth; the peer keeps its own pace on a busy machine, and the numbers tell that none is lost.
      expect(systemClock.monotonicMs() - startMs).toBeLessThan(10_000);
      const ticks = running.values("Door3", "ticks").map(Number);
      const first = ticks[0] ?? 0;
      expect(ticks).toEqual(ticks.map((_, index) => first + index));

      const signal = new AbortController().signal;
      const update = { deviceName: "Door1", values: { label: "North" }, removed: [] };
      await running.connector.handleAttributes?.(update, signal);
      await until("the label", () => peer.writes.length === 1);
      expect(peer.writes[0]).toEqual({ name: "Door 1", hex: "4e6f727468" });
      expect(await running.rpc("Door1", "readLabel")).toBe("North");
      expect(await running.rpc("Door1", "setLabel", 42)).toBe("Ok");
      expect(await running.rpc("Door1", "readLabel")).toBe(42);
      expect(await running.rpc("Door1", "set", `characteristicUUID=${LABEL};value=a=b;`)).toBe(
        "Ok",
      );
      expect(await running.rpc("Door1", "get", `characteristicUUID=${LABEL};`)).toBe("a=b");
      expect(await running.rpc("Door1", "lock", "x")).toEqual({
        error: "The peripheral refuses: writing is not permitted (0x03)",
      });
      expect(await running.rpc("Door1", "open")).toEqual({ error: "RPC method not found" });
      const map = JSON.stringify(await running.rpc("Door1", "map"));
      expect(map).toStartWith('"MAP FOR DOOR1\\n');
      expect(map).toContain("[Service] 0000180f-0000-1000-8000-00805f9b34fb (Handle: ");
      expect(map).toContain('(read,write), Value: 613d62 \\"a=b\\"');
      expect(map).toContain("): Client Characteristic Configuration | Value: ");
      // The refused write and the map have cost nobody the link.
      expect(running.host.counters.get("disconnects") ?? 0).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "advertisements alone: evaluated without a connection",
    async () => {
      await using peer = await BlePeer.start();
      await using running = await RunningBle.start(
        file(peer.port, [
          {
            name: "Beacon",
            MACAddress: doorAddress(0),
            telemetry: [
              {
                key: "t",
                dataSourceType: "advertisement",
                valueExpression: "[1:3]",
                compute: "value / 10",
              },
              { key: "rssi", dataSourceType: "advertisement", advField: "rssi" },
            ],
          },
        ]),
      );
      await until("a value", () => running.values("Beacon", "t").length > 0, WAIT_MS);
      expect(running.host.texts[0]).toContain('"t":23.1');
      expect(running.values("Beacon", "rssi")[0]).toBe(-50);
      expect(running.host.counters.get("connects")).toBeUndefined();
      expect(running.host.devices.get("Beacon")?.connected).toBe(true);
    },
    TIMEOUT_MS,
  );

  test(
    "the same adapter on a serial port, which is unplugged and comes back",
    async () => {
      await using peer = await BlePeer.start();
      const dir = mkdtempSync(join(tmpdir(), "tbgw-ble-"));
      const path = join(dir, "adapter");
      const plug = async (): Promise<Bun.Subprocess> => {
        const child = Bun.spawn([
          "socat",
          `pty,raw,echo=0,link=${path}`,
          `tcp:127.0.0.1:${peer.port}`,
        ]);
        await until("the port", () => existsSync(path));
        return child;
      };
      let port = await plug();
      try {
        await using running = await RunningBle.start({
          name: "Doors",
          adapter: `serial:${path}@115200`,
          devices: [door(0)],
        });
        await untilValues(running, ["Door1"]);
        port.kill("SIGKILL");
        await port.exited;
        await running.host.status("disconnected");
        rmSync(path, { force: true });
        await peer.say("drop Door1");
        port = await plug();
        const reads = running.values("Door1", "battery").length;
        await until("new values", () => running.values("Door1", "battery").length > reads, WAIT_MS);
      } finally {
        port.kill("SIGKILL");
        rmSync(dir, { recursive: true });
      }
    },
    TIMEOUT_MS,
  );

  test(
    "one wrong UUID costs one warning, and the rest goes on",
    async () => {
      await using peer = await BlePeer.start();
      const telemetry = [
        { key: "battery", method: "read", characteristicUUID: "2A19", valueExpression: "[0]" },
        { key: "no", method: "read", characteristicUUID: "2AFF", valueExpression: "[0]" },
        { key: "never", method: "notify", characteristicUUID: "2A19", valueExpression: "[0]" },
      ];
      await using running = await RunningBle.start(file(peer.port, [door(0, { telemetry })]));
      await until("values", () => running.values("Door1", "battery").length >= 3, WAIT_MS);
      const warnings = running.host.lines.filter(({ level }) => level === "warn");
      expect(warnings.map(({ fields }) => [fields["characteristic"], fields["reason"]])).toEqual([
        ["2a19", "It cannot notify or indicate: it has read"],
        ["2aff", "The peripheral has no characteristic 2aff"],
      ]);
    },
    TIMEOUT_MS,
  );
});

/** Classes of noble and of what it stands on here. */
const NOBLE_CLASSES = [
  "Noble",
  "Peripheral",
  "Service",
  "Characteristic",
  "Descriptor",
  "NobleBindings",
  "Hci",
  "Gap",
  "Gatt",
  "AclStream",
  "Signaling",
  "Smp",
  "PortSocket",
];

/** What is held at this moment: listeners on objects of noble, and timers of the whole process. */
function resources(census: EmitterCensus): { readonly listeners: number; readonly timers: number } {
  const listeners = census.count();
  return { listeners, timers: heapStats().objectTypeCounts["Timeout"] ?? 0 };
}

describe("BLE connector when things go wrong", () => {
  /** Drops in a row; `.ci/run` has other things to do for the rest of the day. */
  const DROPS = Number(process.env["TBGW_BLE_DROPS"] ?? "20");

  test(
    `a peripheral that drops its link ${DROPS} times is back each time, and harms no other`,
    async () => {
      using census = new EmitterCensus(NOBLE_CLASSES);
      await using peer = await BlePeer.start();
      await using running = await RunningBle.start(file(peer.port, [door(0), door(1)]));
      await untilValues(running, DOORS.slice(0, 2));
      const before = resources(census);
      for (let drop = 1; drop <= DROPS; drop += 1) {
        const startMs = systemClock.monotonicMs();
        const ticks = running.values("Door1", "ticks").length;
        const reads = running.values("Door1", "battery").length;
        await peer.say("drop Door1");
        await until(
          `the link after drop ${drop}`,
          () => running.host.counters.get("connects") === 2 + drop,
          WAIT_MS,
        );
        await until(
          `notifications and values after drop ${drop}`,
          () =>
            running.values("Door1", "ticks").length > ticks + 1 &&
            running.values("Door1", "battery").length > reads,
          WAIT_MS,
        );
        expect(systemClock.monotonicMs() - startMs).toBeLessThan(15_000);
      }
      const after = resources(census);
      if (DROPS > 20) {
        process.stderr.write(`${DROPS} drops: ${JSON.stringify({ before, after })}\n`);
      }
      // What one operation in flight makes of a difference is far less than one for each drop.
      expect(before.listeners).toBeGreaterThan(10);
      expect(after.listeners).toBeLessThan(before.listeners + DROPS / 2);
      expect(after.timers).toBeLessThan(before.timers + DROPS / 2);
      // The other door has lost nothing, and nobody is subscribed twice.
      const ticks = running.values("Door2", "ticks").map(Number);
      expect(ticks).toEqual(ticks.map((_, index) => (ticks[0] ?? 0) + index));
      const own = running.values("Door1", "ticks").map(Number);
      expect(new Set(own).size).toBe(own.length);
    },
    TIMEOUT_MS + DROPS * 5000,
  );

  test(
    "a peripheral that never answers is connected anew; one that vanishes comes back",
    async () => {
      await using peer = await BlePeer.start();
      await using running = await RunningBle.start(file(peer.port, [door(0), door(1)]));
      await untilValues(running, DOORS.slice(0, 2));
      await peer.say("hang Door1");
      await until(
        "the hanging read is given up",
        () => (running.host.counters.get("readErrors") ?? 0) > 0,
        WAIT_MS,
      );
      expect(running.host.failures.at(-1)).toEqual({
        deviceName: "Door1",
        error: "Cannot read the characteristic: no answer within 5000 ms",
      });
      const others = running.values("Door2", "battery").length;
      expect(others).toBeGreaterThan(10);
      await peer.say("wake Door1");
      const reads = running.values("Door1", "battery").length;
      await until("it is read", () => running.values("Door1", "battery").length > reads, 15_000);

      await peer.say("away Door1");
      await until(
        "its method fails at once",
        async () =>
          JSON.stringify(await running.rpc("Door1", "readLabel")).includes("not connected"),
        WAIT_MS,
      );
      const update = { deviceName: "Door1", values: { label: "Later" }, removed: [] };
      await running.connector.handleAttributes?.(update, new AbortController().signal);
      await peer.say("back Door1");
      await until("the label that waited", () => peer.writes.at(-1)?.hex === "4c61746572", 15_000);
    },
    TIMEOUT_MS,
  );

  test(
    "the way to the adapter is cut: all devices are back after it",
    async () => {
      // Other libraries of the tests listen too, since earlier files.
      const listeners = (): readonly number[] =>
        ["SIGINT", "exit"].map((event) => process.listenerCount(event));
      const before = listeners();
      await using peer = await BlePeer.start();
      await using running = await RunningBle.start(file(peer.port, [door(0), door(1)]));
      await untilValues(running, DOORS.slice(0, 2));
      for (let cut = 1; cut <= 3; cut += 1) {
        const connects = running.host.counters.get("connects") ?? 0;
        const startMs = systemClock.monotonicMs();
        await peer.say("kick");
        await until(
          `both are connected after cut ${cut}`,
          () => (running.host.counters.get("connects") ?? 0) >= connects + 2,
          WAIT_MS,
        );
        const [first, second] = ["Door1", "Door2"].map((name) => {
          return running.values(name, "battery").length;
        });
        await until(
          "both are read",
          () =>
            running.values("Door1", "battery").length > (first ?? 0) &&
            running.values("Door2", "battery").length > (second ?? 0),
        );
        expect(systemClock.monotonicMs() - startMs).toBeLessThan(15_000);
      }
      expect(running.host.statuses.map(({ status }) => status)).toContain("disconnected");
      expect(running.host.statuses.at(-1)?.status).toBe("connected");
      expect(listeners()).toEqual(before);
    },
    TIMEOUT_MS,
  );
});
