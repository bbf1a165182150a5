// `tbgw init` as its users meet it: in a terminal, by options alone, and from a Python gateway's folder.
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DemoBroker } from "../../src/demo/broker.ts";
import { DemoModbusDevice } from "../../src/demo/modbus-device.ts";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { BlePeer, DOORS } from "../support/ble-peer.ts";
import { BINARY } from "../support/gateway-process.ts";
import { freePort } from "../support/ports.ts";
import { PtyPair } from "../support/pty-pair.ts";
import { writePythonFolder } from "../support/python-folder.ts";
import { ServiceSandbox } from "../support/service-sandbox.ts";
import { temporaryDir } from "../support/temporary-dir.ts";
import { TmuxTerminal } from "../support/tmux.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 120_000;
const TOKEN = "s3cret-token-of-the-gateway";

/** A platform and a Modbus device on this machine. */
async function plant(): Promise<
  { readonly platform: ThingsBoardDouble; readonly device: DemoModbusDevice } & AsyncDisposable
> {
  await using stack = new AsyncDisposableStack();
  const platform = stack.use(await ThingsBoardDouble.listen({ clock: systemClock }));
  platform.createGateway("GW", TOKEN);
  const device = stack.use(await DemoModbusDevice.listen(systemClock));
  const owned = stack.move();
  return { platform, device, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

interface Ended {
  readonly code: number;
  readonly output: string;
  readonly problem: string;
}

/** Runs the program without a terminal. */
async function tbgw(
  cwd: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Ended> {
  const child = Bun.spawn([BINARY, ...args], {
    cwd,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env,
  });
  const [output, problem] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, output, problem };
}

/** Runs the gateway that was configured, until the platform has a value. */
async function valuesArrive(
  cwd: string,
  platform: ThingsBoardDouble,
  { device, key } = { device: "Modbus 1", key: "r_0" },
): Promise<void> {
  const gateway = Bun.spawn([BINARY, "run", "--config", "config", "--data", "data"], {
    cwd,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
    env: {},
  });
  try {
    await until("a value arrived", () => platform.valueCount(device, key) > 0);
  } finally {
    gateway.kill("SIGTERM");
    await gateway.exited;
  }
}

/** One question: what the screen shows, and the keys that answer it. */
type Step = readonly [shows: string, ...keys: readonly string[]];

/** A new user's way through the wizard. */
function way(platformPort: number, devicePort: number, token = TOKEN): readonly Step[] {
  return [
    ["Directory for the configuration", "C-u", "./config", "Enter"],
    ["Host of the ThingsBoard server", "127.0.0.1", "Enter"],
    ["MQTT port", "C-u", String(platformPort), "Enter"],
    ["Does that port use TLS?", "Enter"],
    ["How does the gateway prove who it is?", "Enter"],
    ["Access token of the gateway device", token, "Enter"],
    ["Where does data wait", "Enter"],
    ["After how many days", "Enter"],
    ["How much of the disk", "Enter"],
    ["What should the gateway read?", "Enter"],
    ["Where is the Modbus device?", `127.0.0.1:${devicePort}`, "Enter"],
    ["Unit id", "Enter"],
    ["Values the device shows now", "Enter"],
    ["Take this?", "Enter"],
    ["Name of this connector", "Enter"],
    ["Another one?", "Enter"],
    ["Write this to", "Enter"],
  ];
}

async function answer(terminal: TmuxTerminal, [shows, ...keys]: Step): Promise<void> {
  // The question that is asked has a filled mark; answered ones above it an empty one.
  await terminal.shows(`◆  ${shows}`);
  for (const key of keys) {
    await (/^(?:Enter|Down|C-\w)$/.test(key) ? terminal.press(key) : terminal.type(key));
  }
}

describe("tbgw init in a terminal", () => {
  test(
    "a new user gets from nothing to values at the platform",
    async () => {
      await using peers = await plant();
      using dir = temporaryDir();
      const startMs = performance.now();
      await using terminal = await TmuxTerminal.start(`${BINARY} init`, dir.path);
      for (const step of way(peers.platform.port, peers.device.port)) {
        await answer(terminal, step);
      }
      await answer(terminal, ["Install the service", "Enter"]);
      await terminal.shows("ended with 0");
      const screen = await terminal.screen();
      expect(screen).toContain("takes this device for a gateway");
      expect(screen).toContain("wrote config/tb_gateway.json");
      expect(screen).not.toContain(TOKEN);
      await valuesArrive(dir.path, peers.platform);
      console.info(`from nothing to values: ${Math.round(performance.now() - startMs)} ms`);
    },
    TIMEOUT_MS,
  );

  test(
    "Ctrl-C at each question leaves nothing behind",
    async () => {
      await using peers = await plant();
      const { length } = way(0, 0);
      const cancelAt = async (count: number): Promise<void> => {
        using dir = temporaryDir();
        // The platform allows one session for each device.
        const token = `${TOKEN}-${count}`;
        peers.platform.createGateway(`GW ${count}`, token);
        const steps = way(peers.platform.port, peers.device.port, token);
        await using terminal = await TmuxTerminal.start(`${BINARY} init`, dir.path);
        for (const step of steps.slice(0, count)) {
          await answer(terminal, step);
        }
        await terminal.shows(`◆  ${steps[count]?.[0] ?? ""}`);
        await terminal.press("C-c");
        await terminal.shows("ended with 1");
        expect(await terminal.screen()).toContain("Nothing was written.");
        expect(readdirSync(dir.path)).toEqual([]);
      };
      // A few at a time: each is a process of its own.
      for (let first = 0; first < length; first += 6) {
        const counts = Array.from({ length }, (_, count) => count).slice(first, first + 6);
        await Promise.all(counts.map((count) => cancelAt(count)));
      }
    },
    TIMEOUT_MS,
  );

  test(
    "Ctrl-C at the question after the last one leaves everything written",
    async () => {
      await using peers = await plant();
      using dir = temporaryDir();
      await using terminal = await TmuxTerminal.start(`${BINARY} init`, dir.path);
      for (const step of way(peers.platform.port, peers.device.port)) {
        await answer(terminal, step);
      }
      await answer(terminal, ["Install the service", "C-c"]);
      await terminal.shows("ended with 0");
      expect(await terminal.screen()).not.toContain("Nothing was written");
      expect(await tbgw(dir.path, ["check", "--config", "config"])).toMatchObject({ code: 0 });
    },
    TIMEOUT_MS,
  );

  test(
    "Ctrl-C while it looks at a device leaves nothing behind",
    async () => {
      await using peers = await plant();
      await using broker = await DemoBroker.listen();
      using dir = temporaryDir();
      const flags = [
        `--config config --host 127.0.0.1 --port ${peers.platform.port} --token ${TOKEN} --yes`,
        `--connector mqtt --mqtt-target 127.0.0.1:${broker.port} --mqtt-version 4 --mqtt-seconds 600`,
      ];
      const command = `${BINARY} init ${flags.join(" ")}`;
      await using terminal = await TmuxTerminal.start(command, dir.path);
      await terminal.shows("Listening to #");
      await terminal.press("C-c");
      await terminal.shows("ended with 1");
      expect(await terminal.screen()).toContain("Nothing was written.");
      expect(readdirSync(dir.path)).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    "a refused token is said in words, and only the credentials are asked again",
    async () => {
      await using peers = await plant();
      using dir = temporaryDir();
      await using terminal = await TmuxTerminal.start(
        `${BINARY} init --config config --host 127.0.0.1 --port ${peers.platform.port} --no-tls --connector none`,
        dir.path,
      );
      await answer(terminal, ["How does the gateway prove who it is?", "Enter"]);
      await answer(terminal, ["Access token of the gateway device", "wrong", "Enter"]);
      await terminal.shows("check the access token");
      await answer(terminal, ["What next?", "Enter"]);
      await answer(terminal, ["How does the gateway prove who it is?", "Enter"]);
      await answer(terminal, ["Access token of the gateway device", TOKEN, "Enter"]);
      await terminal.shows("takes this device for a gateway");
    },
    TIMEOUT_MS,
  );
});

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
      await until("a value arrived", () => peers.platform.valueCount("Modbus 1", "r_0") > 0);
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
        "--ble-seconds",
        "2",
        "--ble-connect",
      ]);
      expect(made).toMatchObject({ code: 0, problem: "" });
      const { adapter, devices } = JSON.parse(
        readFileSync(join(dir.path, "config/ble.json"), "utf8"),
      );
      expect(adapter).toBe(`tcp:127.0.0.1:${peer.port}`);
      expect(devices).toHaveLength(DOORS.length);
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
