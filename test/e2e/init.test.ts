// `tbgw init` by options alone: every protocol, the service, and a Python gateway's folder.
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { BlePeer, doorAddress } from "../support/ble-peer.ts";
import { PATIENCE_MS, plant, TOKEN, tbgw, valuesArrive } from "../support/init-rig.ts";
import { freePort } from "../support/ports.ts";
import { PtyPair } from "../support/pty-pair.ts";
import { writePythonFolder } from "../support/python-folder.ts";
import { ServiceSandbox } from "../support/service-sandbox.ts";
import { temporaryDir } from "../support/temporary-dir.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 180_000;

describe("tbgw init and the service", () => {
  test(
    "installs it, and what is added later is the service's to read",
    async () => {
      await using peers = await plant();
      await using sandbox = await ServiceSandbox.open();
      const place = `--host 127.0.0.1 --port ${peers.platform.port} --token ${TOKEN}`;
      const modbus = `--connector modbus --modbus-target 127.0.0.1:${peers.device.port}`;
      const made = await sandbox.run(`cd / && tbgw init ${place} ${modbus} --service`);
      expect(made).toMatchObject({ code: 0 });
      expect(made.out).toContain("wrote /etc/tbgw/tb_gateway.json");
      expect(made.out).not.toContain(TOKEN);
      const hasArrived = (): boolean => peers.platform.valueCount("Modbus 1", "r_0") > 0;
      await until("a value arrived", hasArrived, PATIENCE_MS);
      const add = "--existing add --connector modbus --modbus-target 10.255.255.1";
      const added = await sandbox.run(`tbgw init ${add} --modbus-values t=16int@0`);
      expect(added).toMatchObject({ code: 0 });
      const owners = await sandbox.run("stat -c '%U %a %n' /etc/tbgw/*");
      expect(owners.out.trim().split("\n")).toEqual([
        "tbgw 644 /etc/tbgw/modbus-2.json",
        "tbgw 644 /etc/tbgw/modbus.json",
        "tbgw 600 /etc/tbgw/tb_gateway.json",
        "tbgw 600 /etc/tbgw/tb_gateway.json.bak",
      ]);
    },
    TIMEOUT_MS,
  );
});

