import { describe, expect, test } from "bun:test";
import type { KnownDevice } from "../../../src/delivery/port.ts";
import { DeviceFilter } from "../../../src/pipeline/device-filter.ts";
import { Devices, type StoredDevice } from "../../../src/service/devices.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

const MODBUS = { id: "id-modbus", name: "Modbus line", type: "modbus" };
const MQTT = { id: "id-mqtt", name: "MQTT broker", type: "mqtt" };

function stored(deviceName: string, more: Partial<StoredDevice> = {}): StoredDevice {
  return {
    deviceName,
    deviceType: "pump",
    connectorId: MODBUS.id,
    connectorName: MODBUS.name,
    disconnected: false,
    renaming: undefined,
    ...more,
  };
}

function setUp(
  options: { readonly restored?: readonly StoredDevice[]; readonly followRenames?: boolean } = {},
) {
  const clock = new FakeClock();
  const memory = memoryLog();
  const told: KnownDevice[] = [];
  const came: string[] = [];
  const forgotten: string[] = [];
  let changes = 0;
  const devices = new Devices({
    clock,
    log: memory.log,
    filter: new DeviceFilter(),
    followRenames: options.followRenames ?? true,
    restored: options.restored ?? [],
    announce: (device) => told.push(device),
    forgotten: (name) => forgotten.push(name),
    changed: () => {
      changes += 1;
    },
  });
  devices.onConnected(({ deviceName }, connector) => came.push(`${deviceName}@${connector.name}`));
  const take = (): readonly string[] =>
    told
      .splice(0)
      .map(({ deviceName, deviceType, connected, platformName }) =>
        [deviceName, deviceType, connected ? "on" : "off", platformName].join(" "),
      );
  return { clock, devices, take, came, forgotten, memory, changes: () => changes };
}

describe("Devices.connect()", () => {
  test("announces a device once, with its type or default", () => {
    const { devices, take, came, changes } = setUp();
    expect(devices.connect("A", "fan", MODBUS)).toBe("fan");
    expect(devices.connect("A", "other", MODBUS)).toBe("fan");
    expect(devices.connect("B", undefined, MODBUS)).toBe("default");
    expect(take()).toEqual(["A fan on A", "B default on B"]);
    expect(came).toEqual(["A@Modbus line", "B@Modbus line"]);
    expect(changes()).toBe(2);
    expect(devices.of(MODBUS.id).map(({ deviceName }) => deviceName)).toEqual(["A", "B"]);
  });

  test("notes when the device was seen last", async () => {
    const { clock, devices } = setUp();
    devices.connect("A", undefined, MODBUS);
    await clock.advance(700);
    devices.connect("A", undefined, MODBUS);
    expect(devices.get("A")).toMatchObject({ connected: true, lastSeenMs: 700 });
    expect(devices.get("none")).toBeUndefined();
  });

  test("another connector takes a device over at once when it is down, else when its own is silent for a minute", async () => {
    const { clock, devices, take, came } = setUp();
    devices.connect("A", "fan", MODBUS);
    devices.connect("A", "pump", MQTT);
    await clock.advance(59_000);
    devices.connect("A", "pump", MQTT);
    expect(devices.get("A")).toMatchObject({ connectorId: MODBUS.id, lastSeenMs: 59_000 });
    await clock.advance(1000);
    devices.connect("A", "pump", MQTT);
    expect(devices.get("A")).toMatchObject({ connectorName: MQTT.name, deviceType: "pump" });
    devices.disconnect("A", MQTT.id);
    devices.connect("A", undefined, MODBUS);
    expect(devices.get("A")?.connectorId).toBe(MODBUS.id);
    expect(came).toEqual(["A@Modbus line", "A@MQTT broker", "A@Modbus line"]);
    expect(take()).toEqual(["A fan on A", "A pump on A", "A pump off A", "A pump on A"]);
  });

  test("a listener that is disposed hears nothing more", () => {
    const { devices } = setUp();
    const heard: string[] = [];
    const listening = devices.onConnected(({ deviceName }) => heard.push(deviceName));
    devices.connect("A", undefined, MODBUS);
    listening[Symbol.dispose]();
    devices.connect("B", undefined, MODBUS);
    expect(heard).toEqual(["A"]);
  });

  test("too many devices: the one known longest is forgotten, a name given on the platform is kept, one error is said", () => {
    const { devices, memory, take } = setUp();
    devices.connect("first", undefined, MODBUS);
    devices.rename("first", "named");
    for (let n = 1; n < 20_000; n += 1) {
      devices.connect(`n${n}`, undefined, MODBUS);
    }
    take();
    devices.connect("one more", undefined, MODBUS);
    devices.connect("two more", undefined, MODBUS);
    expect(take()).toEqual([
      "n1 default off n1",
      "one more default on one more",
      "n2 default off n2",
      "two more default on two more",
    ]);
    expect([devices.all().length, devices.platformName("first")]).toEqual([20_000, "named"]);
    expect(memory.messages("error")).toHaveLength(1);
  });
});

describe("Devices.disconnect()", () => {
  test("takes back devices of that connector alone, once, and keeps them known", () => {
    const { devices, take } = setUp();
    devices.connect("A", "fan", MODBUS);
    devices.connect("B", "fan", MQTT);
    take();
    devices.disconnect("A", MQTT.id);
    devices.disconnect("nobody", MODBUS.id);
    expect(take()).toEqual([]);
    devices.disconnectAll(MODBUS.id);
    devices.disconnectAll(MODBUS.id);
    expect(take()).toEqual(["A fan off A"]);
    expect([devices.connectedCount, devices.typeOf("A")]).toEqual([1, "fan"]);
    devices.connect("A", undefined, MODBUS);
    expect(take()).toEqual(["A fan on A"]);
  });

  test("when the gateway stops, connectors that end say nothing about their devices", () => {
    const { devices, take } = setUp();
    devices.connect("A", "fan", MODBUS);
    take();
    devices.close();
    devices.disconnectAll(MODBUS.id);
    devices.disconnect("A", MODBUS.id);
    expect(take()).toEqual([]);
    expect(devices.stored().map(({ disconnected }) => disconnected)).toEqual([false]);
  });
});

