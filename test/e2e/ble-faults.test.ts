// The compiled program while peripherals, the adapter and the way to it fail; the peripherals are of another implementation.
import { expect, test } from "bun:test";
import type { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { showStatus, startBleGateway, startBlePlatform } from "../support/ble-gateway.ts";
import { BlePeer, DOORS, doorAddress } from "../support/ble-peer.ts";
import { until } from "../support/until.ts";

/** Drops in a row; `.ci/run` has other things to do for the rest of the day. */
const DROPS = Number(process.env["TBGW_BLE_DROPS"] ?? "20");
const WAIT_MS = 45_000;
const TIMEOUT_MS = 240_000 + DROPS * 10_000;
/** Longest time until a device is back after its peripheral is. */
const RECOVERY_MS = 15_000;
const TICKS = "6E400003-B5A3-F393-E0A9-E50E24DCCA9E";
const LABEL = "6E400002-B5A3-F393-E0A9-E50E24DCCA9E";

const battery = { key: "battery", method: "read", characteristicUUID: "2A19", format: "uint8" };
const ticks = { key: "ticks", method: "notify", characteristicUUID: TICKS, format: "uint16le" };

function door(index: number, telemetry: readonly object[]): object {
  return {
    name: DOORS[index],
    MACAddress: doorAddress(index),
    pollPeriod: 300,
    connectRetryInSeconds: 1,
    // A link that ends while it is looked at is a failure; with more of these in a row than this the pauses would become longer.
    connectRetry: 1000,
    telemetry,
    attributeUpdates: [{ attributeOnThingsBoard: "label", characteristicUUID: LABEL }],
    serverSideRpc: [{ methodRPC: "getLabel", methodProcessing: "read", characteristicUUID: LABEL }],
  };
}

/** Waits until all doors of `names` have new values, and says that it took longer than it may. */
async function recovered(platform: ThingsBoardDouble, names: readonly string[]): Promise<void> {
  const counts = (): readonly number[] =>
    names.flatMap((name) => ["battery", "ticks"].map((key) => platform.valueCount(name, key)));
  const before = counts();
  const startMs = systemClock.monotonicMs();
  await until(
    `values of ${names.join(" and ")}`,
    () => counts().every((count, index) => count > (before[index] ?? 0) + 1),
    WAIT_MS,
  );
  expect(systemClock.monotonicMs() - startMs).toBeLessThan(RECOVERY_MS);
}

test(
  `silence, absence, ${DROPS} drops at random and failures of the adapter: each device is back, others are not harmed`,
  async () => {
    await using platform = await startBlePlatform();
    await using peer = await BlePeer.start();
    const wrong = [
      battery,
      ticks,
      { key: "no", method: "read", characteristicUUID: "2AFF", format: "uint8" },
      { key: "never", method: "notify", characteristicUUID: "2A19", format: "uint8" },
    ];
    const devices = [door(0, [battery, ticks]), door(1, [battery, ticks]), door(2, wrong)];
    const file = { name: "Doors", adapter: peer.adapter, devices };
    await using gateway = await startBleGateway(platform, [file]);
    await until(
      "the doors",
      () => DOORS.every((name) => platform.valueCount(name, "ticks") > 0),
      WAIT_MS,
    );
    await recovered(platform, DOORS);
    const times = (text: string): number => gateway.output.split(text).length - 1;

    // It does not answer any more.
    await peer.say("hang Door1");
    await until(
      "it is given up",
      () => gateway.output.includes("no answer within 5000 ms"),
      WAIT_MS,
    );
    await peer.say("wake Door1");
    await recovered(platform, ["Door1"]);

    // It vanishes in the middle of a read.
    const hanging = peer.hanging.length;
    await peer.say("hang Door1");
    await until("a read that hangs", () => peer.hanging.length > hanging);
    await peer.say("away Door1");
    await until(
      "its method fails at once",
      async () =>
        (await platform.rpc("Door1", "getLabel", null, { timeoutMs: WAIT_MS })).includes(
          "not connected",
        ),
      WAIT_MS,
    );
    const status = await showStatus(gateway);
    expect(status).toContain("2 of 3 devices there");
    expect(status).toMatch(/Door1: not connected since\s+20\d\d-\d\d-\d\d\s+\d\d:\d\d:\d\d UTC/);
    const [doors] = JSON.parse(await showStatus(gateway, "--json")).connectors;
    expect(doors).toMatchObject({ link: "degraded", detail: expect.stringContaining("2 of 3") });
    platform.setShared("Door1", { label: "Later" });
    await peer.say("wake Door1");
    await peer.say("back Door1");
    await recovered(platform, ["Door1"]);
    await until("the label that waited", () => peer.writes.at(-1)?.hex === "4c61746572", WAIT_MS);
    await until(
      "the status says so",
      async () => (await showStatus(gateway)).includes("3 of 3 devices there"),
      WAIT_MS,
    );

    // It drops its link at any moment: connected just now, looked at, subscribed to, read.
    const seed = Math.floor(Math.random() * 1e6);
    process.stderr.write(`drops with seed ${seed}\n`);
    await peer.say(`drops Door1 ${DROPS} ${seed}`);
    await until(
      "it is back from every drop",
      () => peer.returns.length >= DROPS,
      WAIT_MS + DROPS * 10_000,
    );
    expect(Math.max(...peer.returns.map(({ awayMs }) => awayMs))).toBeLessThan(RECOVERY_MS);
    await recovered(platform, ["Door1"]);

    // One warning for each wrong item, and all the others have lost nothing at all.
    expect(times("The peripheral has no characteristic 2aff")).toBe(1);
    expect(times("It cannot notify or indicate")).toBe(1);
    for (const name of ["Door2", "Door3"]) {
      const numbers = platform.series(name, "ticks").map(({ text }) => Number(text));
      expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index));
    }
    const own = platform.series("Door1", "ticks").map(({ text }) => text);
    expect(new Set(own).size).toBe(own.length);

    await peer.say("reset");
    await until(
      "the reset is noticed",
      () => gateway.output.includes("hardware error 0x42"),
      WAIT_MS,
    );
    await recovered(platform, DOORS);
    await peer.say("kick");
    await until(
      "the cut is noticed",
      () => / adapter (at )?[\w.:]+ is gone/.test(gateway.output),
      WAIT_MS,
    );
    await recovered(platform, DOORS);
    expect(await gateway.stop()).toBe(0);
  },
  TIMEOUT_MS,
);
