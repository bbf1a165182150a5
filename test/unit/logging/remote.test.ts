import { describe, expect, test } from "bun:test";
import { RemoteLogs, type RemoteLogsOptions } from "../../../src/logging/remote.ts";
import { RejectedError } from "../../../src/sdk/errors.ts";
import type { LogRecord } from "../../../src/sdk/logger.ts";
import { unsentError } from "../../../src/sdk/unsent.ts";
import { PlatformLink } from "../../../src/service/platform-link.ts";
import { FakeClock } from "../../support/fake-clock.ts";

type Entry = { readonly ts: number; readonly values: Readonly<Record<string, string>> };

function rig(options: Partial<RemoteLogsOptions> = {}) {
  const clock = new FakeClock();
  const platform = new PlatformLink();
  platform.update(true);
  const payloads: string[] = [];
  const state = { failWith: undefined as Error | undefined, tookMs: 0 };
  const dropped: number[] = [];
  const remote = new RemoteLogs({
    clock,
    platform,
    publisher: {
      publish: async (topic, payload) => {
        expect(topic).toBe("v1/devices/me/telemetry");
        await clock.sleep(state.tookMs, new AbortController().signal);
        if (state.failWith !== undefined) {
          throw state.failWith;
        }
        payloads.push(payload);
      },
    },
    payloadLimit: () => 65_000,
    isShipped: ({ level }) => level !== "debug",
    onDropped: (count) => dropped.push(count),
    ...options,
  });
  const entries = (): Entry[] => payloads.flatMap((payload) => JSON.parse(payload) as Entry[]);
  return { remote, clock, platform, payloads, state, dropped, entries };
}

let ts = 1000;
function line(message: string, more: Partial<LogRecord> = {}): LogRecord {
  ts += 1;
  return { ts, level: "info", source: "service", message, fields: {}, ...more };
}

