// `tbgw init` with a person who answers, against real peers: what gets into the files.
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Flags, Interview } from "../../src/commands/init/interview.ts";
import { runWizard } from "../../src/commands/init/wizard.ts";
import { loadConfiguration } from "../../src/config/load.ts";
import { connectorTypes } from "../../src/connector/registry.ts";
import { DemoBroker } from "../../src/demo/broker.ts";
import { DeviceSimulation } from "../../src/demo/devices.ts";
import { DemoModbusDevice } from "../../src/demo/modbus-device.ts";
import { ThingsBoardDouble, type ThingsBoardOptions } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { memoryLog } from "../support/memory-log.ts";
import { PlantServer } from "../support/opcua-server.ts";
import { freePort } from "../support/ports.ts";
import { CA, SERVER_CERT, SERVER_KEY } from "../support/private-ca.ts";
import { writePythonFolder } from "../support/python-folder.ts";
import { ScriptedPerson } from "../support/scripted-person.ts";
import { temporaryDir } from "../support/temporary-dir.ts";

const TIMEOUT_MS = 60_000;
const TOKEN = "s3cret";

async function platform(options: Partial<ThingsBoardOptions> = {}): Promise<ThingsBoardDouble> {
  const double = await ThingsBoardDouble.listen({ clock: systemClock, ...options });
  double.createGateway("GW", TOKEN);
  return double;
}

