// The compiled program with Bluetooth peripherals of another implementation, to the platform and back.
import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import type { Json } from "../../src/sdk/model.ts";
import { readBleConfig } from "../support/ble-connector.ts";
import { showStatus, startBleGateway, startBlePlatform } from "../support/ble-gateway.ts";
import { BlePeer, DOORS, doorAddress, HAS_KERNEL } from "../support/ble-peer.ts";
import { BINARY, type Launch } from "../support/gateway-process.ts";
import { freePort } from "../support/ports.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 240_000;
const WAIT_MS = 60_000;
const WAITS = { timeoutMs: WAIT_MS };
/** Longest time for a hundred notifications; an emulated machine is slow. */
const PACE_MS = HAS_KERNEL ? 60_000 : 30_000;
const LABEL = "6E400002-B5A3-F393-E0A9-E50E24DCCA9E";
const LOCKED = "6E400004-B5A3-F393-E0A9-E50E24DCCA9E";
const TICKS = "6E400003-B5A3-F393-E0A9-E50E24DCCA9E";

/** The ARM64 program under user-mode emulation; needs its build. */
const ARM64: Launch = {
  prefix: ["/usr/bin/qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"],
  binary: resolve(import.meta.dir, "../../dist/tbgw-linux-arm64"),
};

/** Three doors that are connected, and one peripheral of which the advertisements are enough. */
function connectorFile(adapter: string): object {
  const doors = DOORS.map((name, index) => ({
    name,
    MACAddress: doorAddress(index),
    pollPeriod: 500,
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
      { methodRPC: "getLabel", methodProcessing: "READ", characteristicUUID: LABEL },
      { methodRPC: "setLabel", methodProcessing: "write", characteristicUUID: LABEL },
      { methodRPC: "lock", methodProcessing: "write", characteristicUUID: LOCKED },
      { methodRPC: "map", methodProcessing: "scan" },
    ],
  }));
  const source = { dataSourceType: "advertisement" };
  const beacon = {
    name: "Beacon",
    MACAddress: doorAddress(3),
    telemetry: [
      { key: "t", ...source, valueExpression: "[1:3]", compute: "value / 10" },
      { key: "rssi", ...source, advField: "rssi" },
    ],
  };
  return { name: "Doors", adapter, devices: [...doors, beacon] };
}

/** Asks every method of a door, and writes a shared attribute. */
async function command(platform: ThingsBoardDouble, peer: BlePeer, door: string): Promise<void> {
  platform.setShared(door, { label: "North" });
  await until("the label", () => peer.writes.some(({ hex }) => hex === "4e6f727468"), WAIT_MS);
  const ask = async (method: string, params: Json = null): Promise<unknown> =>
    JSON.parse(await platform.rpc(door, method, params, WAITS));
  expect(await ask("getLabel")).toBe("North");
  expect(await ask("setLabel", 42)).toBe("Ok");
  expect(await ask("getLabel")).toBe(42);
  expect(await ask("set", `characteristicUUID=${LABEL};value=a=b;`)).toBe("Ok");
  expect(await ask("get", `characteristicUUID=${LABEL};`)).toBe("a=b");
  expect(await ask("lock", "x")).toMatchObject({
    error: "The peripheral refuses: writing is not permitted (0x03)",
  });
  expect(await ask("open")).toMatchObject({ error: "RPC method not found" });
  const map = String(await ask("map"));
  expect(map).toStartWith(`MAP FOR ${door.toUpperCase()}\n`);
  expect(map).toContain("[Service] 0000180f-0000-1000-8000-00805f9b34fb (Handle: ");
  expect(map).toContain('(read,write), Value: 613d62 "a=b"');
  expect(map).toContain("): Client Characteristic Configuration | Value: ");
}

