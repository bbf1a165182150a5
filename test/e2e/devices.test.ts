// What the compiled gateway knows of devices: over restarts, under the names of the platform, and when they fall silent.
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DEVICES_FILE, DeviceScene, TIMEOUT_MS } from "../support/device-scene.ts";
import { ledgerOf } from "../support/ledger-line.ts";
import { until } from "../support/until.ts";

const KNOWN = 500;
describe("tbgw run after a restart", () => {
  test(
    `announces ${KNOWN} devices of a Python gateway that are up, and each answers a call before its first value`,
    async () => {
      await using scene = await DeviceScene.open();
      const { gateway, platform } = scene;
      const names = Array.from({ length: KNOWN }, (_, n) => `dev-${n}`);
      const entry = {
        connectorId: "from before",
        connectorName: "Plant broker",
        deviceType: "pump",
        disconnected: false,
        renaming: null,
      };
      const known = Object.fromEntries(
        names.map((name, n) => [name, n % 10 === 0 ? ["Plant broker", "pump"] : entry]),
      );
      const others = {
        down: { ...entry, disconnected: true },
        lost: { ...entry, connectorName: "Another connector" },
        "dev-0": { ...entry, renaming: "Pump of the hall" },
      };
      const text = JSON.stringify({ ...known, ...others });
      await writeFile(join(gateway.dir, "config", DEVICES_FILE), text);
      platform.createDevice("Pump of the hall", "pump");
      const platformNames = ["Pump of the hall", ...names.slice(1)];
      for (const round of [1, 2]) {
        await scene.start();
        await platform.until(() => scene.announced.length === KNOWN, TIMEOUT_MS);
        const startMs = performance.now();
        const answers = await Promise.all(
          platformNames.map((name) => platform.rpc(name, "echo", round, { timeoutMs: 60_000 })),
        );
        console.log(`${KNOWN} calls answered in ${Math.round(performance.now() - startMs)} ms`);
        expect(answers).toEqual(names.map((name) => JSON.stringify(`${name}: ${round}`)));
        expect(scene.announced.toSorted()).toEqual(platformNames.toSorted());
        expect(platform.devices().toSorted()).toEqual(["gateway", ...platformNames].toSorted());
        expect(platform.device("dev-7")?.profile).toBe("pump");
        expect(platformNames.flatMap((name) => platform.keys(name))).toEqual([]);
        if (round === 1) {
          // Something to be written: the one that was down is back.
          await scene.measure("down", 1);
          await scene.arrived("down", 1);
          platform.deleteDevice("down");
          await until("it is forgotten", async () => {
            const file = await scene.file();
            return file !== undefined && !("down" in file);
          });
        }
        expect(await gateway.stop()).toBe(0);
      }
      const file = await scene.file();
      expect(Object.keys(file ?? {})).toHaveLength(KNOWN);
      expect(file?.["dev-0"]).toMatchObject({ renaming: "Pump of the hall", disconnected: false });
      expect((await stat(join(gateway.dir, "data", DEVICES_FILE))).mode & 0o777).toBe(0o600);
      expect(await readFile(join(gateway.dir, "config", DEVICES_FILE), "utf8")).toBe(text);
    },
    TIMEOUT_MS,
  );

  test(
    "a broken list of devices is set aside with one error and stops nothing",
    async () => {
      await using scene = await DeviceScene.open();
      const { gateway } = scene;
      await scene.start();
      await scene.measure("dev-1", 1);
      await scene.arrived("dev-1", 1);
      await until("it is written", async () => (await scene.file()) !== undefined);
      await gateway.stop("SIGKILL");
      await writeFile(join(gateway.dir, "data", DEVICES_FILE), '{"dev-1":{"connect');
      await scene.start();
      await scene.measure("dev-1", 2);
      await scene.arrived("dev-1", 2);
      await until("it is written again", async () => (await scene.file()) !== undefined);
      expect(await gateway.stop()).toBe(0);
      const errors = gateway.output.split("\n").filter((line) => line.includes("ERROR"));
      expect(errors).toHaveLength(1);
      expect(existsSync(join(gateway.dir, "data", `${DEVICES_FILE}.broken`))).toBe(true);
      expect(Object.keys((await scene.file()) ?? {})).toEqual(["dev-1"]);
    },
    TIMEOUT_MS,
  );
});

