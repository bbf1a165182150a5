// What the connector leaves behind in its process when links and adapters come and go: nothing. The peripherals are of another implementation.
import { heapStats } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import type { Json } from "../../src/sdk/model.ts";
import { RunningBle } from "../support/ble-connector.ts";
import { BlePeer, DOORS, doorAddress } from "../support/ble-peer.ts";
import { EmitterCensus } from "../support/emitter-census.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;
const WAIT_MS = 30_000;
const TICKS = "6E400003-B5A3-F393-E0A9-E50E24DCCA9E";

/** A door: its battery is read, its ticks are notified. */
function door(index: number): Json {
  return {
    name: DOORS[index] ?? "",
    MACAddress: doorAddress(index),
    pollPeriod: 300,
    connectRetryInSeconds: 1,
    telemetry: [
      { key: "battery", method: "read", characteristicUUID: "2A19", format: "uint8" },
      { key: "ticks", method: "notify", characteristicUUID: TICKS, format: "uint16le" },
    ],
  };
}

function file(adapter: string, devices: readonly Json[]): Json {
  return { name: "Doors", adapter, devices };
}

async function untilValues(running: RunningBle, names: readonly string[]): Promise<void> {
  await until(
    "values of every door",
    () =>
      names.every((name) =>
        ["battery", "ticks"].every((key) => running.values(name, key).length > 0),
      ),
    WAIT_MS,
  );
}

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

describe("nothing is left behind", () => {
  /** Drops in a row; what is left behind shows after a few. */
  const DROPS = Number(process.env["TBGW_BLE_DROPS"] ?? "10");

  test(
    `by a peripheral that drops its link ${DROPS} times: listeners and timers`,
    async () => {
      using census = new EmitterCensus(NOBLE_CLASSES);
      await using peer = await BlePeer.start();
      await using running = await RunningBle.start(file(peer.adapter, [door(0), door(1)]));
      await untilValues(running, DOORS.slice(0, 2));
      const before = resources(census);
      for (let drop = 1; drop <= DROPS; drop += 1) {
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
      }
      const after = resources(census);
      if (DROPS > 10) {
        process.stderr.write(`${DROPS} drops: ${JSON.stringify({ before, after })}\n`);
      }
      // What one operation in flight makes of a difference is far less than one for each drop.
      expect(before.listeners).toBeGreaterThan(10);
      expect(after.listeners).toBeLessThan(before.listeners + 0.7 * DROPS);
      expect(after.timers).toBeLessThan(before.timers + 0.7 * DROPS);
    },
    TIMEOUT_MS + DROPS * 5000,
  );

  test(
    "by a cut of the way to the adapter: hooks on the end of the process",
    async () => {
      // Other libraries of the tests listen too, since earlier files.
      const listeners = (): readonly number[] =>
        ["SIGINT", "exit"].map((event) => process.listenerCount(event));
      const before = listeners();
      await using peer = await BlePeer.start();
      await using running = await RunningBle.start(file(peer.adapter, [door(0), door(1)]));
      await untilValues(running, DOORS.slice(0, 2));
      await peer.say("kick");
      await until(
        "both are connected again",
        () => (running.host.counters.get("connects") ?? 0) >= 4,
        WAIT_MS,
      );
      expect(running.host.statuses.map(({ status }) => status)).toContain("disconnected");
      await running.host.status("connected");
      expect(listeners()).toEqual(before);
    },
    TIMEOUT_MS,
  );
});
