import { afterEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/sdk/clock.ts";
import { DEVICES_FILE, DeviceFile, readDevices } from "../../../src/service/device-file.ts";
import type { StoredDevice } from "../../../src/service/devices.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { until } from "../../support/until.ts";

const folders: string[] = [];
afterEach(async () => {
  await Promise.all(folders.splice(0).map((path) => rm(path, { recursive: true, force: true })));
});

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "tbgw-devices-"));
  folders.push(path);
  return path;
}

function device(deviceName: string): StoredDevice {
  return {
    deviceName,
    deviceType: "pump",
    connectorId: "id",
    connectorName: "Modbus",
    disconnected: false,
    renaming: undefined,
  };
}

const LIST = '{"A":["Modbus","pump"]}';

describe("readDevices()", () => {
  test("there is no file yet: no devices and not a word", async () => {
    const { log, records } = memoryLog();
    expect(readDevices({ dataDir: await folder(), configDir: await folder() }, log)).toEqual([]);
    expect(readDevices({ dataDir: "/nowhere/at all", configDir: undefined }, log)).toEqual([]);
    expect(records).toEqual([]);
  });

  test("the file of a Python gateway counts until there is one of our own", async () => {
    const { log } = memoryLog();
    const place = { dataDir: await folder(), configDir: await folder() };
    await writeFile(join(place.configDir, DEVICES_FILE), LIST);
    expect(readDevices(place, log)).toHaveLength(1);
    await writeFile(join(place.dataDir, DEVICES_FILE), "{}");
    expect(readDevices(place, log)).toEqual([]);
  });

  test("a broken file is set aside with one error, and the next one is written in its place", async () => {
    const { log, records, messages } = memoryLog();
    const dataDir = await folder();
    await writeFile(join(dataDir, DEVICES_FILE), '{"A":["Modb');
    expect(readDevices({ dataDir, configDir: undefined }, log)).toEqual([]);
    expect(messages("error")).toHaveLength(1);
    expect(records[0]?.fields["kept"]).toBe(join(dataDir, `${DEVICES_FILE}.broken`));
    expect(await readFile(join(dataDir, `${DEVICES_FILE}.broken`), "utf8")).toBe('{"A":["Modb');
    expect(existsSync(join(dataDir, DEVICES_FILE))).toBe(false);
  });

  test("a broken file of the Python gateway is left where it is", async () => {
    const { log, messages } = memoryLog();
    const configDir = await folder();
    await writeFile(join(configDir, DEVICES_FILE), "no JSON");
    expect(readDevices({ dataDir: await folder(), configDir }, log)).toEqual([]);
    expect([messages("error").length, await readdir(configDir)]).toEqual([1, [DEVICES_FILE]]);
  });

  test("a folder in the place of the file stops nothing", async () => {
    const { log, messages } = memoryLog();
    const dataDir = await folder();
    await mkdir(join(dataDir, DEVICES_FILE));
    expect(readDevices({ dataDir, configDir: undefined }, log)).toEqual([]);
    expect(messages("error")).toHaveLength(1);
  });

  test("entries without a device are counted in one warning", async () => {
    const { log, records } = memoryLog();
    const dataDir = await folder();
    await writeFile(join(dataDir, DEVICES_FILE), '{"A":["Modbus"],"B":"Modbus","C":"Modbus"}');
    expect(readDevices({ dataDir, configDir: undefined }, log)).toHaveLength(1);
    expect(records.map(({ level, fields }) => [level, fields["entries"]])).toEqual([["warn", 2]]);
  });
});

