// What a person at the platform sees of the gateway besides data: its log, the terminal, packages. And that data goes first.
import { describe, expect, test } from "bun:test";
import { LogSettings } from "../../src/logging/settings.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import type { ConnectorHost } from "../../src/sdk/connector.ts";
import { ledgerImbalance } from "../../src/sdk/ledger.ts";
import { epochMs } from "../../src/sdk/model.ts";
import { VERSION } from "../../src/version.ts";
import { GatewayRig, plant } from "../support/gateway-rig.ts";
import { until } from "../support/until.ts";

const OWN_TELEMETRY = "v1/devices/me/telemetry";
const { signal } = new AbortController();

/** What the platform takes in one publish, so that its answers, not this machine, decide how fast data goes. */
const PAYLOAD_BYTES = 2048;
const PUBACK_DELAY_MS = 250;

/** A plain log with the levels of its own, as `run` makes one without `logs.json`. */
function quietLogs(secrets: readonly string[] = []): LogSettings {
  return new LogSettings({
    clock: systemClock,
    plain: () => undefined,
    stdout: { write: () => true },
    secrets,
  });
}

/** A gateway with a connector whose host is at hand. */
async function open(options: Parameters<typeof GatewayRig.open>[1] = {}) {
  const hosts: ConnectorHost[] = [];
  const line = plant({ name: "Line 1", type: "modbus", created: (made) => hosts.push(made) });
  const rig = await GatewayRig.open([{ ...line, logLevel: "debug" }], options);
  await until("the connector runs", () => hosts.length === 1);
  await rig.server.until(() => rig.server.sessions()[0]?.filters.length === 7);
  const [host] = hosts;
  if (host === undefined) {
    throw new Error("There is no host");
  }
  return { rig, host };
}

/** The texts of a series of the gateway device. */
function series(rig: GatewayRig, key: string): string[] {
  return rig.server.series("GW", key).map(({ value }) => String(value));
}

