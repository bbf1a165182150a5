// Where the lines of the compiled program go: files as a Python gateway has them, standard output, the platform.
import { describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { connectAsync } from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { AedesBroker } from "../support/aedes.ts";
import { GatewayProcess, type Launch } from "../support/gateway-process.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;
const TOKEN = "t0k3n-0f-the-gateway";
/** `logs.json` as the Python gateway installs it. */
const STOCK = resolve(import.meta.dir, "../cases/config/stock/config/logs.json");
/** A line of it. */
const STOCK_LINE =
  /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} - \|(?:TRACE|DEBUG|INFO|WARNING|ERROR)\| - \[[\w.]+\] - \w+ - log - 0 - \S.*$/;

/** Room for 64 KiB of logs; needs root or user namespaces. */
const SMALL_DISK = 'mount -t tmpfs -o size=64k tmpfs "$0" && exec "$@"';
const canMount =
  Bun.spawnSync(["unshare", "-m", "sh", "-c", SMALL_DISK, "/mnt", "true"], { stderr: "ignore" })
    .exitCode === 0;

interface Options {
  /** Whether `logs.json` is there. */
  readonly stock?: boolean;
  /** Called before the start with the gateway's folder. */
  readonly prepare?: (dir: string) => void;
  readonly launch?: (dir: string) => Launch;
}

async function open(options: Options = {}) {
  await using stack = new AsyncDisposableStack();
  const platform = stack.use(await ThingsBoardDouble.listen({ clock: systemClock }));
  platform.createGateway("GW", { type: "ACCESS_TOKEN", token: TOKEN });
  const broker = stack.use(await AedesBroker.listen());
  const gateway = stack.use(
    await GatewayProcess.create({
      platformPort: platform.port,
      brokerPort: broker.port,
      thingsboard: { security: { accessToken: TOKEN }, remoteShell: true },
    }),
  );
  const { dir } = gateway;
  edit(join(dir, "config/tb_gateway.json"), { tbgw: { allowRemoteShell: true } });
  edit(join(dir, "config/mqtt.json"), { enableRemoteLogging: true, logLevel: "DEBUG" });
  if (options.stock === true) {
    copyFileSync(STOCK, join(dir, "config/logs.json"));
  }
  options.prepare?.(dir);
  gateway.start([], options.launch?.(dir));
  await platform.until(() => platform.sessions()[0]?.filters.length === 7, 20_000);
  await until("it reached its broker", () => /Link is up.*broker/.test(gateway.output));
  const owned = stack.move();
  let sequence = 0;
  return {
    platform,
    gateway,
    logs: join(dir, "data/logs"),
    /** Sends a value, and waits until the platform has it. */
    deliver: async (): Promise<void> => {
      sequence += 1;
      const client = await connectAsync(`mqtt://127.0.0.1:${broker.port}`);
      const body = JSON.stringify({ seq: sequence, value: 1.5 });
      await client.publishAsync("plant/dev-1/data", body, { qos: 1 });
      await client.endAsync();
      await until("the value arrived", () => platform.series("dev-1", "seq").length === sequence);
    },
    /** Sends what no mapping can read. */
    disturb: async (): Promise<void> => {
      const client = await connectAsync(`mqtt://127.0.0.1:${broker.port}`);
      await client.publishAsync("plant/dev-1/data", "no JSON", { qos: 1 });
      await client.endAsync();
    },
    lines: (key: string): string[] => platform.series("GW", key).map(({ value }) => String(value)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Adds keys to a JSON file. */
function edit(path: string, more: object): void {
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...more }));
}