interface Wizard {
  readonly dir: string;
  readonly flags: Flags;
  readonly person?: ScriptedPerson;
  readonly importDir?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs the wizard in a folder. */
async function wizard({ dir, flags, person, importDir, env = {} }: Wizard) {
  const interview = new Interview({
    flags,
    env,
    terminal: person?.terminal,
    takesDefaults: false,
    say: (tone, text) => person?.terminal.say(tone, text),
  });
  return await runWizard(
    {
      interview,
      configDir: join(dir, "config"),
      dataDir: join(dir, "data"),
      importDir,
      env,
      cwd: dir,
      connectorTypes,
      clock: systemClock,
      log: memoryLog().log,
    },
    new AbortController().signal,
  );
}

const read = (dir: string, name: string): string => readFileSync(join(dir, "config", name), "utf8");

/** The files load as `tbgw check` wants it. */
async function isFlawless(dir: string, env: Readonly<Record<string, string>> = {}) {
  const places = { configDir: join(dir, "config"), dataDir: join(dir, "data") };
  const loaded = await loadConfiguration({ ...places, env, cwd: dir, connectorTypes });
  expect(loaded.issues).toEqual([]);
  expect(loaded.fatal).toBe(false);
  return loaded;
}

const base = (port: number): Flags => ({
  host: "127.0.0.1",
  port: String(port),
  tls: false,
  token: TOKEN,
  storage: "durable",
});

describe("tbgw init", () => {
  test(
    "offers the endpoints of an OPC UA server and writes the one that was chosen",
    async () => {
      await using double = await platform();
      await using server = await PlantServer.start();
      using dir = temporaryDir();
      const person = new ScriptedPerson([
        ["What should the gateway read", "opcua"],
        ["Address of the OPC UA server", server.url],
        ["How is the channel", "Basic256Sha256/Sign"],
        ["Name of this connector", "Plant"],
      ]);
      await wizard({ dir: dir.path, flags: base(double.port), person });
      expect(person.unasked).toEqual([]);
      const config = JSON.parse(read(dir.path, "opcua.json"));
      expect(config.server).toMatchObject({
        url: server.url,
        security: "Basic256Sha256",
        securityMode: "Sign",
        identity: { type: "anonymous" },
      });
      const { connectors } = await isFlawless(dir.path);
      expect(connectors).toMatchObject([{ name: "Plant", type: "opcua", state: "ready" }]);
    },
    TIMEOUT_MS,
  );

  test(
    "lets a person choose and name devices and values of a proposal",
    async () => {
      await using double = await platform();
      await using device = await DemoModbusDevice.listen(systemClock);
      using dir = temporaryDir();
      const person = new ScriptedPerson([
        ["Where is the Modbus device", `127.0.0.1:${device.port}`],
        ["Take this?", "edit"],
        ["Which values stay", "0/0,0/3"],
        ["Name of the device", "Compressor"],
        ["Names of its values", "pressure, hours"],
        ["Another one?", "none"],
      ]);
      await wizard({ dir: dir.path, flags: base(double.port), person });
      expect(person.unasked).toEqual([]);
      const [slave, ...others] = JSON.parse(read(dir.path, "modbus.json")).master.slaves;
      expect(others).toEqual([]);
      expect(slave).toMatchObject({
        deviceName: "Compressor",
        timeseries: [
          { tag: "pressure", address: 0 },
          { tag: "hours", address: 4 },
        ],
      });
      await isFlawless(dir.path);
    },
    TIMEOUT_MS,
  );

  test(
    "goes on by hand where nothing answers",
    async () => {
      await using double = await platform();
      using dir = temporaryDir();
      const person = new ScriptedPerson([
        ["Where is the Modbus device", `127.0.0.1:${await freePort()}`],
        ["nothing to propose", "hand"],
        ["Its values", "t=16int@0/10"],
      ]);
      await wizard({ dir: dir.path, flags: base(double.port), person });
      expect(person.unasked).toEqual([]);
      const [slave] = JSON.parse(read(dir.path, "modbus.json")).master.slaves;
      expect(slave.timeseries).toMatchObject([{ tag: "t", type: "16int", divider: 10 }]);
      await isFlawless(dir.path);
    },
    TIMEOUT_MS,
  );

  test(
    "hears a broker of MQTT 3.1.1, and keeps its password a reference",
    async () => {
      await using double = await platform();
      await using broker = await DemoBroker.listen();
      const { log } = memoryLog();
      await using _devices = await DeviceSimulation.start(broker.port, systemClock, log);
      using dir = temporaryDir();
      const env = { MQTT_SECRET: "hidden", TB_TOKEN: TOKEN };
      const flags = {
        ...base(double.port),
        token: "${env:TB_TOKEN}",
        connector: "mqtt",
        "mqtt-target": `127.0.0.1:${broker.port}`,
        "mqtt-username": "plant",
        "mqtt-password": "${env:MQTT_SECRET}",
        "mqtt-seconds": "2",
      };
      await wizard({ dir: dir.path, flags, env });
      const mqtt = read(dir.path, "mqtt.json");
      expect(JSON.parse(mqtt).broker).toMatchObject({
        version: 4,
        cleanSession: false,
        security: { type: "basic", username: "plant", password: "${env:MQTT_SECRET}" },
      });
      const main = read(dir.path, "tb_gateway.json");
      expect(JSON.parse(main).thingsboard.security.accessToken).toBe("${env:TB_TOKEN}");
      expect(`${mqtt}${main}`).not.toContain("hidden");
      await isFlawless(dir.path, env);
    },
    TIMEOUT_MS,
  );

  test(
    "verifies TLS with an own authority, and finds out that a token is for a device",
    async () => {
      await using double = await platform({ tls: { cert: SERVER_CERT, key: SERVER_KEY } });
      using dir = temporaryDir();
      writeFileSync(join(dir.path, "ca.pem"), CA);
      const flags = { ...base(double.port), tls: true, connector: "none" };
      const untrusted = wizard({ dir: dir.path, flags });
      expect(untrusted).rejects.toThrow(/not from a CA that is trusted here[\s\S]*CA file/);
      await untrusted.catch(() => undefined);
      expect(existsSync(join(dir.path, "config"))).toBe(false);
      await wizard({ dir: dir.path, flags: { ...flags, ca: "ca.pem" } });
      const { security } = JSON.parse(read(dir.path, "tb_gateway.json")).thingsboard;
      expect(security).toMatchObject({ tls: true, caCert: join(dir.path, "ca.pem") });
      await isFlawless(dir.path);
    },
    TIMEOUT_MS,
  );

  test(
    "prepares a gateway that asks the platform for its credentials",
    async () => {
      await using double = await platform();
      using dir = temporaryDir();
      const flags = {
        host: "127.0.0.1",
        port: String(double.port),
        "provision-key": "k",
        "provision-secret": "s3cret-of-the-profile",
        "device-name": "Plant 7",
        connector: "none",
      };
      await wizard({ dir: dir.path, flags });
      const { provisioning } = await isFlawless(dir.path);
      expect(provisioning?.request).toMatchObject({ deviceKey: "k", deviceName: "Plant 7" });
      expect(existsSync(join(dir.path, "data"))).toBe(false);
      expect(double.devices()).not.toContain("Plant 7");
    },
    TIMEOUT_MS,
  );

  test(
    "replaces a configuration only when it is told to, and keeps the old one",
    async () => {
      await using double = await platform();
      using dir = temporaryDir();
      const flags = { ...base(double.port), connector: "none" };
      await wizard({ dir: dir.path, flags });
      const before = read(dir.path, "tb_gateway.json");
      const keep = new ScriptedPerson([["There is a configuration", "keep"]]);
      const kept = wizard({ dir: dir.path, flags, person: keep });
      expect(kept).rejects.toThrow("nothing was written");
      await kept.catch(() => undefined);
      expect(readdirSync(join(dir.path, "config"))).toEqual(["tb_gateway.json"]);
      const replace = { ...flags, existing: "replace", "storage-days": "3" };
      const { saved } = await wizard({ dir: dir.path, flags: replace });
      expect(saved).toHaveLength(1);
      expect(read(dir.path, "tb_gateway.json.bak")).toBe(before);
      expect(read(dir.path, "tb_gateway.json")).toContain('"ttlDays": 3');
    },
    TIMEOUT_MS,
  );

  test(
    "adds to a configuration, with one answer of it changed and the rest as it was",
    async () => {
      await using double = await platform();
      await using other = await platform();
      using dir = temporaryDir();
      await wizard({ dir: dir.path, flags: { ...base(double.port), connector: "none" } });
      const before = JSON.parse(read(dir.path, "tb_gateway.json"));
      const flags = { existing: "add", port: String(other.port), connector: "none" };
      await wizard({ dir: dir.path, flags });
      const after = JSON.parse(read(dir.path, "tb_gateway.json"));
      expect(after.thingsboard).toEqual({ ...before.thingsboard, port: other.port });
      expect(after.storage).toEqual(before.storage);
    },
    TIMEOUT_MS,
  );

  test(
    "imports what it can, says what it leaves out, and refuses what has errors",
    async () => {
      await using double = await platform();
      using dir = temporaryDir();
      const from = join(dir.path, "python");
      writePythonFolder(from);
      const main = JSON.parse(readFileSync(join(from, "tb_gateway.json"), "utf8"));
      Object.assign(main.thingsboard, { host: "127.0.0.1", port: double.port });
      main.thingsboard.security.accessToken = TOKEN;
      main.storage = { type: "sqlite", data_file_path: "./data/" };
      writeFileSync(join(from, "tb_gateway.json"), JSON.stringify(main));
      writeFileSync(join(from, "ble.json"), "{ this is no JSON");
      const modbus = JSON.parse(readFileSync(join(from, "modbus.json"), "utf8"));
      modbus.master.slaves[0].timeseries.push({ tag: "broken", functionCode: 99 });
      writeFileSync(join(from, "modbus.json"), JSON.stringify(modbus));
      const importing = { dir: dir.path, importDir: from, flags: { connector: "none" } };
      const refused = wizard(importing);
      expect(refused).rejects.toThrow(/timeseries\[2\]/);
      await refused.catch(() => undefined);
      expect(existsSync(join(dir.path, "config"))).toBe(false);
      const person = new ScriptedPerson([
        ["Write it all the same", "true"],
        ["What should the gateway read", "none"],
      ]);
      await wizard({ dir: dir.path, importDir: from, flags: {}, person });
      expect(person.unasked).toEqual([]);
      expect(person.heard.join("\n")).toMatch(
        /left out: ble sample: .*\n[\s\S]*left out: s7 sample/,
      );
      expect(person.heard.join("\n")).toContain("takes this device for a gateway");
      const written = JSON.parse(read(dir.path, "tb_gateway.json"));
      expect(written.thingsboard).toEqual(main.thingsboard);
      expect(written.storage).toEqual(main.storage);
      const names = written.connectors.map(({ name }: { readonly name: string }) => name);
      expect(names).toEqual(["mqtt sample", "modbus sample", "modbus of old", "opcua sample"]);
      expect(existsSync(join(dir.path, "config/ble.json"))).toBe(false);
      expect(double.devices()).toEqual(["GW"]);
    },
    TIMEOUT_MS,
  );

  test(
    "shows everything and writes nothing for --dry-run",
    async () => {
      await using double = await platform();
      using dir = temporaryDir();
      const flags = { ...base(double.port), connector: "none", "dry-run": true };
      const { saved, text } = await wizard({ dir: dir.path, flags });
      expect(saved).toEqual([]);
      expect(text).toContain("tb_gateway.json");
      expect(text).not.toContain(TOKEN);
      expect(readdirSync(dir.path)).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