describe("remote logging", () => {
  test("the shared attribute chooses what is sent; the client attribute confirms it", async () => {
    const logs = quietLogs(["t0p-s3cret"]);
    const { rig } = await open({ options: { logs } });
    await using _ = rig;
    rig.server.setShared("GW", { RemoteLoggingLevel: "DEBUG" });
    await rig.server.until(
      () => rig.server.attributes("GW", "client")["RemoteLoggingLevel"]?.value === "DEBUG",
    );
    logs.logger("service").debug("A line with t0p-s3cret");
    await rig.server.until(() => series(rig, "LOGS").some((text) => text.includes("A line with")));
    const lines = series(rig, "SERVICE_LOGS");
    const line = lines.find((text) => text.includes("A line with"));
    expect(line).toMatch(
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - \|DEBUG\|<main> \[service\] - .* - A line with \*\*\*$/,
    );
    rig.server.setShared("GW", { RemoteLoggingLevel: "NONE" });
    await rig.server.until(
      () => rig.server.attributes("GW", "client")["RemoteLoggingLevel"]?.value === "NONE",
    );
    const { shipped } = (await rig.gateway.status()).logs.remote;
    logs.logger("service").error("Not for the platform");
    await rig.server.until(() => rig.server.latest("GW", "ALL_ERRORS_COUNT") !== undefined, 10_000);
    expect((await rig.gateway.status()).logs.remote.shipped).toBe(shipped);
    expect(rig.server.latest("GW", "service_ERRORS_COUNT")?.text).toBe("1");
  });

  test("lines of a connector and its converters have keys of their own, switched while it runs", async () => {
    const logs = quietLogs();
    const { rig, host } = await open({ options: { logs } });
    await using _ = rig;
    host.log.debug("hidden");
    logs.levels.setConnector("Line 1", { enableRemoteLogging: true });
    host.log.debug("of the connector");
    host.converterLog.error("of the converter");
    await rig.server.until(() => series(rig, "Line 1_converter_LOGS").length === 1);
    expect(series(rig, "Line 1_LOGS")).toHaveLength(1);
    expect(series(rig, "Line 1_LOGS")[0]).toContain("[modbus_connector.py]");
    expect(series(rig, "Line 1_converter_LOGS")[0]).toContain("[modbus_converter.py]");
    await rig.server.until(
      () => rig.server.latest("GW", "Line 1_ERRORS_COUNT")?.text === "1",
      10_000,
    );
  });

  test("an outage keeps the newest lines, and the platform is told that some are missing", async () => {
    const logs = quietLogs();
    const { rig, host } = await open({ options: { logs } });
    await using _ = rig;
    logs.levels.setConnector("Line 1", { enableRemoteLogging: true });
    await rig.server.down();
    await rig.disconnected();
    for (let count = 0; count < 1200; count += 1) {
      host.log.debug("Tick", { count });
    }
    expect((await rig.gateway.status()).logs.remote).toMatchObject({ dropped: 200, waiting: 1000 });
    await rig.server.up();
    await until("all lines are there", () => series(rig, "Line 1_LOGS").length === 1000, 40_000);
    expect(series(rig, "Line 1_LOGS")[0]).toEndWith("Tick count=200");
    expect(series(rig, "Line 1_LOGS").at(-1)).toEndWith("Tick count=1199");
    expect(series(rig, "LOGS").join("\n")).toContain("Log lines were left out");
  }, 60_000);

  test("at DEBUG with a slow platform data keeps its rate, lines keep to the limits, and what is left out is counted", async () => {
    const logs = quietLogs();
    const { rig, host } = await open({
      options: { logs },
      setup: {
        storage: {
          kind: "memory",
          maxRecords: 1_000_000,
          maxBytes: undefined,
          ttlMs: 0,
          whenFull: "wait",
          durability: "durable",
          commitIntervalMs: 20,
          drain: "fifo",
        },
      },
    });
    await using _ = rig;
    const { server } = rig;
    // 256 bytes of what the server says are left to the rest of the packet.
    server.faults.reportedPacketSize = PAYLOAD_BYTES + 256;
    server.kick("GW", 0x8b);
    await until(
      "the limit is known",
      async () => (await rig.gateway.status()).link.payloadLimit === PAYLOAD_BYTES,
    );
    server.faults.publish({ action: "delay", ms: PUBACK_DELAY_MS });
    const logPublishes: { readonly text: string; readonly atMs: number }[] = [];
    server.onPublish(({ topic, text }) => {
      if (topic === OWN_TELEMETRY) {
        logPublishes.push({ text, atMs: systemClock.monotonicMs() });
      }
    });
    await fill(host, 500_000);
    using talk = new Chatter(host);
    const values = { off: 0, on: 0 };
    await systemClock.sleep(2000, signal); // Until the window has found its size.
    // In this order what else this machine does, and what changes in time, falls on both alike.
    for (const phase of ["off", "on", "on", "off", "off", "on", "on", "off"] as const) {
      logs.levels.setConnector("Line 1", { enableRemoteLogging: phase === "on" });
      const before = server.counters().values - loggedValues(logPublishes);
      await systemClock.sleep(2000, signal);
      values[phase] += server.counters().values - loggedValues(logPublishes) - before;
    }
    const { store, logs: counts } = await rig.gateway.status();
    const ratio = values.on / values.off;
    console.log(
      `data with remote logging ${values.on}, without ${values.off}: ratio ${ratio.toFixed(3)}; lines said ${talk.lines}, sent ${counts.remote.shipped}, dropped ${counts.remote.dropped}, cut ${counts.remote.cut}`,
    );
    expect(store.ledger.queued).toBeGreaterThan(0); // The platform was the limit all the time.
    expect(ratio).toBeGreaterThan(0.95);
    expect(counts.remote.shipped).toBeGreaterThan(10);
    expect(counts.remote.dropped).toBeGreaterThan(1000);
    expect(counts.remote.cut).toBeGreaterThan(0);
    expect(logPublishes.every(({ text }) => Buffer.byteLength(text) <= PAYLOAD_BYTES)).toBe(true);
    expect(logPublishes.every(({ text }) => (text.match(/"ts":/g)?.length ?? 0) <= 21)).toBe(true);
    // One at a time, and a slow platform gets the next one ten times as long after.
    const gaps = logPublishes
      .slice(1)
      .map(({ atMs }, index) => atMs - (logPublishes[index]?.atMs ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThan(PUBACK_DELAY_MS * 10);
    expect(ledgerImbalance(store.ledger)).toEqual({ intake: 0, delivery: 0 });
  }, 60_000);
});

/** Says a line every millisecond, some of them far too long. */
class Chatter implements Disposable {
  readonly #host: ConnectorHost;
  #timer: Disposable | undefined;
  lines = 0;

  constructor(host: ConnectorHost) {
    this.#host = host;
    this.#next();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  #next(): void {
    this.#timer = systemClock.timer(10, () => {
      for (let count = 0; count < 10; count += 1) {
        this.lines += 1;
        const detail = this.lines % 50 === 0 ? "x".repeat(20_000) : "short";
        this.#host.log.debug("A frame was read", { line: this.lines, detail });
      }
      this.#next();
    });
  }
}

