import { describe, expect, test } from "bun:test";
import { LogSettings, type LogSettingsOptions } from "../../../src/logging/settings.ts";
import type { LogLevel, LogRecord } from "../../../src/sdk/logger.ts";
import type { Values } from "../../../src/sdk/model.ts";
import { LogServices } from "../../../src/service/log-services.ts";
import type { SharedListener } from "../../../src/service/own-attributes.ts";
import { PlatformLink } from "../../../src/service/platform-link.ts";
import { FakeClock } from "../../support/fake-clock.ts";

function rig(options: Partial<LogSettingsOptions> = {}) {
  const clock = new FakeClock();
  const platform = new PlatformLink();
  platform.update(true);
  const shown: LogRecord[] = [];
  const logs = new LogSettings({
    clock,
    stdout: { write: () => true },
    plain: (record) => shown.push(record),
    ...options,
  });
  const published: Values[] = [];
  const payloads: string[] = [];
  const levels: LogLevel[] = [];
  const listeners = new Set<SharedListener>();
  const services = new LogServices({
    clock,
    logs,
    platform,
    own: {
      onShared: (listener) => {
        listeners.add(listener);
        return { [Symbol.dispose]: () => listeners.delete(listener) };
      },
      publish: async (values) => {
        published.push(await Promise.resolve(values));
      },
    },
    delivery: {
      payloadLimit: 65_000,
      set logLevel(level: LogLevel) {
        levels.push(level);
      },
      publishInBackground: async (_topic, payload) => {
        payloads.push(await Promise.resolve(payload));
      },
    },
  });
  const push = async (values: Values, removed: readonly string[] = []): Promise<void> => {
    for (const listener of listeners) {
      listener(values, removed);
    }
    await clock.advance(0);
  };
  const text = async (): Promise<string> => {
    await clock.advance(1000);
    return payloads.join("\n");
  };
  return { logs, services, clock, platform, shown, published, levels, push, text };
}

describe("LogServices", () => {
  test("RemoteLoggingLevel chooses what of the gateway is sent, and is confirmed", async () => {
    const { logs, push, published, text, levels } = rig();
    logs.logger("service").error("before anybody asked");
    await push({ RemoteLoggingLevel: "WARNING" });
    logs.logger("service").info("an info");
    logs.logger("storage").warn("a warning");
    const sent = await text();
    expect(sent).toContain("a warning");
    expect(sent).not.toMatch(/an info|before anybody/);
    expect(published).toEqual([{ RemoteLoggingLevel: "WARNING" }]);
    await push({ RemoteLoggingLevel: "DEBUG" });
    expect(levels.at(-1)).toBe("debug");
    await push({}, ["RemoteLoggingLevel"]);
    expect(published.at(-1)).toEqual({ RemoteLoggingLevel: "NONE" });
    expect(levels.at(-1)).toBe("info");
  });

  test("lines for the platform do not make standard output more talkative", async () => {
    const { logs, push, shown, text } = rig();
    await push({ RemoteLoggingLevel: "DEBUG" });
    logs.logger("service").debug("only there");
    expect(await text()).toContain("only there");
    expect(shown).toEqual([]);
  });

  test("the connection's own chatter is never sent: sending it would make more of it", async () => {
    const { logs, push, text } = rig();
    await push({ RemoteLoggingLevel: "TRACE" });
    logs.logger("tb_connection").debug("a packet was sent");
    logs.logger("tb_connection").info("Link is up");
    const sent = await text();
    expect(sent).toContain("Link is up");
    expect(sent).not.toContain("a packet was sent");
  });

  test("a connector's lines go while enableRemoteLogging is on, at its own level", async () => {
    const { logs, text } = rig();
    const log = logs.connectorLogger({ name: "Bus", type: "modbus" }, "connector");
    logs.levels.setConnector("Bus", { logLevel: "debug", enableRemoteLogging: false });
    log.debug("first");
    logs.levels.setConnector("Bus", { enableRemoteLogging: true });
    log.debug("second");
    logs.levels.setConnector("Bus", { logLevel: "error" });
    log.warn("third");
    const sent = await text();
    expect(sent).toContain("second");
    expect(sent).not.toMatch(/first|third/);
  });

  test("a level that does not exist changes nothing and is not confirmed", async () => {
    const { push, published, shown, logs } = rig();
    await push({ RemoteLoggingLevel: "ERROR" });
    await push({ RemoteLoggingLevel: "LOUD" });
    await push({ another: 1 });
    expect(published).toEqual([{ RemoteLoggingLevel: "ERROR" }]);
    expect(logs.levels.remote).toBe("error");
    expect(shown.map(({ message }) => message)).toEqual([
      "The platform asks for a log level that does not exist",
    ]);
  });

  test("no secret is sent", async () => {
    const { logs, push, text } = rig({ secrets: ["s3cret-token"] });
    await push({ RemoteLoggingLevel: "INFO" });
    logs.logger("service").info("Refused s3cret-token", { error: "s3cret-token" });
    const sent = await text();
    expect(sent).toContain("Refused ***");
    expect(sent).not.toContain("s3cret-token");
  });

  test("what is wrong with logs.json is told, and errors are counted", async () => {
    const { logs, clock, text, services } = rig({ problem: "not valid JSON: the file is empty" });
    logs.logger("service").error("x");
    await clock.advance(5000);
    const sent = await text();
    expect(sent).toContain(
      '"LOGS":"Logging loading exception, logs.json is wrong: not valid JSON: the file is empty"',
    );
    expect(sent).toContain('{"service_ERRORS_COUNT":1,"ALL_ERRORS_COUNT":1}');
    expect(services.status.remote.shipped).toBe(1);
    services[Symbol.dispose]();
    logs.logger("service").error("after the end");
    await clock.advance(120_000);
    expect(await text()).toBe(sent);
    expect(clock.waiting).toBe(0);
  });
});
