// What the connector can do besides the usual, against peripherals of an independent implementation.
import { expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import type { UplinkTable } from "../../src/connector/converters.ts";
import { type BleRead, defineUplink } from "../../src/sdk/converter.ts";
import type { Json } from "../../src/sdk/model.ts";
import { RunningBle } from "../support/ble-connector.ts";
import { BlePeer, DOORS, doorAddress } from "../support/ble-peer.ts";
import { TestHost } from "../support/connector-host.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;
const WAIT_MS = 30_000;

const battery: Json = {
  key: "battery",
  method: "read",
  characteristicUUID: "2A19",
  valueExpression: "[0]",
};

const door = (index: number, more: { readonly [key: string]: Json } = {}): Json => ({
  name: DOORS[index] ?? "",
  MACAddress: doorAddress(index),
  pollPeriod: 300,
  telemetry: [battery],
  ...more,
});

const file = (adapter: string, more: { readonly [key: string]: Json }): Json => ({
  name: "Doors",
  adapter,
  ...more,
});

/** What `ble_devices` replies. */
async function statusOf({ connector }: RunningBle): Promise<{
  readonly adapter: Readonly<Record<string, unknown>>;
  readonly devices: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}> {
  const request = { id: 1, method: "devices", params: null, timeoutMs: 5000 };
  const reply = await connector.handleConnectorRpc?.(request, new AbortController().signal);
  return JSON.parse(JSON.stringify(reply));
}

test(
  "more devices than links: each is connected for its cycle and gives the link back",
  async () => {
    await using peer = await BlePeer.start();
    const devices = [0, 1, 2].map((index) => door(index, { pollPeriod: 10_000 }));
    await using running = await RunningBle.start(
      file(peer.adapter, { maxConnections: 1, devices }),
    );
    await until(
      "values of every door",
      async () => {
        expect((await statusOf(running)).adapter["connectionsUsed"] ?? 0).toBeOneOf([0, 1]);
        return DOORS.every((name) => running.values(name, "battery").length > 0);
      },
      WAIT_MS,
    );
    await until("the links are given back", async () => {
      const { connectionsUsed } = (await statusOf(running)).adapter;
      return connectionsUsed === 0 && (running.host.counters.get("disconnects") ?? 0) >= 3;
    });
    const { adapter, devices: states } = await statusOf(running);
    expect(adapter).toMatchObject({ state: "ready", maxConnections: 1 });
    expect(adapter["lastAdvTs"]).toBeNumber();
    for (const name of DOORS) {
      expect(states[name]).toMatchObject({ rssi: -50 });
      expect(states[name]?.["reads"]).toBeGreaterThan(0);
      expect(states[name]?.["disconnects"]).toBeGreaterThan(0);
      expect(states[name]?.["lastSeenTs"]).toBeNumber();
    }
  },
  TIMEOUT_MS,
);

const TANK = "6E400011-B5A3-F393-E0A9-E50E24DCCA9E";

/** Handles of the characteristics with a UUID, as a GATT map names them. */
function handlesIn(map: string, uuid: string): readonly number[] {
  const lines = map.split("\\n").filter((line) => line.includes(`[Characteristic] ${uuid}`));
  return lines.map((line) => Number(/\(Handle: (\d+)\)/.exec(line)?.[1]));
}

test(
  "characteristics with the same UUID, in one service and in two, are told apart by their handles",
  async () => {
    await using peer = await BlePeer.start();
    const map = { methodRPC: "map", methodProcessing: "scan" };
    let handles: readonly (readonly number[])[] = [];
    {
      const devices = [door(0, { serverSideRpc: [map] })];
      await using running = await RunningBle.start(file(peer.adapter, { devices }));
      await until("a value", () => running.values("Door1", "battery").length > 0, WAIT_MS);
      const text = JSON.stringify(await running.rpc("Door1", "map"));
      handles = [
        handlesIn(text, TANK.toLowerCase()),
        handlesIn(text, "00002a19-0000-1000-8000-00805f9b34fb"),
      ];
    }
    const [[left = 0, right = 0] = [], [, spare = 0] = []] = handles;
    expect(new Set([left, right, spare]).size).toBe(3);
    const hex = { format: "hex" };
    const telemetry: Json[] = [
      battery,
      { key: "first", method: "read", characteristicUUID: TANK, ...hex },
      { key: "left", method: "read", handle: left, ...hex },
      // The handle of the declaration, as other tools name it, and as text.
      {
        key: "right",
        method: "read",
        characteristicUUID: TANK,
        handle: `0x00${(right - 1).toString(16)}`,
        ...hex,
      },
      { key: "moved", method: "notify", handle: right, ...hex },
      { key: "spare", method: "read", handle: spare, format: "uint8" },
      { key: "no", method: "read", handle: 0x4321, ...hex },
      { key: "other", method: "read", characteristicUUID: "2A19", handle: right, ...hex },
    ];
    const devices = [
      door(0, {
        telemetry,
        attributeUpdates: [{ attributeOnThingsBoard: "label", handle: right }],
        serverSideRpc: [{ methodRPC: "getLeft", methodProcessing: "read", handle: left }],
      }),
    ];
    await using running = await RunningBle.start(file(peer.adapter, { devices }));
    const seen = (key: string): Json | undefined => running.values("Door1", key)[0];
    await until(
      "all that are there",
      () =>
        ["battery", "first", "left", "right", "moved", "spare"].every(
          (key) => seen(key) !== undefined,
        ),
      WAIT_MS,
    );
    expect(["battery", "first", "left", "right", "spare"].map(seen)).toEqual([
      "91",
      "0a",
      "0a",
      "0b",
      50,
    ]);
    expect(new Set(running.values("Door1", "moved"))).toEqual(new Set(["a1"]));
    const reasons = running.host.lines.flatMap(({ level, fields }) =>
      level === "warn" ? [String(fields["reason"])] : [],
    );
    expect(reasons).toEqual([
      expect.stringMatching(
        /^The peripheral has no characteristic at handle 0x4321; it has 0x.{4} \(2a00\), /,
      ),
      expect.stringMatching(
        /^Handle 0x.{4} of the peripheral is 6e400011.*, not 2a19; that is at 0x.{4}, 0x.{4}$/,
      ),
    ]);

    const update = { deviceName: "Door1", values: { label: "Z" }, removed: [] };
    await running.connector.handleAttributes?.(update, new AbortController().signal);
    await until("it is written", () => peer.writes.length === 1);
    expect(peer.writes[0]).toEqual({ name: "Door 1 tank 1", hex: "5a" });
    expect(await running.rpc("Door1", "set", `handle=${left};value=A;`)).toBe("Ok");
    expect(await running.rpc("Door1", "get", `handle=${left};`)).toBe("A");
    expect(await running.rpc("Door1", "getLeft")).toBe("A");
    expect(running.host.counters.get("disconnects") ?? 0).toBe(0);
  },
  TIMEOUT_MS,
);

test(
  "showMap lists who is around, and what a device has",
  async () => {
    await using peer = await BlePeer.start();
    await using running = await RunningBle.start(
      file(peer.adapter, {
        showMap: true,
        scanner: { timeout: 8000 },
        scanTimeSeconds: 10,
        devices: [door(0, { showMap: true, telemetry: [] })],
      }),
    );
    const { host } = running;
    const line = (message: string): unknown =>
      host.lines.find((one) => one.message === message)?.fields["map"];
    await until(
      "both maps",
      () =>
        line("Bluetooth peripherals around") !== undefined &&
        line("GATT map of the peripheral") !== undefined,
      WAIT_MS,
    );
    expect(String(line("Bluetooth peripherals around"))).toContain('"F0:F1:F2:F3:F4:02":"Door 2"');
    expect(String(line("GATT map of the peripheral"))).toStartWith("MAP FOR DOOR1\n| [Service] ");
    expect(host.lines).toContainEqual({
      level: "warn",
      message: "An older key in seconds is used; its new name is in milliseconds",
      fields: { older: "scanTimeSeconds", key: "scannerTimeout" },
    });
    expect((await statusOf(running)).devices["Door1"]).toMatchObject({ state: "ready" });
  },
  TIMEOUT_MS,
);

test(
  "an extension takes the bytes of readings and advertisements",
  async () => {
    const seen: BleRead[] = [];
    const definition = defineUplink({
      name: "DoorConverter",
      type: "ble",
      schema: v.looseObject({ name: v.string() }),
      create: (device) => (raw) => {
        seen.push(raw);
        return {
          deviceName: device.name,
          telemetry: [{ values: { [`x_${raw.key}`]: Buffer.from(raw.payload).toString("hex") } }],
        };
      },
    });
    const uplinks: UplinkTable = {
      DoorConverter: async () => await Promise.resolve({ default: definition }),
    };
    await using peer = await BlePeer.start();
    const advertised = { key: "adv", dataSourceType: "advertisement", valueExpression: "[0]" };
    const devices = [
      door(0, { extension: "DoorConverter", attributes: [advertised] }),
      door(1, { extension: "Nobody" }),
    ];
    await using running = await RunningBle.start(
      file(peer.adapter, { devices }),
      new TestHost({ type: "ble", uplinks }),
    );
    await until(
      "both sources, and the door without it",
      () =>
        running.values("Door1", "x_battery").length > 0 &&
        running.values("Door1", "x_adv").length > 0 &&
        running.values("Door2", "battery").length > 0,
      WAIT_MS,
    );
    expect(running.values("Door1", "x_battery")[0]).toBe("5b");
    expect(running.values("Door1", "x_adv")[0]).toBe("0100e7");
    expect(running.values("Door2", "battery")[0]).toBe("92");
    expect(seen[0]).toMatchObject({ deviceName: "Door1", address: doorAddress(0) });
    const warnings = running.host.lines.filter(({ fields }) => fields["extension"] === "Nobody");
    expect(warnings.length).toBe(1);
  },
  TIMEOUT_MS,
);

test(
  "two connectors share one adapter; the end of the first costs the second nothing",
  async () => {
    await using peer = await BlePeer.start();
    const first = await RunningBle.start(file(peer.adapter, { devices: [door(0)] }));
    await using second = await RunningBle.start(file(peer.adapter, { devices: [door(1)] }));
    await until(
      "values of both",
      () =>
        first.values("Door1", "battery").length > 0 && second.values("Door2", "battery").length > 0,
      WAIT_MS,
    );
    await first[Symbol.asyncDispose]();
    const reads = second.values("Door2", "battery").length;
    await until("more values", () => second.values("Door2", "battery").length > reads + 2, WAIT_MS);
    expect(second.host.counters.get("disconnects") ?? 0).toBe(0);
    await using third = await RunningBle.start(file(peer.adapter, { devices: [door(0)] }));
    await until("the first door again", () => third.values("Door1", "battery").length > 0, WAIT_MS);
  },
  TIMEOUT_MS,
);

test(
  "any bytes of a characteristic give a value or a counted error for each item",
  async () => {
    const formats = [
      "uint8",
      "int16be",
      "uint32le",
      "int64be",
      "floatle",
      "doublebe",
      "utf8",
      "hex",
      "bool",
    ];
    const base = { method: "read", characteristicUUID: "2A19" };
    const telemetry: Json[] = [
      ...formats.map((format, offset) => ({ key: format, ...base, format, offset })),
      { key: "template", ...base, valueExpression: "[0] and [2:4]" },
      { key: "calculated", ...base, format: "uint8", compute: "100 / value" },
    ];
    await using peer = await BlePeer.start();
    const running = await RunningBle.start(
      file(peer.adapter, { devices: [door(0, { pollPeriod: 20, telemetry })] }),
    );
    const reads = (): number => running.host.counters.get("reads") ?? 0;
    const samples = [new Uint8Array(0), ...fc.sample(fc.uint8Array({ maxLength: 40 }), 40)];
    for (const sample of samples) {
      const before = reads();
      await peer.say(`value Door1 ${Buffer.from(sample).toString("hex")}`);
      await until("it is read", () => reads() > before + 1, WAIT_MS);
    }
    await running[Symbol.asyncDispose]();
    const values = running.host.accepted.flatMap(({ telemetry: list = [] }) =>
      list.flatMap((entry) => Object.keys(entry.values)),
    );
    expect(running.host.texts.length).toBeGreaterThan(0);
    const errors = [...running.host.rejections.values()].reduce((sum, count) => sum + count, 0);
    expect(errors).toBeGreaterThan(0);
    expect(values.length + errors).toBe(reads() * telemetry.length);
    expect(running.host.counters.get("disconnects")).toBe(1);
  },
  TIMEOUT_MS,
);