/** Stores values of many devices: more than the platform takes during the test. */
async function fill(host: ConnectorHost, count: number): Promise<void> {
  const devices = 50;
  const each = 10;
  for (let index = 0; index < count / each; index += devices) {
    const data = Array.from({ length: devices }, (_element, device) => ({
      deviceName: `Device ${device}`,
      telemetry: [
        {
          ts: epochMs(1_700_000_000_000 + index),
          values: Object.fromEntries(
            Array.from({ length: each }, (_value, key) => [`key${key}`, index]),
          ),
        },
      ],
    }));
    await host.uplink.accept(data, signal);
  }
}

/** Values of the gateway's own telemetry among those the platform has stored. */
function loggedValues(publishes: readonly { readonly text: string }[]): number {
  let count = 0;
  for (const { text } of publishes) {
    const body: unknown = JSON.parse(text);
    const entries = Array.isArray(body) ? body : [{ values: body }];
    for (const { values } of entries) {
      count += Object.keys(values).length;
    }
  }
  return count;
}

describe("the terminal", () => {
  const SHELL = { allowed: true, enabled: true };

  test("answers over real calls as the platform's terminal expects", async () => {
    const { rig } = await open({ setup: { shell: SHELL } });
    await using _ = rig;
    expect(await rig.call("GW", "getTermInfo", null)).toEqual({
      platform: "Linux",
      release: expect.any(String),
      cwd: rig.dataDir,
    });
    expect(await rig.call("GW", "sendCommand", { command: "echo one; echo two >&2" })).toEqual({
      ok: true,
    });
    let output = "";
    let isDone = false;
    while (!isDone) {
      const answer = await rig.call("GW", "getCommandStatus", null);
      const { data, done } = answer as { data: { stdout: string }[]; done: boolean };
      output += data.map(({ stdout }) => stdout).join("");
      isDone = done;
    }
    expect(output).toBe("one\ntwo\n");
    expect(await rig.call("GW", "gateway_terminateCommand", {})).toEqual({
      ok: false,
      error: "Process for termination not found.",
    });
    const warned = await rig.logged("Remote shell runs a command");
    expect(warned.fields).toMatchObject({ command: "echo one; echo two >&2" });
  });

  test.each([
    [undefined],
    [{ allowed: true, enabled: false }],
    [{ allowed: false, enabled: true }],
  ])("with %p answers 403 to each of its calls", async (shell) => {
    const { rig } = await open({ setup: shell === undefined ? {} : { shell } });
    await using _ = rig;
    for (const method of ["getTermInfo", "sendCommand", "getCommandStatus", "terminateCommand"]) {
      expect(await rig.call("GW", method, { command: "true" })).toEqual({
        error: "remote shell is not allowed on this gateway (tbgw.allowRemoteShell)",
        code: 403,
      });
    }
  });
});

test("a package that is assigned to the gateway is answered on the platform", async () => {
  const { rig } = await open();
  await using _ = rig;
  rig.server.setShared("GW", { fw_title: "Firmware", fw_version: "7.1", fw_size: 1000 });
  await rig.server.until(() => rig.server.latest("GW", "fw_state") !== undefined);
  expect(rig.server.latest("GW", "fw_state")?.value).toBe("FAILED");
  expect(rig.server.latest("GW", "fw_error")?.value).toContain("copy the new file tbgw");
  expect(rig.server.latest("GW", "current_fw_version")?.value).toBe(VERSION);
});

test("what is wrong with logs.json is a line on the platform, whatever the level", async () => {
  const logs = new LogSettings({
    clock: systemClock,
    plain: () => undefined,
    stdout: { write: () => true },
    problem: "not valid JSON: the file is empty",
  });
  const { rig } = await open({ options: { logs } });
  await using _ = rig;
  await rig.server.until(() => series(rig, "LOGS").length > 0);
  expect(series(rig, "LOGS")).toEqual([
    "Logging loading exception, logs.json is wrong: not valid JSON: the file is empty",
  ]);
});