describe("Devices.disconnectSilent()", () => {
  test("disconnects what has been silent for so long, and the next data brings it back", async () => {
    const { clock, devices, take } = setUp({
      restored: [stored("Old"), stored("Down", { disconnected: true })],
    });
    devices.connect("Silent", "fan", MODBUS);
    devices.connect("Busy", "fan", MODBUS);
    take();
    await clock.advance(49_000);
    devices.connect("Busy", "fan", MODBUS);
    devices.disconnectSilent(50_000);
    expect(take()).toEqual([]);
    await clock.advance(1000);
    devices.disconnectSilent(50_000);
    expect(take()).toEqual(["Old pump off Old", "Silent fan off Silent"]);
    devices.connect("Silent", undefined, MODBUS);
    expect(take()).toEqual(["Silent fan on Silent"]);
  });

  test("data of another connector than its own shows too that a device is there", async () => {
    const { clock, devices, take } = setUp();
    devices.connect("A", "fan", MODBUS);
    await clock.advance(45_000);
    devices.connect("A", "fan", MQTT);
    await clock.advance(10_000);
    take();
    devices.disconnectSilent(50_000);
    expect(take()).toEqual([]);
  });
});

describe("Devices from before a restart", () => {
  test("are connected unless they were down, and their first data says whose they are without a second announcement of their going", () => {
    const { devices, take, came } = setUp({
      restored: [stored("A"), stored("B", { disconnected: true }), stored("C")],
    });
    expect(devices.connectedCount).toBe(2);
    expect(came).toEqual([]);
    expect(devices.connect("A", undefined, MODBUS)).toBe("pump");
    devices.connect("B", undefined, MODBUS);
    devices.connect("C", "fan", MQTT);
    expect(came).toEqual(["A@Modbus line", "B@Modbus line", "C@MQTT broker"]);
    expect(take()).toEqual(["A pump on A", "B pump on B", "C fan on C"]);
  });

  test("keep their names, and what is stored again is what was read", () => {
    const restored = [stored("A", { renaming: "Pump 7" }), stored("B", { disconnected: true })];
    const { devices } = setUp({ restored });
    expect([devices.platformName("A"), devices.localName("Pump 7")]).toEqual(["Pump 7", "A"]);
    expect(devices.stored()).toEqual(restored);
  });

  test("names that are not followed are kept in the file and not used", () => {
    const restored = [stored("A", { renaming: "Pump 7" })];
    const { devices, take } = setUp({ restored, followRenames: false });
    expect(devices.platformName("A")).toBe("A");
    expect(devices.rename("A", "Pump 8")).toBe(false);
    expect([take(), devices.stored()]).toEqual([[], restored]);
  });
});

describe("Devices.rename() and remove()", () => {
  test("a new name reaches the delivery thread at once, also of a device that is down", () => {
    const { devices, take } = setUp();
    devices.connect("A", "fan", MODBUS);
    take();
    expect(devices.rename("A", "Fan 7")).toBe(true);
    expect(devices.rename("A", "Fan 7")).toBe(false);
    devices.disconnect("A", MODBUS.id);
    devices.rename("Fan 7", "Fan 8");
    expect(take()).toEqual(["A fan on Fan 7", "A fan off Fan 7", "A fan off Fan 8"]);
    expect(devices.get("A")?.platformName).toBe("Fan 8");
  });

  test("a name for a device that is not known yet waits for its data", () => {
    const { devices, take } = setUp();
    devices.rename("New", "Fan 7");
    expect(take()).toEqual(["New default off Fan 7"]);
    devices.connect("New", "fan", MODBUS);
    expect(take()).toEqual(["New fan on Fan 7"]);
  });

  test("a deleted device is forgotten, and comes back under its local name", () => {
    const { devices, take, forgotten } = setUp();
    devices.connect("A", "fan", MODBUS);
    devices.rename("A", "Fan 7");
    take();
    expect(devices.remove("A")).toBe(false);
    expect(devices.remove("Fan 7")).toBe(true);
    expect(devices.remove("Fan 7")).toBe(false);
    expect([take(), devices.all(), forgotten]).toEqual([["A fan off A"], [], ["A"]]);
    devices.connect("A", "fan", MODBUS);
    expect(take()).toEqual(["A fan on A"]);
    expect(devices.remove("A")).toBe(true);
  });
});

describe("Devices.setFilter()", () => {
  test("disconnects what is kept out from here on, and lets it in again when the rules change", () => {
    const { devices, take } = setUp();
    devices.connect("Test 1", "fan", MODBUS);
    devices.connect("Fan", "fan", MODBUS);
    take();
    devices.setFilter({ deny: { [MODBUS.name]: ["Test .*"] }, allow: {} });
    expect(take()).toEqual(["Test 1 fan off Test 1"]);
    expect(devices.connect("Test 1", "fan", MODBUS)).toBeUndefined();
    expect(devices.connect("Test 2", "fan", MODBUS)).toBeUndefined();
    expect([take(), devices.get("Test 2")]).toEqual([[], undefined]);
    devices.setFilter(undefined);
    expect(devices.connect("Test 1", "fan", MODBUS)).toBe("fan");
  });
});
