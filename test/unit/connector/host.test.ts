import { describe, expect, test } from "bun:test";
import { createHost, type HostServices } from "../../../src/connector/host.ts";
import type { ConnectorSetup } from "../../../src/connector/supervisor.ts";
import { InvariantError, RejectedError } from "../../../src/sdk/errors.ts";
import { epochMs } from "../../../src/sdk/model.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { rejection } from "../../support/rejection.ts";

const { signal } = new AbortController();
const MESSAGE = { payload: new Uint8Array(), topic: "t", qos: 1, retain: false } as const;

function setUp() {
  const clock = new FakeClock();
  const { log, messages } = memoryLog();
  const counted: (readonly [string, number])[] = [];
  const connected: unknown[] = [];
  const working: string[] = [];
  const listeners = new Set<(connected: boolean) => void>();
  const services: HostServices = {
    clock,
    dataDir: "/nowhere",
    uplinkOf: () => ({
      accept: async () => await Promise.resolve({ status: "stored" }),
      tryAccept: () => ({ status: "queued" }),
    }),
    acceptOwn: async () => await Promise.resolve({ status: "stored" }),
    countRejected: (_id, reason, values) => counted.push([reason, values]),
    count: (_id, name, by) => counted.push([name, by]),
    devices: {
      connect: (deviceName) => connected.push(deviceName),
      disconnect: () => undefined,
      of: () => [],
    },
    deviceFailed: () => undefined,
    attributes: { request: async () => await Promise.resolve({ shared: {}, client: {} }) },
    claim: async () => await Promise.resolve(),
    platform: {
      connected: true,
      onChange: (listener) => {
        listeners.add(listener);
        return { [Symbol.dispose]: () => listeners.delete(listener) };
      },
    },
    logger: () => log,
    working: (connector, converter) =>
      working.push(converter === undefined ? connector : `${connector} ${converter}`),
    onStatus: (_id, status) => connected.push(status),
  };
  const setup = { id: "1", name: "Line 1", type: "mqtt", config: {} } as ConnectorSetup;
  const made = createHost(setup, services);
  return { ...made, clock, messages, counted, connected, working, listeners };
}

describe("createHost()", () => {
  test("tells who is at work: after a wait, at each call, and in which converter", async () => {
    const { host, clock, working } = setUp();
    const slept = host.clock.sleep(10, signal);
    expect(working).toEqual([]);
    await clock.advance(10);
    await slept;
    expect(working.splice(0)).toEqual(["Line 1"]);
    await host.devices.connect("D");
    expect(working.splice(0)).toEqual(["Line 1"]);
    const convert = await host.converters.uplink("CustomMqttUplinkConverter", {
      topicFilter: "t",
      converter: { type: "custom", extension: "CustomMqttUplinkConverter", "extension-config": {} },
    });
    convert({ ...MESSAGE, receivedTs: epochMs(1) });
    expect(working).toEqual(["Line 1 CustomMqttUplinkConverter", "Line 1"]);
  });

  test("takes no device without a usable name, and no state that there is not", async () => {
    const { host, connected } = setUp();
    for (const name of [undefined, 5, "", " ", "x".repeat(256)]) {
      const call = host.devices.connect(name as string);
      expect(await rejection(call)).toBeInstanceOf(RejectedError);
    }
    expect(() => host.setStatus("fine" as "connected")).toThrow(RejectedError);
    expect(connected).toEqual([]);
  });

  test("counts nothing that would spoil the account of all", () => {
    const { host, counted } = setUp();
    host.metrics.count("a", Number.NaN);
    host.metrics.rejected("b", -5);
    host.metrics.rejected("c", 1.5);
    host.metrics.count("x".repeat(1000));
    expect(counted).toEqual([["x".repeat(64), 1]]);
  });

  test("keeps what a listener throws to its connector, and ends it with the instance", () => {
    const made = setUp();
    const { host, listeners, messages } = made;
    host.platform.onChange(() => {
      throw new Error("bug");
    });
    for (const listener of listeners) {
      listener(false);
    }
    expect(messages("error")).toEqual(["A listener of the connector failed"]);
    made.revoke();
    expect(listeners.size).toBe(0);
    expect(() => host.platform.onChange(() => undefined)).toThrow(InvariantError);
    expect(() => host.uplink.tryAccept({ deviceName: "D" })).toThrow(InvariantError);
  });
});