describe("RemoteLogs", () => {
  test("sends lines under the keys of their logger, with the time they were said", async () => {
    const { remote, clock, entries } = rig();
    const first = line("one");
    remote.offer(first);
    remote.offer(line("two", { source: "tb_connection" }));
    remote.offer(line("three", { source: "storage" }));
    remote.offer(line("four", { channel: "extension", source: "Loader" }));
    remote.offer(line("five", { channel: "connector", source: "My Bus", connectorType: "modbus" }));
    remote.offer(line("six", { channel: "converter", source: "My Bus", connectorType: "modbus" }));
    remote.offer(line("not for the platform", { level: "debug" }));
    await clock.advance(250);
    expect(entries().map(({ values }) => Object.keys(values))).toEqual([
      ["SERVICE_LOGS", "LOGS"],
      ["CONNECTION_LOGS", "LOGS"],
      ["STORAGE_LOGS", "LOGS"],
      ["EXTENSION_LOGS", "EXTENSIONS_LOGS", "LOGS"],
      ["My Bus_LOGS"],
      ["My Bus_converter_LOGS"],
    ]);
    expect(entries()[0]?.ts).toBe(first.ts);
    expect(entries()[0]?.values["LOGS"]).toMatch(/\|INFO\|<main> \[service\] .* - one$/);
    expect(entries()[4]?.values["My Bus_LOGS"]).toContain("[modbus_connector.py]");
    expect(entries()[5]?.values["My Bus_converter_LOGS"]).toContain("[modbus_converter.py]");
  });

  test("lines of one millisecond keep times of their own: the platform keeps one line a time", async () => {
    const { remote, clock, entries } = rig();
    for (const message of ["a", "b", "c"]) {
      remote.offer(line(message, { ts: 5000 }));
    }
    await clock.advance(250);
    expect(entries().map((entry) => entry.ts)).toEqual([5000, 5001, 5002]);
  });

  test("at most 20 lines at a time, and one publish at a time", async () => {
    const { remote, clock, payloads } = rig();
    for (let count = 0; count < 50; count += 1) {
      remote.offer(line(`line ${count}`));
    }
    await clock.advance(250);
    expect(payloads.map((payload) => (JSON.parse(payload) as Entry[]).length)).toEqual([20]);
    await clock.advance(500);
    expect(payloads.map((payload) => (JSON.parse(payload) as Entry[]).length)).toEqual([
      20, 20, 10,
    ]);
    expect(clock.waiting).toBe(0);
    expect(remote.counts).toEqual({ shipped: 50, dropped: 0, cut: 0, waiting: 0 });
  });

  test("a slow platform gets fewer: the pause is ten times what it took", async () => {
    const { remote, clock, payloads, state } = rig();
    state.tookMs = 1000;
    for (let count = 0; count < 60; count += 1) {
      remote.offer(line(`line ${count}`));
    }
    await clock.advance(1250);
    expect(payloads).toHaveLength(1);
    await clock.advance(9999);
    expect(payloads).toHaveLength(1);
    await clock.advance(1002);
    expect(payloads).toHaveLength(2);
  });

  test("more than waits at most is dropped, the oldest first, and counted here and there", async () => {
    const { remote, clock, entries, dropped, platform } = rig();
    platform.update(false);
    for (let count = 0; count < 1300; count += 1) {
      remote.offer(line(`line ${count}`));
    }
    await clock.advance(60_000);
    expect(entries()).toEqual([]);
    expect(clock.waiting).toBe(0);
    expect(remote.counts).toEqual({ shipped: 0, dropped: 300, cut: 0, waiting: 1000 });
    expect(dropped).toEqual([1]);
    platform.update(true);
    await clock.advance(60_000);
    expect(entries()).toHaveLength(1001);
    expect(entries()[0]?.values["LOGS"]).toContain("Log lines were left out");
    expect(entries()[0]?.values["LOGS"]).toEndWith("lines=300");
    expect(entries()[1]?.values["LOGS"]).toEndWith("line 300");
    expect(remote.counts.shipped).toBe(1000);
  });

  test("no payload is larger than the platform takes: a long line is cut", async () => {
    const limit = 1000;
    const { remote, clock, payloads, entries } = rig({ payloadLimit: () => limit });
    remote.offer(line(`umlauts ${"ü".repeat(5000)}`));
    remote.offer(line(`quotes ${'"'.repeat(5000)}`));
    remote.offer(line(`pairs ${"😀".repeat(3000)}`));
    remote.offer(line("short"));
    await clock.advance(5000);
    expect(
      payloads.map((payload) => Buffer.byteLength(payload)).filter((size) => size > limit),
    ).toEqual([]);
    const texts = entries().map(({ values }) => values["LOGS"] ?? "");
    expect(texts).toHaveLength(4);
    expect(texts.slice(0, 3).every((text) => text.endsWith("… (cut)"))).toBe(true);
    expect(texts.every((text) => text.isWellFormed())).toBe(true);
    expect(texts[0]).toContain("umlauts üü");
    expect(remote.counts.cut).toBe(3);
  });

  test("what was not sent is sent later, in fewer lines at a time, and less and less often", async () => {
    const { remote, clock, payloads, state, entries } = rig();
    state.failWith = unsentError("the limits are needed for data");
    for (let count = 0; count < 20; count += 1) {
      remote.offer(line(`line ${count}`));
    }
    await clock.advance(8000);
    state.failWith = undefined;
    expect(remote.counts).toEqual({ shipped: 0, dropped: 0, cut: 0, waiting: 20 });
    await clock.advance(20_000);
    expect((JSON.parse(payloads[0] ?? "") as Entry[]).length).toBeLessThan(5);
    expect(entries().map(({ values }) => values["LOGS"]?.replace(/.* line /, ""))).toEqual(
      Array.from({ length: 20 }, (_, index) => String(index)),
    );
  });

  test("what the platform refuses is dropped, and the next lines go", async () => {
    const { remote, clock, state, entries } = rig();
    state.failWith = new RejectedError("refused");
    remote.offer(line("bad"));
    await clock.advance(250);
    state.failWith = undefined;
    remote.offer(line("good"));
    await clock.advance(20_000);
    expect(remote.counts).toEqual({ shipped: 1, dropped: 1, cut: 0, waiting: 0 });
    expect(entries().at(-1)?.values["LOGS"]).toEndWith("good");
  });

  test("nothing is timed while there is nothing to send, and nothing after the end", async () => {
    const { remote, clock, payloads } = rig();
    expect(clock.waiting).toBe(0);
    remote.notice("Logging loading exception, logs.json is wrong: the file is missing");
    await clock.advance(250);
    expect(JSON.parse(payloads[0] ?? "")).toEqual([
      {
        ts: expect.any(Number),
        values: { LOGS: "Logging loading exception, logs.json is wrong: the file is missing" },
      },
    ]);
    remote.offer(line("waits"));
    remote[Symbol.dispose]();
    remote.offer(line("late"));
    await clock.advance(10_000);
    expect(payloads).toHaveLength(1);
    expect(clock.waiting).toBe(0);
  });
});
