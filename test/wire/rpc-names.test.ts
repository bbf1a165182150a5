// Calls and attributes of devices that have another name on the platform, and over a delivery thread that fails.
import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeliveryClient } from "../../src/delivery/client.ts";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { startThread } from "../../src/platform/thread.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import type { AttributeUpdate } from "../../src/sdk/model.ts";
import { ConnectorDirectory } from "../../src/service/connector-directory.ts";
import { Downlinks } from "../../src/service/downlinks.ts";
import { PlatformLink } from "../../src/service/platform-link.ts";
import { Rpc } from "../../src/service/rpc.ts";
import { GatewayRig, plant } from "../support/gateway-rig.ts";
import { memoryLog } from "../support/memory-log.ts";
import { until } from "../support/until.ts";
import { plainSettings } from "../support/uplink-rig.ts";

describe("a device that was renamed on the platform", () => {
  test("is called and gets its attributes by its local name, and replies under its new one", async () => {
    const updates: AttributeUpdate[] = [];
    const called: (string | undefined)[] = [];
    const gate = Promise.withResolvers<void>();
    await using rig = await GatewayRig.open([
      plant({
        devices: ["Pump 1"],
        handlers: {
          handleRpc: async ({ deviceName, method }) => {
            called.push(deviceName);
            if (method === "slow") {
              await gate.promise;
            }
            return "done";
          },
          handleAttributes: async (update) => {
            updates.push(update);
          },
          sharedAttributeKeys: () => ["a", "b"],
        },
      }),
    ]);
    await rig.announced("Pump 1");
    const replies: string[] = [];
    rig.server.onPublish(({ topic, text }) => {
      if (topic === "v1/gateway/rpc") {
        replies.push(text);
      }
    });
    const slow = rig.call("Pump 1", "slow", {});
    await until("at work", () => called.length === 1);
    rig.server.renameDevice("Pump 1", "Hall pump");
    await rig.announced("Hall pump");
    gate.resolve();
    expect(await slow).toBe("done");
    expect(await rig.call("Hall pump", "quick", {})).toBe("done");
    expect(new Set(called)).toEqual(new Set(["Pump 1"]));
    expect(new Set(replies.map((text) => JSON.parse(text).device))).toEqual(new Set(["Hall pump"]));
    rig.server.setShared("Hall pump", { a: 1 });
    await until("pushed", () => updates.length === 1);
    rig.server.kick("GW", 0x8b);
    await until("reconnected", () => (rig.server.sessions()[0]?.connection ?? 0) > 1);
    await rig.announced("Hall pump");
    rig.server.setShared("Hall pump", { b: 2 });
    await until("pushed again", () => updates.length === 2);
    expect(updates.map(({ deviceName }) => deviceName)).toEqual(["Pump 1", "Pump 1"]);
    expect(rig.server.devices()).toEqual(["GW", "Hall pump"]);
  });
});

describe("a call while the delivery thread fails", () => {
  test("is executed once and answered over the next thread", async () => {
    await using stack = new AsyncDisposableStack();
    const server = stack.use(await ThingsBoardDouble.listen({ clock: systemClock }));
    server.createGateway("GW", "gw-token");
    const dataDir = await mkdtemp(join(tmpdir(), "tbgw-rpc-"));
    stack.defer(() => rm(dataDir, { recursive: true, force: true }));
    const { log } = memoryLog();
    const platform = new PlatformLink();
    const downlinks = new Downlinks(log);
    const threads: Worker[] = [];
    const client = stack.use(
      await DeliveryClient.open(
        {
          dataDir,
          storage: {
            kind: "memory",
            maxRecords: 100,
            maxBytes: undefined,
            ttlMs: 0,
            whenFull: "drop-oldest",
            durability: "durable",
            commitIntervalMs: 20,
            drain: "fifo",
          },
          session: plainSettings(server.port),
          logLevel: "none",
        },
        {
          clock: systemClock,
          sink: () => undefined,
          onReport: ({ link }) => platform.update(link.state === "connected"),
          onDownlink: (topic, payload) => downlinks.receive(topic, payload),
          startThread: (path) => {
            const thread = startThread(path);
            threads.push(thread);
            return thread;
          },
        },
      ),
    );
    const directory = new ConnectorDirectory();
    const gate = Promise.withResolvers<void>();
    let executions = 0;
    directory.add({
      id: "1",
      name: "Plant",
      type: "plant",
      connector: {
        run: () => Promise.resolve(),
        handleRpc: async () => {
          executions += 1;
          await gate.promise;
          return executions;
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      },
    });
    const rpc = stack.use(
      new Rpc({
        clock: systemClock,
        log,
        publisher: client,
        platform,
        downlinks,
        directory,
        devices: {
          localName: (name) => name,
          platformName: (name) => name,
          get: () => ({ connectorId: "1", connected: true }),
          onConnected: () => ({ [Symbol.dispose]: () => undefined }),
        },
        keepDevices: () => Promise.resolve(),
        count: () => undefined,
        configured: () => [],
        methods: new Map(),
      }),
    );
    client.device({
      deviceName: "Pump 1",
      deviceType: "pump",
      platformName: "Pump 1",
      connected: true,
    });
    const isOpen = (): boolean =>
      server.sessions().some(({ children }) => children.includes("Pump 1"));
    await server.until(isOpen, 10_000);
    const answer = server.rpc("Pump 1", "start", {});
    await until("delivered", () => rpc.counts.deliveries === 1);
    threads[0]?.terminate();
    await until("delivered again", () => rpc.counts.deliveries === 2);
    gate.resolve();
    expect(await answer).toBe("1");
    expect([client.restarts, executions]).toEqual([1, 1]);
  });
});
