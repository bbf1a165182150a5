import { describe, expect, test } from "bun:test";
import { TransientError } from "../../../src/sdk/errors.ts";
import { type DeviceData, isJsonObject, type Values } from "../../../src/sdk/model.ts";
import { Statistics, type StatisticsSettings } from "../../../src/service/statistics.ts";
import type { GatewayStatus } from "../../../src/service/status.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { someStatus } from "../../support/gateway-status.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { until } from "../../support/until.ts";

const settings: StatisticsSettings = {
  enable: true,
  periodMs: 60_000,
  enableCustom: true,
  customPeriodMs: 300_000,
  commands: [],
  allowCommands: false,
};

function setUp() {
  const clock = new FakeClock();
  const stored: Pick<DeviceData, "attributes" | "telemetry">[] = [];
  const state = { status: someStatus(), full: false };
  const { log, messages, records } = memoryLog();
  const statistics = new Statistics({
    clock,
    log,
    status: async () => state.status,
    store: async (data) => {
      if (state.full) {
        throw new TransientError("the disk is full");
      }
      stored.push(data);
      return { status: "stored" };
    },
  });
  const telemetry = (): Values[] =>
    stored.flatMap(({ telemetry: entries = [] }) => entries.map(({ values }) => values));
  const receive = (values: number): void => {
    const { store } = state.status;
    const ledger = { ...store.ledger, received: store.ledger.received + values };
    state.status = { ...state.status, store: { ...store, ledger } } satisfies GatewayStatus;
  };
  const received = (): unknown[] =>
    telemetry().map((values) => serviceStats(values)["valuesReceived"]);
  return { clock, stored, state, log, messages, records, statistics, telemetry, receive, received };
}

function serviceStats(values: Values): Values {
  const stats = values["serviceStats"];
  return stats !== undefined && isJsonObject(stats) ? stats : {};
}

describe("Statistics", () => {
  test("sends the machine once, a report at once and then every period", async () => {
    const { clock, stored, statistics, receive, received } = setUp();
    statistics.start(settings);
    await clock.advance(0);
    expect(Object.keys(stored[0]?.attributes ?? {})).toEqual([
      "totalMemory",
      "totalDisk",
      "cpuCount",
    ]);
    expect(received()).toEqual([0]);
    receive(70);
    await clock.advance(59_000);
    expect(received()).toEqual([0]);
    await clock.advance(1000);
    await clock.advance(60_000);
    expect(received()).toEqual([0, 70, 0]);
    expect(stored.filter(({ attributes }) => attributes !== undefined).length).toBe(1);
    await statistics[Symbol.asyncDispose]();
  });

  test("counts of a report that cannot be stored are in the next", async () => {
    const { clock, state, statistics, messages, receive, received } = setUp();
    statistics.start(settings);
    await clock.advance(0);
    receive(5);
    state.full = true;
    await clock.advance(60_000);
    receive(6);
    await clock.advance(60_000);
    state.full = false;
    receive(7);
    await clock.advance(60_000);
    expect(received()).toEqual([0, 18]);
    expect(messages("warn").length).toBe(2);
    await statistics[Symbol.asyncDispose]();
  });

  test("the end brings what has not been reported", async () => {
    const { clock, statistics, receive, received } = setUp();
    statistics.start(settings);
    await clock.advance(0);
    receive(9);
    await statistics[Symbol.asyncDispose]();
    expect(received()).toEqual([0, 9]);
    expect(clock.waiting).toBeLessThanOrEqual(1);
  });

  test("can be given other settings at any time, and counts go on", async () => {
    const { clock, statistics, receive, received } = setUp();
    statistics.start(settings);
    await clock.advance(0);
    receive(3);
    await statistics.restart({ ...settings, enable: false });
    await clock.advance(600_000);
    receive(4);
    expect(received()).toEqual([0]);
    await statistics.restart({ ...settings, periodMs: 10_000 });
    await clock.advance(0);
    receive(5);
    await clock.advance(10_000);
    expect(received()).toEqual([0, 7, 5]);
    await statistics[Symbol.asyncDispose]();
  });

  test("off means that nothing is asked and nothing waits", async () => {
    const { clock, stored, statistics } = setUp();
    statistics.start({ ...settings, enable: false });
    await clock.advance(600_000);
    expect(clock.waiting).toBe(0);
    await statistics[Symbol.asyncDispose]();
    expect(stored).toEqual([]);
  });

  test("commands stay closed without their gate; a change says so once, by name", async () => {
    const { clock, stored, statistics, records } = setUp();
    const command = { attributeOnGateway: "CPU", command: "echo 5", timeout: 10 };
    const custom = { ...settings, enable: false };
    statistics.start(custom);
    await statistics.restart({ ...custom, commands: [command] });
    await statistics.restart({ ...custom, commands: [command], customPeriodMs: 5000 });
    await clock.advance(600_000);
    expect(stored).toEqual([]);
    expect(records.map(({ level, fields }) => [level, fields["attributes"]])).toEqual([
      ["warn", "CPU"],
    ]);
    await statistics[Symbol.asyncDispose]();
  });

  test("with the gate, outputs go up together as telemetry of the gateway", async () => {
    const { statistics, telemetry } = setUp();
    statistics.start({
      ...settings,
      enable: false,
      allowCommands: true,
      commands: [
        { attributeOnGateway: "CPU", command: "echo 12.5", timeout: 10 },
        { attributeOnGateway: "Uptime", command: ["echo", " 10:15 up "], timeout: 10 },
      ],
    });
    await until("the outputs", () => telemetry().length > 0);
    const [values] = telemetry();
    expect(Object.keys(values ?? {}).sort()).toEqual(["CPU", "Uptime"]);
    expect(values?.["Uptime"]).toBe("10:15 up");
    await statistics[Symbol.asyncDispose]();
  });
});
