import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { planLogs } from "../../../src/config/logs.ts";
import { LogSettings, type LogSettingsOptions } from "../../../src/logging/settings.ts";
import { ConfigError } from "../../../src/sdk/errors.ts";
import type { LogRecord } from "../../../src/sdk/logger.ts";
import type { Json } from "../../../src/sdk/model.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { rejection } from "../../support/rejection.ts";
import { temporaryDir } from "../../support/temporary-dir.ts";

const STOCK: Json = await Bun.file(
  resolve(import.meta.dir, "../../cases/config/stock/config/logs.json"),
).json();

function open(dataDir: string, options: Partial<LogSettingsOptions> = {}) {
  let text = "";
  const clock = new FakeClock();
  const logs = new LogSettings({
    clock,
    stdout: {
      write: (more, written) => {
        text += more;
        written?.();
      },
    },
    dataDir,
    ...options,
  });
  return { logs, clock, stdout: () => text };
}

function stock(dataDir: string, options: Partial<LogSettingsOptions> = {}) {
  return open(dataDir, { plan: planLogs(STOCK).plan, ...options });
}

const read = (...path: string[]): string => readFileSync(join(...path), "utf8");
const BUS = { name: "My Bus", type: "modbus" };

describe("LogSettings", () => {
  test("with the installed file each logger has its file, each connector its own, and all is shown too", async () => {
    using dir = temporaryDir();
    const { logs, stdout } = stock(dir.path);
    logs.levels.setConnector("My Bus", { logLevel: "debug", enableRemoteLogging: false });
    logs.logger("service").info("Gateway starts", { version: "1" });
    logs.logger("storage").warn("Disk is slow");
    logs.logger("tb_connection").debug("below the level of its logger");
    logs.connectorLogger(BUS, "connector").debug("Link is up");
    logs.connectorLogger(BUS, "converter").error("Cannot convert");
    await logs[Symbol.asyncDispose]();
    const folder = join(dir.path, "logs");
    expect(readdirSync(folder).toSorted()).toEqual([
      "my_bus_connector.log",
      "my_bus_converter.log",
      "service.log",
      "storage.log",
    ]);
    expect(read(folder, "service.log")).toMatch(
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} - \|INFO\| - \[service\] - .* - Gateway starts version="1"\n$/,
    );
    expect(read(folder, "my_bus_connector.log")).toContain("|DEBUG| - [modbus_connector.py]");
    expect(read(folder, "my_bus_converter.log")).toContain("|ERROR| - [modbus_converter.py]");
    expect(stdout().trimEnd().split("\n")).toHaveLength(4);
    expect(stdout()).not.toContain("below the level");
  });

  test("without a file the lines are on standard output, from INFO on", () => {
    using dir = temporaryDir();
    const { logs, stdout } = open(dir.path, { problem: "the file is missing" });
    logs.logger("service").debug("hidden");
    logs.logger("service").info("Gateway starts");
    logs.levels.setConnector("My Bus", { logLevel: "debug" });
    logs.connectorLogger(BUS, "connector").debug("Link is up");
    expect(stdout()).toBe(
      "2023-11-14T22:13:20.000Z INFO  service: Gateway starts\n2023-11-14T22:13:20.000Z DEBUG My Bus: Link is up\n",
    );
    expect(readdirSync(dir.path)).toEqual([]);
  });

  test("TB_GW_LOGS_PATH moves every file and keeps its name", async () => {
    using dir = temporaryDir();
    const { logs } = stock(dir.path, { logsDir: join(dir.path, "var/log") });
    logs.logger("service").info("here");
    logs.connectorLogger(BUS, "connector").info("and here");
    await logs[Symbol.asyncDispose]();
    expect(readdirSync(join(dir.path, "var/log")).toSorted()).toEqual([
      "my_bus_connector.log",
      "service.log",
    ]);
  });

  test("levels change while a logger is in use", () => {
    const { logs, stdout } = open(".");
    const log = logs.connectorLogger(BUS, "connector");
    logs.levels.setConnector("My Bus", { logLevel: "error" });
    log.warn("hidden");
    logs.levels.setConnector("My Bus", { logLevel: "trace" });
    log.trace("shown");
    logs.levels.setConnector("My Bus", { logLevel: "none" });
    log.error("hidden");
    expect(stdout()).toContain("shown");
    expect(stdout()).not.toContain("hidden");
  });

  test("a level given on the command line goes before those of the file", () => {
    using dir = temporaryDir();
    const { logs, stdout } = stock(dir.path, { level: "debug" });
    logs.logger("storage").debug("shown");
    expect(stdout()).toContain("shown");
    expect(logs.levels.delivery).toBe("debug");
  });

  test("apply() puts another file into effect at once, and closes what it does not name", async () => {
    using dir = temporaryDir();
    const { logs } = stock(dir.path);
    const log = logs.logger("service");
    log.info("old");
    let changes = 0;
    logs.levels.onChange(() => {
      changes += 1;
    });
    await logs.apply({
      version: 1,
      formatters: { F: { format: "%(levelname)s %(message)s" } },
      handlers: { serviceHandler: { filename: "new/one.log", formatter: "F" } },
      loggers: { service: { level: "DEBUG", handlers: ["serviceHandler"], propagate: false } },
      ts: 1_700_000_000_000,
    });
    log.debug("new");
    await logs.flush();
    expect(read(dir.path, "logs/service.log")).toContain("old");
    expect(read(dir.path, "new/one.log")).toBe("DEBUG new\n");
    expect(changes).toBe(1);
    await logs[Symbol.asyncDispose]();
  });

  test("apply() refuses what is wrong, names every place, and leaves all as it was", async () => {
    using dir = temporaryDir();
    const { logs } = stock(dir.path);
    const wrong = {
      handlers: { h: { filename: "x.log", when: "often" } },
      loggers: { service: { level: "LOUD", handlers: ["g"] } },
    };
    const error = await rejection(logs.apply(wrong));
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).issues.map(({ path }) => path)).toEqual([
      "handlers.h.when",
      "loggers.service.level",
      "loggers.service.handlers[0]",
    ]);
    expect(await rejection(logs.apply("text"))).toBeInstanceOf(ConfigError);
    logs.logger("service").info("still here");
    await logs[Symbol.asyncDispose]();
    expect(read(dir.path, "logs/service.log")).toContain("still here");
    expect(existsSync(join(dir.path, "x.log"))).toBe(false);
  });

  test("a folder that cannot be made: the lines are on standard output, with one warning", async () => {
    const { logs, stdout } = open("/proc/nothing/here", {
      plan: planLogs({
        formatters: { F: { format: "%(message)s" } },
        handlers: { a: { filename: "a.log", formatter: "F" } },
        loggers: { service: { level: "INFO", handlers: ["a"], propagate: false } },
      }).plan,
    });
    logs.logger("service").info("one");
    await logs.flush();
    logs.logger("service").info("two");
    await logs[Symbol.asyncDispose]();
    const lines = stdout().trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(/WARN .*Cannot open a log file file="\/proc\/nothing\/here\/a\.log"/);
    expect(lines.slice(1)).toEqual(["one", "two"]);
  });

  test("no secret gets into a file, onto standard output, or to who is attached", async () => {
    using dir = temporaryDir();
    const { logs, stdout } = stock(dir.path, { secrets: ["s3cret-token"] });
    const attached: LogRecord[] = [];
    logs.attach((record) => attached.push(record));
    logs.logger("service").info("Refused s3cret-token", { error: new Error("u:s3cret-token@h") });
    logs.secrets.add(["pushed-later"]);
    logs.connectorLogger(BUS, "connector").warn("x", { nested: { list: ["pushed-later"] } });
    logs.local("warn", "about s3cret-token", {});
    await logs[Symbol.asyncDispose]();
    const files = readdirSync(join(dir.path, "logs")).map((name) => read(dir.path, "logs", name));
    const everything = [...files, stdout(), JSON.stringify(attached)].join("\n");
    expect(files).toHaveLength(2);
    expect(everything).toContain("***");
    expect(everything).not.toMatch(/s3cret-token|pushed-later/);
  });

  test("`propagate` and a logger that is not named go to the handlers of root", () => {
    const { logs, stdout } = open(".", {
      plan: planLogs({
        formatters: { A: { format: "A %(message)s" }, B: { format: "B %(message)s" } },
        handlers: { a: { formatter: "A" }, b: { formatter: "B", level: "WARNING" } },
        loggers: { service: { level: "INFO", handlers: ["a"] } },
        root: { level: "INFO", handlers: ["b"] },
      }).plan,
    });
    logs.logger("service").info("one");
    logs.logger("service").warn("two");
    logs.logger("storage").info("below the handler");
    logs.logger("storage").warn("three");
    expect(stdout()).toBe("A one\nA two\nB two\nB three\n");
  });
});
