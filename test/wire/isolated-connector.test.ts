import { describe, expect, test } from "bun:test";
import type { Json } from "../../src/sdk/model.ts";
import { TestHost } from "../support/connector-host.ts";
import { IsolatedPlant } from "../support/isolated-plant.ts";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";

/** The members of a connector that only waits. */
const IDLE = `run: untilAborted, async [Symbol.asyncDispose]() {},`;
const { signal } = new AbortController();
const CALL = { deviceName: "D", id: 1, method: "", params: null, timeoutMs: 9500.5 };

describe("a connector in a thread of its own", () => {
  test("sends Float and bigint with the same digits as beside the others", async () => {
    await using one = new TestHost();
    await using _plant = await IsolatedPlant.start(
      one,
      `return {
        async run(signal) {
          await host.uplink.accept({
            deviceName: "D",
            attributes: { big: 2n ** 53n + 1n, list: [new sdk.Float(3)] },
            telemetry: [{ ts: sdk.epochMs(5), values: { level: new sdk.Float(25), no: null, n: 25 } }],
          }, signal, { urgent: true });
          await untilAborted(signal);
        },
        async [Symbol.asyncDispose]() {},
      };`,
    );
    await until("the record", () => one.accepted.length === 1);
    expect(one.texts).toEqual([
      '{"deviceName":"D","telemetry":[{"ts":5,"values":{"level":25.0,"no":null,"n":25}}],"attributes":{"big":9007199254740993,"list":[3.0]}}',
    ]);
  });

  test("has every member of its host", async () => {
    await using one = new TestHost();
    one.answerAttributes = async (deviceName, keys) =>
      await Promise.resolve({ shared: { asked: deviceName, keys: keys.shared ?? [] }, client: {} });
    await using _plant = await IsolatedPlant.start(
      one,
      `return {
        async run(signal) {
          host.setStatus("connected", "as a test");
          await host.devices.connect("D", "Tank");
          const devices = [...host.devices.list()].map(([name, { deviceType }]) => name + " " + deviceType);
          await host.devices.claim("D", { secretKey: "s", durationMs: 5 });
          host.devices.failed("D", "does not answer");
          const { shared } = await host.attributes.request("D", { shared: ["a"] }, signal);
          const own = await host.gateway.telemetry({ load: new sdk.Float(1) }, signal);
          const tried = host.uplink.tryAccept({ deviceName: "D", telemetry: [{ values: { a: 1 } }] });
          host.metrics.count("reads", 2);
          host.metrics.rejected("not-json");
          host.log.info("All", {
            id: host.id, name: host.name, type: host.type, connected: host.platform.connected,
            now: Math.abs(host.clock.now() - Date.now()) < 60000, made: host.dataDir.endsWith("data"),
            devices, shared, own: own.status, tried: tried.status,
          });
          await host.devices.disconnect("D");
          await untilAborted(signal);
        },
        async [Symbol.asyncDispose]() {},
      };`,
    );
    await until("the line", () => one.lines.length > 0);
    await until("the device to go", () => one.devices.size === 0);
    expect(one.lines.find(({ message }) => message === "All")?.fields).toEqual({
      id: one.host.id,
      name: one.host.name,
      type: one.host.type,
      connected: true,
      now: true,
      made: true,
      devices: ["D Tank"],
      shared: { asked: "D", keys: ["a"] },
      own: "stored",
      tried: "queued",
    });
    expect(one.statuses).toEqual([{ status: "connected", detail: "as a test" }]);
    expect(one.failures).toEqual([{ deviceName: "D", error: "does not answer" }]);
    expect(one.texts).toEqual(['{"deviceName":"D","telemetry":[{"values":{"a":1}}]}']);
    expect([one.counters.get("reads"), one.rejections.get("not-json")]).toEqual([2, 1]);
  });

  test("answers calls as it would beside the others", async () => {
    await using one = new TestHost();
    await using plant = await IsolatedPlant.start(
      one,
      `const seen = [];
      return {
        ${IDLE}
        async handleRpc({ deviceName, method, params, timeoutMs }, signal) {
          if (method === "echo") return { deviceName, params, timeoutMs };
          if (method === "nothing") return;
          if (method === "hang") {
            await untilAborted(signal);
            throw new sdk.RpcError("aborted: " + signal.reason.message, 499);
          }
          if (method === "seen") return seen;
          if (method === "rubbish") return () => 1;
          throw new sdk.RpcError("no such method", 404);
        },
        async handleAttributes({ deviceName, values, removed }) { seen.push({ deviceName, values, removed }); },
      };`,
    );
    const { connector } = plant;
    expect(Object.keys(connector)).not.toContain("handleConnectorRpc");
    const rpc = async (method: string, params: Json = null, within = signal): Promise<unknown> =>
      await connector.handleRpc?.({ ...CALL, method, params }, within);
    expect(await rpc("echo", [1, "x", null])).toMatchObject({
      deviceName: "D",
      params: [1, "x", null],
    });
    expect(await rpc("nothing")).toBeUndefined();
    expect(await rejection(rpc("x"))).toMatchObject({ name: "RpcError", code: 404 });
    expect(await rejection(rpc("rubbish"))).toMatchObject({ name: "DataError" });
    await connector.handleAttributes?.(
      { deviceName: "D", values: { a: 1 }, removed: ["b"] },
      signal,
    );
    expect(await rpc("seen")).toEqual([{ deviceName: "D", values: { a: 1 }, removed: ["b"] }]);
    const abort = new AbortController();
    const hanging = rpc("hang", null, abort.signal);
    abort.abort(new Error("too late"));
    expect(await rejection(hanging)).toEqual(new Error("too late"));
  });

  test("says about its devices and calls what others wait for", async () => {
    await using one = new TestHost();
    await using plant = await IsolatedPlant.start(
      one,
      `return {
        ${IDLE}
        sharedAttributeKeys: (deviceName) => [deviceName + "-key"],
        rpcTimeoutMs: ({ method }) => (method === "long" ? 12_000 : undefined),
      };`,
    );
    const { connector } = plant;
    expect(await connector.sharedAttributeKeys?.("D")).toEqual(["D-key"]);
    expect(await connector.rpcTimeoutMs?.({ ...CALL, method: "long" })).toBe(12_000);
    expect(await connector.rpcTimeoutMs?.({ ...CALL, method: "other" })).toBeUndefined();
  });

  test("gets its configuration digit by digit, through its schema", async () => {
    await using one = new TestHost();
    await using _plant = await IsolatedPlant.start(
      one,
      `host.log.info("Config", { text: sdk.encodeJson(config) });
      return { ${IDLE} };`,
      { input: { big: 2n ** 60n, list: [1, "x", null] } },
    );
    await until("the line", () => one.lines.length > 0);
    expect(one.lines[0]?.fields).toEqual({
      text: '{"big":1152921504606846976,"list":[1,"x",null]}',
    });
  });

  test("waits with accept() for as long as the store makes it wait", async () => {
    await using one = new TestHost();
    one.hold = true;
    await using _plant = await IsolatedPlant.start(
      one,
      `return {
        async run(signal) {
          const result = await host.uplink.accept({ deviceName: "D", telemetry: [{ values: { a: 1 } }] }, signal);
          host.log.info("Accepted", result);
          await untilAborted(signal);
        },
        async [Symbol.asyncDispose]() {},
      };`,
    );
    await until("the record", () => one.pending.length === 1);
    expect(one.lines).toEqual([]);
    one.pending[0]?.resolve({ status: "dropped", reason: "store-full" });
    await until("the answer", () => one.lines.length === 1);
    expect(one.lines[0]).toMatchObject({ message: "Accepted", fields: { reason: "store-full" } });
  });
});