describe("the compiled program and Bluetooth", () => {
  test.each<[string, Launch | undefined]>([
    ["for this machine", undefined],
    ["for arm64, emulated", ARM64],
  ])(
    "%s: three peripherals at once are read, notified at 50/s and written, a fourth is heard",
    async (_name, launch) => {
      await using platform = await startBlePlatform();
      await using peer = await BlePeer.start();
      const { adapter } = peer;
      await using gateway = await startBleGateway(platform, [connectorFile(adapter)], launch);
      const count = (device: string, key: string): number => platform.valueCount(device, key);
      await until(
        "values of all four",
        () =>
          DOORS.every((door) => count(door, "battery") > 0 && count(door, "ticks") > 0) &&
          count("Beacon", "t") > 0,
        WAIT_MS,
      );
      expect(DOORS.map((door) => platform.series(door, "battery")[0]?.text)).toEqual([
        '"91"',
        '"92"',
        '"93"',
      ]);
      expect(platform.getClient("Door2")["fw"]?.text).toBe('"v1.4"');
      expect(platform.series("Beacon", "t")[0]?.text).toBe("23.1");
      expect(platform.series("Beacon", "rssi")[0]?.text).toBe("-50");
      const report = JSON.parse(await platform.rpc("gateway", "ble_devices", null, WAITS));
      expect(report.adapter).toMatchObject({ state: "ready", connectionsUsed: 3 });
      expect(report.devices["Beacon"].state).toBe("listening");
      expect(report.devices["Beacon"].connects).toBeUndefined();

      const from = count("Door2", "ticks");
      const startMs = systemClock.monotonicMs();
      await until("100 more", () => count("Door2", "ticks") >= from + 100, WAIT_MS);
      // Two seconds' worth; the peer keeps its own pace on a busy machine, and the numbers tell that none is lost.
      expect(systemClock.monotonicMs() - startMs).toBeLessThan(PACE_MS);
      await command(platform, peer, "Door1");
      for (const door of DOORS) {
        const ticks = platform.series(door, "ticks").map(({ text }) => Number(text));
        expect(ticks).toEqual(ticks.map((_, index) => (ticks[0] ?? 0) + index));
      }
      // Both items of one notification are of one moment.
      const [low, tick] = ["low", "ticks"].map((key) => platform.series("Door3", key)[0]);
      expect(low?.ts).toEqual(tick?.ts);
      // The refused write and the map have cost nobody the link.
      const after = JSON.parse(await platform.rpc("gateway", "ble_devices", null, WAITS));
      expect(DOORS.map((door) => after.devices[door].disconnects)).toEqual(
        DOORS.map(() => undefined),
      );
      expect(await gateway.stop()).toBe(0);
    },
    TIMEOUT_MS,
  );

  // The serial port leads to the port of the adapter, which the kernel's has not.
  test.skipIf(HAS_KERNEL)(
    "the same adapter on a serial port, which is unplugged and comes back",
    async () => {
      await using platform = await startBlePlatform();
      await using peer = await BlePeer.start();
      const dir = mkdtempSync(join(tmpdir(), "tbgw-ble-"));
      const path = join(dir, "adapter");
      const plug = async (): Promise<Bun.Subprocess> => {
        const to = `tcp:127.0.0.1:${peer.port}`;
        const child = Bun.spawn(["socat", `pty,raw,echo=0,link=${path}`, to]);
        await until("the port", () => existsSync(path));
        return child;
      };
      let port = await plug();
      try {
        const file = connectorFile(`serial:${path}@115200`);
        await using gateway = await startBleGateway(platform, [file]);
        const count = (): number => platform.valueCount("Door1", "battery");
        await until(
          "a value",
          () => count() > 0 && platform.valueCount("Door1", "ticks") > 0,
          WAIT_MS,
        );
        port.kill("SIGKILL");
        await port.exited;
        await until(
          "it is missed",
          () => gateway.output.includes(`Serial port ${path} is gone`),
          WAIT_MS,
        );
        rmSync(path, { force: true });
        for (const door of DOORS) {
          await peer.say(`drop ${door}`);
        }
        port = await plug();
        const before = count();
        await until("new values", () => count() > before, WAIT_MS);
        expect(await gateway.stop()).toBe(0);
      } finally {
        port.kill("SIGKILL");
        rmSync(dir, { recursive: true });
      }
    },
    TIMEOUT_MS,
  );

  test(
    "two adapters at once, one of them only listening and with an older file, and a third that is not there",
    async () => {
      await using platform = await startBlePlatform();
      await using peer = await BlePeer.start();
      await using other = await BlePeer.start();
      const older = {
        name: "Hall",
        adapter: other.adapter,
        scanMode: "passive",
        rescanIntervalSeconds: 1,
        scanTimeSeconds: 1,
        checkIntervalSeconds: 1,
        devices: [
          {
            name: "Label",
            MACAddress: doorAddress(0).toLowerCase(),
            telemetry: [
              // Older files have no `valueExpression`.
              { key: "text", method: "READ", characteristicUUID: LABEL, byteFrom: 1, byteTo: -1 },
              {
                key: "half",
                method: "read",
                characteristicUUID: "2A19",
                format: "uint8",
                compute: "value / 2 if value > 9 else 0",
              },
            ],
          },
        ],
      };
      const files = [
        connectorFile(peer.adapter),
        older,
        {
          ...older,
          adapter: "hci999",
          name: "Yard",
          devices: [{ ...older.devices[0], name: "Gate" }],
        },
      ];
      await using gateway = await startBleGateway(platform, files);
      const count = (device: string, key: string): number => platform.valueCount(device, key);
      await until(
        "values of both adapters",
        () =>
          count("Door1", "battery") > 0 && count("Label", "text") > 1 && count("Label", "half") > 1,
        WAIT_MS,
      );
      expect(platform.series("Label", "text")[0]?.text).toBe('"one"');
      expect(platform.series("Label", "half")[0]?.text).toBe("45.5");
      await until(
        "the reason of the third",
        () => gateway.output.includes("Cannot open Bluetooth adapter hci999"),
        WAIT_MS,
      );
      const { connectors } = JSON.parse(await showStatus(gateway, "--json"));
      const yard = connectors.find(({ name }: { readonly name: string }) => name === "Yard");
      expect(yard).toMatchObject({
        link: "disconnected",
        detail: expect.stringContaining(
          "waiting for adapter: Cannot open Bluetooth adapter hci999",
        ),
      });
      expect(await gateway.stop()).toBe(0);
    },
    TIMEOUT_MS,
  );
});

