import { describe, expect, test } from "bun:test";
import { RejectedError, TransientError } from "../../../src/sdk/errors.ts";
import type { Values } from "../../../src/sdk/model.ts";
import { OwnAttributes } from "../../../src/service/own-attributes.ts";
import { PlatformLink } from "../../../src/service/platform-link.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

const TOPIC = "v1/devices/me/attributes";
const { signal } = new AbortController();

function setUp(publish?: (topic: string, payload: string) => Promise<void>) {
  const clock = new FakeClock();
  const sent: { topic: string; payload: string }[] = [];
  const platform = new PlatformLink();
  const { log, messages } = memoryLog();
  const own = new OwnAttributes({
    clock,
    log,
    platform,
    publisher: {
      publish: async (topic, payload) => {
        sent.push({ topic, payload });
        await publish?.(topic, payload);
      },
    },
  });
  const heard: { values: Values; removed: readonly string[] }[] = [];
  const listen = (keys?: readonly string[] | "all"): Disposable =>
    own.onShared((values, removed) => heard.push({ values, removed }), keys);
  return { clock, sent, platform, own, heard, listen, messages };
}

describe("OwnAttributes", () => {
  test("asks for all at the first connect and for the named ones at each later one", async () => {
    const { own, platform, sent, listen, heard, clock } = setUp();
    listen("all");
    listen(["fw_title", "RemoteLoggingLevel"]);
    platform.update(true);
    await clock.advance(0);
    own.receive(`${TOPIC}/response/1`, '{"client":{"x":1},"shared":{"a":9007199254740993}}');
    await clock.advance(0);
    expect(heard).toEqual([
      { values: { a: 9_007_199_254_740_993n }, removed: [] },
      { values: { a: 9_007_199_254_740_993n }, removed: [] },
    ]);
    platform.update(false);
    platform.update(true);
    await clock.advance(0);
    expect(sent.map(({ payload }) => payload)).toEqual([
      "{}",
      '{"sharedKeys":"fw_title,RemoteLoggingLevel"}',
    ]);
  });

  test("hands on pushed values and deleted names, and survives what it cannot read", () => {
    const { own, listen, heard, messages } = setUp();
    listen();
    own.receive(TOPIC, '{"Modbus":{"name":"Modbus"}}');
    own.receive(TOPIC, '{"deleted":["Modbus"]}');
    own.receive(TOPIC, "not JSON");
    own.receive("v1/gateway/attributes", '{"device":"A","data":{"k":1}}');
    expect(heard).toEqual([
      { values: { Modbus: { name: "Modbus" } }, removed: [] },
      { values: {}, removed: ["Modbus"] },
    ]);
    expect(messages("warn")).toHaveLength(1);
  });

  test("request() gives up after 20 s, and an unanswered one after a connect is repeated", async () => {
    const { own, platform, clock, listen, sent } = setUp();
    const asked = own.request(["a"], signal);
    asked.catch(() => undefined);
    await clock.advance(20_000);
    await expect(asked).rejects.toThrow(TransientError);
    listen(["b"]);
    platform.update(true);
    await clock.advance(30_000);
    expect(sent.filter(({ payload }) => payload.includes('"b"'))).toHaveLength(2);
  });

  test("asks for everything when a name holds the separator", async () => {
    const { own, sent } = setUp();
    own.request(["Pumps, east"], signal).catch(() => undefined);
    await Promise.resolve();
    expect(sent.map(({ payload }) => payload)).toEqual(["{}"]);
    own[Symbol.dispose]();
  });

  test("publish() keeps the latest value of each while the platform is away", async () => {
    const { own, platform, sent, clock } = setUp();
    await own.publish({ a: 1, b: 1 });
    await own.publish({ a: 2 });
    expect(sent).toEqual([]);
    platform.update(true);
    await clock.advance(0);
    expect(sent).toEqual([{ topic: TOPIC, payload: '{"b":1,"a":2}' }]);
    platform.update(false);
    platform.update(true);
    await clock.advance(0);
    expect(sent).toHaveLength(1);
  });

  test("publish() repeats what was not acknowledged, and one refused value costs only itself", async () => {
    let fail: Error | undefined = new TransientError("lost");
    const { own, platform, sent, clock, messages } = setUp((_topic, payload) => {
      const error = fail ?? (payload.includes("bad") ? new RejectedError("no") : undefined);
      return error === undefined ? Promise.resolve() : Promise.reject(error);
    });
    platform.update(true);
    await own.publish({ good: 1, bad: 2 });
    platform.update(false);
    fail = undefined;
    sent.length = 0;
    platform.update(true);
    await clock.advance(0);
    await own.publish({});
    expect(sent.map(({ payload }) => payload)).toEqual([
      '{"good":1,"bad":2}',
      '{"good":1}',
      '{"bad":2}',
    ]);
    expect(messages("error")).toHaveLength(1);
  });

  test("publish() splits what would make a large message", async () => {
    const { own, platform, sent } = setUp();
    platform.update(true);
    await own.publish({ a: "x".repeat(20_000), b: "y".repeat(20_000), c: 1 });
    expect(sent.map(({ payload }) => Object.keys(JSON.parse(payload)))).toEqual([
      ["a"],
      ["b", "c"],
    ]);
  });
});