describe("DeviceFile", () => {
  test("writes for its owner alone, in place of the file before, and leaves nothing else behind", async () => {
    const dataDir = join(await folder(), "made");
    const { log } = memoryLog();
    const content = [device("A")];
    {
      await using file = new DeviceFile(dataDir, { clock: systemClock, log }, () => content);
      file.changed();
      await until("it is written", () => existsSync(join(dataDir, DEVICES_FILE)));
      content.push(device("B"));
      file.changed();
    }
    expect(readDevices({ dataDir, configDir: undefined }, log)).toEqual(content);
    expect((await stat(join(dataDir, DEVICES_FILE))).mode & 0o777).toBe(0o600);
    expect(await readdir(dataDir)).toEqual([DEVICES_FILE]);
  });

  test("many changes are two writes: one at once, one a second later", async () => {
    const clock = new FakeClock();
    const { log } = memoryLog();
    let writes = 0;
    await using file = new DeviceFile(await folder(), { clock, log }, () => {
      writes += 1;
      return [];
    });
    for (let n = 0; n < 500; n += 1) {
      file.changed();
    }
    await clock.advance(0);
    await until("the pause after the first write", () => clock.waiting === 1);
    for (let n = 0; n < 500; n += 1) {
      file.changed();
      await clock.advance(1);
    }
    expect(writes).toBe(1);
    await clock.advance(500);
    await until("the pause after the second write", () => clock.waiting === 1);
    expect(writes).toBe(2);
    await clock.advance(60_000);
    expect([writes, clock.waiting]).toEqual([2, 0]);
  });

  test("what the disk refuses is said once and tried again", async () => {
    const clock = new FakeClock();
    const { log, messages } = memoryLog();
    const dataDir = join(await folder(), "data");
    await writeFile(dataDir, "a file in the place of the folder");
    await using file = new DeviceFile(dataDir, { clock, log }, () => [device("A")]);
    file.changed();
    for (let round = 0; round < 2; round += 1) {
      await clock.advance(10_000);
      await until("the pause after a failure", () => clock.waiting === 1);
    }
    expect(messages("error")).toHaveLength(1);
    await rm(dataDir);
    await mkdir(dataDir);
    await chmod(dataDir, 0o700);
    await clock.advance(10_000);
    await until("it is written", () => existsSync(join(dataDir, DEVICES_FILE)));
    await until("it is said", () => messages("info").length === 1);
  });

  test("kept() writes without the pause, and waits for a write that has the change", async () => {
    const clock = new FakeClock();
    const { log } = memoryLog();
    const dataDir = await folder();
    const content = [device("A")];
    await using file = new DeviceFile(dataDir, { clock, log }, () => content);
    await file.kept();
    expect(await readdir(dataDir)).toEqual([]);
    file.changed();
    const first = file.kept();
    await clock.advance(0);
    await first;
    await until("the pause after the first write", () => clock.waiting === 1);
    content.push(device("B"));
    file.changed();
    const second = file.kept();
    await clock.advance(0);
    await second;
    expect(readDevices({ dataDir, configDir: undefined }, log)).toEqual(content);
  });

  test("kept() waits while the disk refuses, and is over with the file", async () => {
    const { log } = memoryLog();
    const dataDir = join(await folder(), "data");
    await writeFile(dataDir, "a file in the place of the folder");
    const clock = new FakeClock();
    const file = new DeviceFile(dataDir, { clock, log }, () => [device("A")]);
    const done: string[] = [];
    file.changed();
    const kept = file.kept().then(() => done.push("kept"));
    await clock.advance(0);
    await until("the pause after a failure", () => clock.waiting === 1);
    expect(done).toEqual([]);
    await rm(dataDir);
    await file[Symbol.asyncDispose]();
    await kept;
    expect(readDevices({ dataDir, configDir: undefined }, log)).toHaveLength(1);
  });

  test("disposing writes what is left, and nothing when nothing is", async () => {
    const dataDir = await folder();
    const { log } = memoryLog();
    const deps = { clock: new FakeClock(), log };
    const idle = new DeviceFile(dataDir, deps, () => []);
    await idle[Symbol.asyncDispose]();
    expect(await readdir(dataDir)).toEqual([]);
    const file = new DeviceFile(dataDir, deps, () => [device("A")]);
    file.changed();
    await file[Symbol.asyncDispose]();
    await file[Symbol.asyncDispose]();
    expect(readDevices({ dataDir, configDir: undefined }, log)).toHaveLength(1);
  });
});