describe("the end of a thread", () => {
  test("create() that fails says why, as it was thrown", async () => {
    await using one = new TestHost();
    const failed = IsolatedPlant.start(
      one,
      `throw new sdk.ConfigError("plant.json", [{ path: "a", message: "is wrong" }]);`,
    );
    expect(await failed.catch((error: unknown) => error)).toMatchObject({
      name: "ConfigError",
      issues: [{ path: "a", message: "is wrong" }],
    });
  });

  test.each([
    ["a timer that throws", `setImmediate(() => { throw new Error("bug"); });`, "bug"],
    ["a rejection that nobody handles", `Promise.reject(new Error("bug"));`, "bug"],
    [
      "an end of the thread",
      `setImmediate(() => process.exit(1));`,
      "Its thread has ended by itself",
    ],
    [
      "a message that nobody understands",
      rubbish(),
      "Its thread has sent what cannot be understood",
    ],
    ["a run that throws", `throw new Error("bug");`, "bug"],
  ])("%s ends run() with an error", async (_name, text, message) => {
    await using one = new TestHost();
    await using plant = await IsolatedPlant.start(
      one,
      `return {
        async run(signal) { ${text} await untilAborted(signal); },
        async [Symbol.asyncDispose]() {},
      };`,
    );
    const error = await plant.ended;
    expect(error).toBeInstanceOf(Error);
    expect(String(error)).toContain(message);
  });

  test("a loop that never ends is ended with its thread, and calls to it fail", async () => {
    await using one = new TestHost();
    await using plant = await IsolatedPlant.start(
      one,
      `return {
        ${IDLE}
        async handleRpc() { for (;;) {} },
        rpcTimeoutMs: () => 1,
      };`,
      { limits: { silentMs: 2500, memoryBytes: 2 ** 40 } },
    );
    const { connector } = plant;
    const answer = rejection(Promise.resolve(connector.handleRpc?.(CALL, signal)));
    const timeout = rejection(Promise.resolve(connector.rpcTimeoutMs?.(CALL)));
    expect(String(await timeout)).toContain("does not answer within 1000 ms");
    expect(String(await answer)).toContain("The connector's thread is gone");
    expect(String(await plant.ended)).toContain("it has shown no sign of life for");
  });

  test("a loop that fills the memory is ended before it takes that of all", async () => {
    await using one = new TestHost();
    await using plant = await IsolatedPlant.start(
      one,
      `return {
        async run() { const kept = []; for (;;) kept.push({ n: kept.length, text: "x" + kept.length }); },
        async [Symbol.asyncDispose]() {},
      };`,
      { limits: { silentMs: 60_000, memoryBytes: 64 * 1024 * 1024 } },
    );
    expect(String(await plant.ended)).toContain("has taken more than 67 MB of memory");
  });

  test("a connector that does not stop is ended all the same", async () => {
    await using one = new TestHost();
    const plant = await IsolatedPlant.start(
      one,
      `return {
        run: () => new Promise(() => undefined),
        [Symbol.asyncDispose]: () => new Promise(() => undefined),
      };`,
    );
    await plant.connector[Symbol.asyncDispose]();
    expect(one.lines.map(({ message }) => message)).toEqual([
      "The connector does not stop in time: its thread is ended",
    ]);
    expect(await plant.ended).toBeInstanceOf(Error);
    await plant[Symbol.asyncDispose]();
  });
});

/** As a connector might send itself. */
function rubbish(): string {
  return `(await import("node:worker_threads")).parentPort.postMessage([{ type: "log", fields: 5 }]);`;
}