describe("tbgw init without a terminal", () => {
  test(
    "writes by options alone what the gateway runs, and adds to it later",
    async () => {
      await using peers = await plant();
      using dir = temporaryDir();
      const target = `127.0.0.1:${peers.device.port}`;
      const where = ["--config", "config", "--host", "127.0.0.1"];
      const port = ["--port", String(peers.platform.port)];
      const made = await tbgw(
        dir.path,
        ["init", ...where, ...port, "--connector", "modbus", "--modbus-target", target],
        { TB_GW_ACCESS_TOKEN: TOKEN },
      );
      expect(made).toMatchObject({ code: 0, problem: "" });
      expect(made.output).not.toContain(TOKEN);
      const main = join(dir.path, "config/tb_gateway.json");
      expect(statSync(main).mode & 0o777).toBe(0o600);
      expect(await tbgw(dir.path, ["check", "--config", "config"])).toMatchObject({ code: 0 });
      await valuesArrive(dir.path, peers.platform);
      const before = readFileSync(main, "utf8");
      const refused = await tbgw(dir.path, ["init", "--config", "config"]);
      expect(refused.code).toBe(2);
      expect(refused.problem).toContain("--existing is missing");
      expect(readFileSync(main, "utf8")).toBe(before);
      const values = ["--modbus-target", "10.255.255.1", "--modbus-values", "t=16int@0/10"];
      const add = ["init", "--config", "config", "--existing", "add", "--connector", "modbus"];
      const added = await tbgw(dir.path, [...add, ...values]);
      expect(added).toMatchObject({ code: 0, problem: "" });
      expect(readFileSync(`${main}.bak`, "utf8")).toBe(before);
      const checked = await tbgw(dir.path, ["check", "--config", "config"]);
      expect(checked.output).toContain("0 errors, 0 warnings; connectors: 2 ready");
    },
    TIMEOUT_MS,
  );

  test(
    "listens to a serial port and takes what a device sends there",
    async () => {
      await using peers = await plant();
      await using cable = await PtyPair.open();
      using dir = temporaryDir();
      const device = Bun.spawn(
        ["sh", "-c", 'while :; do printf "23.50;48\\n"; sleep 0.1; done > "$0"', cable.theirs],
        { stdout: "ignore", stderr: "ignore" },
      );
      try {
        const place = ["--host", "127.0.0.1", "--port", String(peers.platform.port)];
        const init = ["init", "--config", "config", "--token", TOKEN, "--connector", "serial"];
        const line = ["--serial-target", cable.ours, "--serial-seconds", "2"];
        const made = await tbgw(dir.path, [...init, ...place, ...line]);
        expect(made).toMatchObject({ code: 0, problem: "" });
        await valuesArrive(dir.path, peers.platform, { device: "Serial device", key: "value_2" });
        expect(peers.platform.latest("Serial device", "value_1")?.text).toBe("23.5");
      } finally {
        device.kill();
        await device.exited;
      }
    },
    TIMEOUT_MS,
  );

  test(
    "hears Bluetooth peripherals and proposes what they have",
    async () => {
      await using peers = await plant();
      await using peer = await BlePeer.start();
      using dir = temporaryDir();
      const place = ["--host", "127.0.0.1", "--port", String(peers.platform.port)];
      const made = await tbgw(dir.path, [
        "init",
        "--config",
        "config",
        "--token",
        TOKEN,
        ...place,
        "--connector",
        "ble",
        "--ble-adapter",
        `tcp:127.0.0.1:${peer.port}`,
        "--ble-target",
        doorAddress(0),
        "--ble-seconds",
        "30",
      ]);
      expect(made).toMatchObject({ code: 0, problem: "" });
      const { adapter, devices } = JSON.parse(
        readFileSync(join(dir.path, "config/ble.json"), "utf8"),
      );
      expect(adapter).toBe(`tcp:127.0.0.1:${peer.port}`);
      expect(devices).toMatchObject([{ MACAddress: doorAddress(0) }]);
      const checked = await tbgw(dir.path, ["check", "--config", "config"]);
      expect(checked.output).toContain("0 errors, 0 warnings; connectors: 1 ready");
    },
    TIMEOUT_MS,
  );

  test(
    "ends with words and writes nothing when something is missing or does not work",
    async () => {
      await using peers = await plant();
      using dir = temporaryDir();
      const port = ["--port", String(peers.platform.port)];
      const base = ["init", "--config", "config", "--host", "127.0.0.1"];
      const noPort = ["--port", String(await freePort())];
      const modbus = ["--connector", "modbus", "--modbus-target"];
      const cases: readonly (readonly [readonly string[], number, string])[] = [
        [["init", "--config", "config"], 2, "--host is missing"],
        [[...base, ...port], 2, "--token is missing"],
        [[...base, ...port, "--token", "wrong"], 1, "check the access token"],
        [[...base, ...noPort, "--token", TOKEN], 1, "nothing listens on that port"],
        [[...base, ...port, "--token", TOKEN, "--ca", "missing.pem"], 2, "there is no file"],
        [[...base, ...port, "--token", TOKEN, "--port", "x"], 2, "must be a whole number"],
        [
          [...base, ...port, "--token", TOKEN, ...modbus, `127.0.0.1:${noPort[1]}`],
          1,
          "Say the values with --modbus-values",
        ],
        [[...base, ...port, "--token", TOKEN, "--connector", "s7"], 2, "must be of modbus"],
        [[...base, ...port, "--token", "${env:NOT_SET}"], 1, "is not set"],
      ];
      for (const [args, code, text] of cases) {
        const ended = await tbgw(dir.path, args);
        expect({ args, code: ended.code, text: ended.problem }).toEqual({
          args,
          code,
          text: expect.stringContaining(text),
        });
        expect(readdirSync(dir.path)).toEqual([]);
      }
    },
    TIMEOUT_MS,
  );

  test(
    "--import takes over a full Python folder; check passes",
    async () => {
      await using peers = await plant();
      using dir = temporaryDir();
      const from = join(dir.path, "python");
      writePythonFolder(from);
      const take = ["init", "--import", "python", "--config", "config", "--yes"];
      const place = ["--host", "127.0.0.1", "--port", String(peers.platform.port)];
      const made = await tbgw(dir.path, [...take, ...place, "--token", TOKEN]);
      expect(made.code).toBe(0);
      for (const type of ["bacnet", "request", "snmp"]) {
        expect(made.problem).toContain(`left out: ${type} sample`);
      }
      const checked = await tbgw(dir.path, ["check", "--config", "config"]);
      expect(checked).toMatchObject({ code: 0 });
      expect(checked.output).toContain("0 errors");
      expect(checked.output).toContain("connectors: 5 ready");
      const config = join(dir.path, "config");
      const names = ["logs.json", "statistics/statistics_linux.json", "credentials/ca.pem"];
      for (const name of [...names, "connected_devices.json"]) {
        expect(existsSync(join(config, name))).toBe(true);
        expect(readFileSync(join(config, name))).toEqual(readFileSync(join(from, name)));
      }
      expect(readFileSync(join(config, "tb_gateway.json"), "utf8")).toContain('"maxBytes"');
      expect(statSync(join(config, "mqtt.json")).mode & 0o777).toBe(0o600);
    },
    TIMEOUT_MS,
  );
});