describe("devices that are renamed or deleted on the platform", () => {
  test(
    "while the gateway is away: with the next connection they have their new name, or come back under the local one",
    async () => {
      await using scene = await DeviceScene.open();
      const { gateway, platform } = scene;
      await scene.start();
      for (const device of ["dev-1", "dev-2", "dev-3"]) {
        await scene.measure(device, 1);
        await scene.arrived(device, 1);
      }
      const before = platform.device("dev-2")?.id;
      await until(
        "it is written",
        async () => Object.keys((await scene.file()) ?? {}).length === 3,
      );
      expect(await gateway.stop()).toBe(0);
      platform.renameDevice("dev-1", "Pump");
      platform.renameDevice("Pump", "Pump of the hall");
      platform.deleteDevice("dev-2");
      for (const device of ["dev-1", "dev-3"]) {
        await scene.measure(device, 2);
      }
      await scene.start();
      await scene.arrived("Pump of the hall", 2);
      await scene.arrived("dev-3", 2);
      expect(platform.devices().toSorted()).toEqual(["Pump of the hall", "dev-3", "gateway"]);
      expect(scene.sequence("Pump of the hall")).toEqual(["1", "2"]);

      // Calls and attributes go on under the name of the platform, and the device never hears of it.
      const reply = await platform.rpc("Pump of the hall", "echo", "on");
      expect(reply).toBe('"dev-1: \\"on\\""');
      platform.setShared("Pump of the hall", { limit: 5 });
      await until("the attribute is there", () => scene.attributes.includes('dev-1 {"limit":5}'));

      await scene.measure("dev-2", 3);
      await scene.arrived("dev-2", 3);
      expect(platform.device("dev-2")?.id).not.toBe(before);
      expect(platform.device("dev-2")?.profile).toBe("sensor");

      // Nothing of it is lost when the process is killed.
      await until("it is written", async () => {
        const file = await scene.file();
        return file?.["dev-1"]?.["renaming"] === "Pump of the hall" && "dev-2" in file;
      });
      await gateway.stop("SIGKILL");
      await scene.start();
      await platform.until(() => scene.announced.length === 3, TIMEOUT_MS);
      expect(await platform.rpc("Pump of the hall", "echo", 1)).toBe('"dev-1: 1"');
      await scene.measure("dev-1", 4);
      await scene.arrived("Pump of the hall", 4);
      expect(platform.devices().toSorted()).toEqual([
        "Pump of the hall",
        "dev-2",
        "dev-3",
        "gateway",
      ]);
      expect(await gateway.stop()).toBe(0);
      expect((await scene.file())?.["dev-1"]).toEqual({
        connectorId: expect.any(String),
        connectorName: "Plant broker",
        deviceType: "sensor",
        disconnected: false,
        renaming: "Pump of the hall",
      });
    },
    TIMEOUT_MS,
  );

  test(
    "while the platform is away for a running gateway: what it queued meanwhile goes to the new name",
    async () => {
      await using scene = await DeviceScene.open();
      const { gateway, platform } = scene;
      await scene.start();
      await scene.measure("dev-1", 1);
      await scene.arrived("dev-1", 1);
      await platform.down();
      platform.renameDevice("dev-1", "Pump");
      for (let seq = 2; seq <= 50; seq += 1) {
        await scene.measure("dev-1", seq);
      }
      await platform.up();
      await scene.arrived("Pump", 50);
      expect([...new Set(scene.sequence("Pump"))]).toEqual(
        Array.from({ length: 50 }, (_, index) => String(index + 1)),
      );
      expect(platform.devices()).toEqual(["gateway", "Pump"]);
      expect(await gateway.stop()).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "while it is connected: back and forth, then deleted, then it returns",
    async () => {
      await using scene = await DeviceScene.open();
      const { gateway, platform } = scene;
      await scene.start();
      await scene.measure("dev-1", 1);
      await scene.arrived("dev-1", 1);
      const renames = [
        ["dev-1", "Pump"],
        ["Pump", "Fan"],
        ["Fan", "dev-1"],
        ["dev-1", "Pump"],
      ] as const;
      let seq = 1;
      for (const [from, to] of renames) {
        seq += 1;
        platform.renameDevice(from, to);
        await platform.until(() => scene.announced.includes(to), TIMEOUT_MS);
        await scene.measure("dev-1", seq);
        await scene.arrived(to, seq);
        expect(await platform.rpc(to, "echo", seq)).toBe(`"dev-1: ${seq}"`);
        expect(platform.devices()).toEqual(["gateway", to]);
      }
      platform.deleteDevice("Pump");
      await until("it is forgotten", async () => !("dev-1" in ((await scene.file()) ?? {})));
      expect(platform.devices()).toEqual(["gateway"]);
      await scene.measure("dev-1", 9);
      await scene.arrived("dev-1", 9);
      expect(platform.devices()).toEqual(["gateway", "dev-1"]);
      await platform.until(
        () => platform.getClient("dev-1")["connectorName"]?.text === '"Plant broker"',
        TIMEOUT_MS,
      );
      expect(platform.getClient("dev-1")["connectorType"]?.text).toBe('"mqtt"');
      expect(await gateway.stop()).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "handleDeviceRenaming: false leaves names alone",
    async () => {
      await using scene = await DeviceScene.open({ handleDeviceRenaming: false });
      const { gateway, platform } = scene;
      await scene.start();
      await scene.measure("dev-1", 1);
      await scene.arrived("dev-1", 1);
      platform.renameDevice("dev-1", "Pump");
      await until("the notice is taken", () => platform.pendingRpc("gateway").length === 0);
      expect(await gateway.stop()).toBe(0);
      await scene.start();
      await scene.measure("dev-1", 2);
      await scene.arrived("dev-1", 2);
      expect(scene.sequence("Pump")).toEqual(["1"]);
      expect(await gateway.stop()).toBe(0);
    },
    TIMEOUT_MS,
  );
});

describe("checkingDeviceActivity", () => {
  test(
    "a silent device is disconnected, stays known, and comes back with its next value",
    async () => {
      await using scene = await DeviceScene.open({
        checkingDeviceActivity: {
          checkDeviceInactivity: true,
          inactivityTimeoutSeconds: 2,
          inactivityCheckPeriodSeconds: 1,
        },
      });
      const { gateway, platform } = scene;
      await scene.start();
      await scene.measure("dev-1", 1);
      await scene.arrived("dev-1", 1);
      expect(scene.announced).toEqual(["dev-1"]);
      await platform.until(() => scene.announced.length === 0, TIMEOUT_MS);
      await until("it is written", async () => {
        const file = await scene.file();
        return file?.["dev-1"]?.["disconnected"] === true;
      });
      await scene.measure("dev-1", 2);
      await scene.arrived("dev-1", 2);
      expect(scene.announced).toEqual(["dev-1"]);
      expect(await gateway.stop()).toBe(0);
    },
    TIMEOUT_MS,
  );
});

describe("the device filter", () => {
  test(
    "keeps devices out of the platform and of the list, and counts their values",
    async () => {
      await using scene = await DeviceScene.open({
        deviceFiltering: { enable: true, filterFile: "list.json" },
      });
      const { gateway, platform } = scene;
      const rules = {
        deny: { "Plant broker": ["test-.*"] },
        allow: { "Plant broker": ["dev-[0-9]+", "test-1"] },
      };
      await writeFile(join(gateway.dir, "config/list.json"), JSON.stringify(rules));
      await scene.start();
      for (const device of ["test-1", "other", "dev-1x", "dev-1"]) {
        await scene.measure(device, 1);
      }
      await scene.arrived("dev-1", 1);
      expect(await gateway.stop()).toBe(0);
      expect(platform.devices()).toEqual(["gateway", "dev-1"]);
      expect(Object.keys((await scene.file()) ?? {})).toEqual(["dev-1"]);
      // Two of the ten are type and name of the connector of dev-1.
      expect(ledgerOf(gateway.output)).toMatchObject({
        received: 10,
        stored: 4,
        filtered: { "device-filter": 6 },
        rejected: {},
      });
    },
    TIMEOUT_MS,
  );
});