/** What `tbgw probe ble` prints, with the code it ends with. */
async function probe(...args: readonly string[]): Promise<readonly [number, string]> {
  const child = Bun.spawn([BINARY, "probe", "ble", ...args], { stdout: "pipe", stderr: "pipe" });
  const [output, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return [await child.exited, output + errors];
}

describe("tbgw probe ble", () => {
  test(
    "lists who is around, and what one of them has, each with a file to begin with",
    async () => {
      await using peer = await BlePeer.start();
      const { adapter } = peer;
      const [code, heard] = await probe("--adapter", adapter, "--seconds", "3");
      expect(heard).toContain(
        `${doorAddress(1)}  -50 dBm  "Door 2"  Ruuvi (0x0499): 0100e7  sent with 0 dBm`,
      );
      expect(heard).toContain('"companyId":1177');
      expect(code).toBe(0);

      const [lookCode, seen] = await probe(doorAddress(0), "--adapter", adapter, "--json");
      expect(lookCode).toBe(0);
      expect(seen).toContain("00002a19-0000-1000-8000-00805f9b34fb (read): 5b  battery = 91");
      const { config } = JSON.parse(seen.trim().split("\n").at(-1) ?? "");
      expect(readBleConfig(config)).toMatchObject({ issues: [] });
      expect(config.devices[0].telemetry).toContainEqual({
        key: "battery",
        method: "read",
        characteristicUUID: "2A19",
        format: "uint8",
      });
      expect(config.devices[0].telemetry).toContainEqual({
        key: expect.stringMatching(/^battery_[0-9a-f]+$/),
        method: "read",
        characteristicUUID: "2A19",
        format: "uint8",
        handle: expect.stringMatching(/^0x[0-9a-f]{4}$/),
      });
      expect(peer.writes).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    "says what is wrong",
    async () => {
      await using peer = await BlePeer.start();
      const { adapter } = peer;
      expect(await probe("Door")).toEqual([2, expect.stringContaining("is no address")]);
      expect(await probe("--adapter", "hci")).toEqual([
        2,
        expect.stringContaining("is no adapter"),
      ]);
      const absent = await probe("00:11:22:33:44:55", "--adapter", adapter, "--seconds", "1");
      expect(absent).toEqual([1, expect.stringContaining("was not heard within 1 s")]);
      const closed = await probe("--adapter", `tcp:127.0.0.1:${await freePort()}`);
      expect(closed).toEqual([1, expect.stringContaining("Cannot reach the adapter")]);
    },
    TIMEOUT_MS,
  );
});