describe("with the logs.json of a Python gateway", () => {
  test(
    "each logger has its file, in its format, whole at the end, without a secret",
    async () => {
      await using plant = await open({ stock: true });
      const { gateway, logs, platform } = plant;
      platform.setShared("GW", { RemoteLoggingLevel: "INFO" });
      await platform.until(
        () => platform.attributes("GW", "client")["RemoteLoggingLevel"]?.value === "INFO",
      );
      await plant.disturb();
      await plant.deliver();
      expect(await gateway.stop()).toBe(0);
      const names = readdirSync(logs);
      expect(names).toContain("service.log");
      expect(names).toContain("plant_broker_connector.log");
      expect(names).toContain("tb_connection.log");
      expect(names).not.toContain("connector.log");
      for (const name of names) {
        const path = join(logs, name);
        expect(statSync(path).mode & 0o777).toBe(0o640);
        const text = readFileSync(path, "utf8");
        expect(text).toEndWith("\n");
        expect(text).not.toContain(TOKEN);
        for (const line of text.trimEnd().split("\n")) {
          expect(line).toMatch(STOCK_LINE);
        }
      }
      const service = readFileSync(join(logs, "service.log"), "utf8");
      expect(service).toContain("Gateway starts");
      expect(service.trimEnd().split("\n").at(-1)).toEndWith("Gateway has stopped");
      expect(readFileSync(join(logs, "plant_broker_connector.log"), "utf8")).toContain(
        "[mqtt_connector.py]",
      );
      expect(readFileSync(join(logs, "plant_broker_converter.log"), "utf8")).toMatch(
        /\|WARNING\| - \[mqtt_converter\.py\] .* Message cannot be converted/,
      );
      expect(gateway.output).not.toContain(TOKEN);
      expect(
        platform.series("GW", "LOGS").filter(({ text }) => text.includes("exception")),
      ).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    "TB_GW_LOGS_PATH moves the files",
    async () => {
      await using plant = await open({
        stock: true,
        launch: (dir) => ({ env: { TB_GW_LOGS_PATH: join(dir, "var/log/tbgw") } }),
      });
      const { gateway, logs } = plant;
      expect(await gateway.stop()).toBe(0);
      expect(readdirSync(join(gateway.dir, "var/log/tbgw"))).toContain("service.log");
      expect(existsSync(logs)).toBe(false);
    },
    TIMEOUT_MS,
  );

  test(
    "a folder that cannot be made is one warning, and data goes",
    async () => {
      await using plant = await open({
        stock: true,
        prepare: (dir) => {
          mkdirSync(join(dir, "data"));
          writeFileSync(join(dir, "data/logs"), "not a folder");
        },
      });
      const { gateway } = plant;
      await plant.deliver();
      expect(await gateway.stop()).toBe(0);
      const warned = gateway.output.match(/Cannot open a log file file="[^"]*service\.log"/g);
      expect(warned).toHaveLength(1);
      expect(gateway.output).toContain("Gateway has stopped");
    },
    TIMEOUT_MS,
  );

  test.skipIf(!canMount)(
    "a full disk is one warning, and data goes",
    async () => {
      await using plant = await open({
        stock: true,
        prepare: (dir) => mkdirSync(join(dir, "data/logs"), { recursive: true }),
        launch: (dir) => ({
          prefix: ["unshare", "-m", "sh", "-c", SMALL_DISK, join(dir, "data/logs")],
        }),
      });
      const { gateway, platform } = plant;
      // Each command is a line of its own length.
      for (let count = 0; count < 16; count += 1) {
        const command = `true ${count} #${"x".repeat(10_000)}`;
        expect(JSON.parse(await platform.rpc("GW", "sendCommand", { command }))).toEqual({
          ok: true,
        });
      }
      await until("it was said", () => gateway.output.includes("Cannot write a log file"));
      await plant.deliver();
      expect(await gateway.stop()).toBe(0);
      const warned = gateway.output.match(/Cannot write a log file file="[^"]*service\.log"/g);
      expect(warned).toHaveLength(1);
    },
    TIMEOUT_MS,
  );
});

describe("on the platform", () => {
  test(
    "lines of gateway and connector are under the keys of its dashboard",
    async () => {
      await using plant = await open({ stock: true });
      const { gateway, logs, platform } = plant;
      platform.setShared("GW", { RemoteLoggingLevel: "DEBUG" });
      await platform.until(
        () => platform.attributes("GW", "client")["RemoteLoggingLevel"]?.value === "DEBUG",
      );
      await platform.rpc("GW", "sendCommand", { command: "true # look here" });
      await until("the line is there", () =>
        plant.lines("SERVICE_LOGS").some((line) => line.includes("true # look here")),
      );
      await until("so is the connector's", () =>
        plant
          .lines("Plant broker_LOGS")
          .some((line) => /\|\w+\|.*\[mqtt_connector\.py\]/.test(line)),
      );
      expect(plant.lines("LOGS").some((line) => line.includes("true # look here"))).toBe(true);
      // A secret that a person types is in no line, wherever the line goes.
      await platform.rpc("GW", "sendCommand", { command: `true # ${TOKEN}` });
      await until("it is there without the secret", () =>
        plant.lines("SERVICE_LOGS").some((line) => line.includes("true # ***")),
      );
      expect(await gateway.stop()).toBe(0);
      const everywhere = [
        readFileSync(join(logs, "service.log"), "utf8"),
        gateway.output,
        plant.lines("LOGS").join("\n"),
      ];
      for (const text of everywhere) {
        expect(text).toContain("true # ***");
        expect(text).not.toContain(TOKEN);
      }
    },
    TIMEOUT_MS,
  );

  test(
    "a logs.json that cannot be read is told, and everything is on standard output",
    async () => {
      await using plant = await open({
        prepare: (dir) => writeFileSync(join(dir, "config/logs.json"), '{ "version": 1,, }'),
      });
      const { gateway, logs } = plant;
      await until("it is told", () => plant.lines("LOGS").length > 0);
      expect(plant.lines("LOGS")[0]).toStartWith(
        "Logging loading exception, logs.json is wrong: not valid JSON",
      );
      expect(gateway.output).toMatch(/ERROR service: Configuration file="[^"]*logs\.json" line=1/);
      expect(gateway.output).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z INFO {2}service: Gateway starts/m);
      expect(existsSync(logs)).toBe(false);
    },
    TIMEOUT_MS,
  );
});
