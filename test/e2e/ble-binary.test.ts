// The compiled program with Bluetooth peripherals of another implementation, to the platform and back.
import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { readBleConfig } from "../support/ble-connector.ts";
import { BlePeer, DOORS, doorAddress } from "../support/ble-peer.ts";
import { BINARY, GatewayProcess, type Launch } from "../support/gateway-process.ts";
import { freePort } from "../support/ports.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 90_000;
const WAIT_MS = 45_000;
const LABEL = "6E400002-B5A3-F393-E0A9-E50E24DCCA9E";
const TICKS = "6E400003-B5A3-F393-E0A9-E50E24DCCA9E";

/** The ARM64 program under user-mode emulation; needs its build. */
const ARM64: Launch = {
  prefix: ["/usr/bin/qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"],
  binary: resolve(import.meta.dir, "../../dist/tbgw-linux-arm64"),
};

/** Two doors that are connected, and one peripheral of which the advertisements are enough. */
function connectorFile(adapter: string): object {
  const doors = DOORS.slice(0, 2).map((name, index) => ({
    name,
    MACAddress: doorAddress(index),
    pollPeriod: 500,
    connectRetryInSeconds: 1,
    telemetry: [
      { key: "battery", method: "read", characteristicUUID: "2A19", format: "uint8" },
      { key: "ticks", method: "notify", characteristicUUID: TICKS, format: "uint16le" },
    ],
    attributeUpdates: [{ attributeOnThingsBoard: "label", characteristicUUID: LABEL }],
    serverSideRpc: [{ methodRPC: "getLabel", methodProcessing: "read", characteristicUUID: LABEL }],
  }));
  const beacon = {
    name: "Beacon",
    MACAddress: doorAddress(2),
    telemetry: [
      {
        key: "t",
        dataSourceType: "advertisement",
        valueExpression: "[1:3]",
        compute: "value / 10",
      },
    ],
  };
  return { name: "Doors", adapter, devices: [...doors, beacon] };
}

/** A gateway with one connector of type ble. */
async function startGateway(
  platform: ThingsBoardDouble,
  adapter: string,
  launch?: Launch,
): Promise<GatewayProcess> {
  const gateway = await GatewayProcess.create({ platformPort: platform.port, brokerPort: 1 });
  const main = join(gateway.dir, "config/tb_gateway.json");
  const file = await Bun.file(main).json();
  file.connectors = [{ type: "ble", name: "Doors", configuration: "ble.json" }];
  await writeFile(main, JSON.stringify(file));
  await writeFile(join(gateway.dir, "config/ble.json"), JSON.stringify(connectorFile(adapter)));
  gateway.start([], launch);
  return gateway;
}

async function startPlatform(): Promise<ThingsBoardDouble> {
  const platform = await ThingsBoardDouble.listen({ clock: systemClock });
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  return platform;
}

describe("the compiled program and Bluetooth", () => {
  test.each<[string, Launch | undefined]>([
    ["for this machine", undefined],
    ["for arm64, emulated", ARM64],
  ])(
    "%s: reads, is notified, hears advertisements, writes a shared attribute, answers a method",
    async (_name, launch) => {
      await using platform = await startPlatform();
      await using peer = await BlePeer.start();
      await using gateway = await startGateway(platform, `tcp:127.0.0.1:${peer.port}`, launch);
      const count = (device: string, key: string): number => platform.series(device, key).length;
      await until(
        "values of all three",
        () =>
          count("Door1", "battery") > 0 && count("Door2", "ticks") > 50 && count("Beacon", "t") > 0,
        WAIT_MS,
      );
      expect(platform.series("Door1", "battery")[0]?.text).toBe("91");
      expect(platform.series("Beacon", "t")[0]?.text).toBe("23.1");
      const ticks = platform.series("Door2", "ticks").map(({ text }) => Number(text));
      expect(ticks).toEqual(ticks.map((_, index) => (ticks[0] ?? 0) + index));
      const from = count("Door2", "ticks");
      const startMs = systemClock.monotonicMs();
      await until("100 more", () => count("Door2", "ticks") >= from + 100, WAIT_MS);
      expect(systemClock.monotonicMs() - startMs).toBeLessThan(15_000);

      platform.setShared("Door1", { label: "North" });
      await until("the label", () => peer.writes.some(({ hex }) => hex === "4e6f727468"), WAIT_MS);
      const answer = await platform.rpc("Door1", "getLabel", null);
      expect(JSON.stringify(answer)).toContain("North");
      expect(await gateway.stop()).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "without an adapter it waits, says what helps, and goes on",
    async () => {
      await using platform = await startPlatform();
      await using gateway = await startGateway(platform, "hci999");
      await until(
        "the reason",
        () => gateway.output.includes("Cannot open Bluetooth adapter hci999"),
        WAIT_MS,
      );
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
      const adapter = `tcp:127.0.0.1:${peer.port}`;
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
      expect(peer.writes).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test("says what is wrong", async () => {
    await using peer = await BlePeer.start();
    const adapter = `tcp:127.0.0.1:${peer.port}`;
    expect(await probe("Door")).toEqual([2, expect.stringContaining("is no address")]);
    expect(await probe("--adapter", "hci")).toEqual([2, expect.stringContaining("is no adapter")]);
    const absent = await probe("00:11:22:33:44:55", "--adapter", adapter, "--seconds", "1");
    expect(absent).toEqual([1, expect.stringContaining("was not heard within 1 s")]);
    const closed = await probe("--adapter", `tcp:127.0.0.1:${await freePort()}`);
    expect(closed).toEqual([1, expect.stringContaining("Cannot reach the adapter")]);
  });
});
