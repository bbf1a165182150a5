// `tbgw init` as a person meets it, in a real terminal.
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DemoBroker } from "../../src/demo/broker.ts";
import { BINARY } from "../support/gateway-process.ts";
import { PATIENCE_MS, plant, TOKEN, tbgw, valuesArrive } from "../support/init-rig.ts";
import { temporaryDir } from "../support/temporary-dir.ts";
import { TmuxTerminal } from "../support/tmux.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 180_000;

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
    "ends with its terminal",
    async () => {
      using dir = temporaryDir();
      const pidFile = join(dir.path, "pid");
      {
        const command = `echo $$ > ${pidFile}; exec ${BINARY} init`;
        await using terminal = await TmuxTerminal.start(command, dir.path);
        await terminal.shows("◆");
      }
      const pid = Number(readFileSync(pidFile, "utf8"));
      const isAlive = (): boolean => existsSync(`/proc/${pid}`);
      await until("the program has ended", () => !isAlive(), PATIENCE_MS);
      expect(readdirSync(dir.path)).toEqual(["pid"]);
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
