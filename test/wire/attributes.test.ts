// Shared attributes between the platform and connectors, and claims.
import { describe, expect, test } from "bun:test";
import type { ConnectorHost } from "../../src/sdk/connector.ts";
import type { AttributeUpdate, Json } from "../../src/sdk/model.ts";
import { GatewayRig, type PlantSpec, plant } from "../support/gateway-rig.ts";
import { until } from "../support/until.ts";

const never = new AbortController().signal;

/** A connector that keeps the updates it gets. */
function keeper(spec: PlantSpec): {
  readonly updates: AttributeUpdate[];
  readonly setup: ReturnType<typeof plant>;
} {
  const updates: AttributeUpdate[] = [];
  const setup = plant({
    ...spec,
    handlers: {
      handleAttributes: async (update) => {
        updates.push(update);
      },
      ...spec.handlers,
    },
  });
  return { updates, setup };
}

/** The requests for shared attributes by name, as the platform sees them. */
function watchRequests(rig: GatewayRig): string[] {
  const requests: string[] = [];
  rig.server.onPublish(({ topic, text }) => {
    if (topic === "v1/gateway/attributes/request") {
      requests.push(text);
    }
  });
  return requests;
}

describe("a change of a shared attribute", () => {
  test("reaches the connector of the device, with exact values, and a deletion as one", async () => {
    const { setup, updates } = keeper({ devices: ["Pump 1"] });
    await using rig = await GatewayRig.open([setup]);
    await rig.announced("Pump 1");
    rig.server.setShared("Pump 1", '{"limit":9007199254740993,"deleted":["is a value"],"x":1}');
    await until("an update", () => updates.length === 1);
    rig.server.deleteShared("Pump 1", ["limit"]);
    await until("a deletion", () => updates.length === 2);
    const [deviceName, removed] = ["Pump 1", ["limit"]];
    expect(updates).toEqual([
      {
        deviceName,
        values: { limit: 9_007_199_254_740_993n, deleted: ["is a value"], x: 1 },
        removed: [],
      },
      { deviceName, values: {}, removed },
    ]);
  });

  test("waits for a slow device and merges, while another device gets its own", async () => {
    const gate = Promise.withResolvers<void>();
    const updates: AttributeUpdate[] = [];
    const { setup } = keeper({
      devices: ["Slow", "Fast"],
      handlers: {
        handleAttributes: async (update) => {
          updates.push(update);
          if (update.deviceName === "Slow" && updates.length === 1) {
            await gate.promise;
          }
        },
      },
    });
    await using rig = await GatewayRig.open([setup]);
    await rig.announced("Slow", "Fast");
    rig.server.setShared("Slow", { first: 1 });
    await until("the first", () => updates.length === 1);
    rig.server.setShared("Slow", { a: 1, b: 1, gone: 1 });
    rig.server.setShared("Slow", { a: 2 });
    rig.server.deleteShared("Slow", ["gone"]);
    rig.server.setShared("Fast", { a: 1 });
    await until("the other device", () => updates.length === 2);
    gate.resolve();
    await until("the rest", () => updates.length === 3);
    expect(updates[1]?.deviceName).toBe("Fast");
    expect(updates[2]).toEqual({
      deviceName: "Slow",
      values: { a: 2, b: 1 },
      removed: ["gone"],
    });
  });

  test("that a connector cannot take is logged and counted, and costs the next one nothing", async () => {
    const updates: AttributeUpdate[] = [];
    const { setup } = keeper({
      devices: ["Pump 1"],
      handlers: {
        handleAttributes: async (update) => {
          if (updates.push(update) === 1) {
            throw new Error("valve stuck");
          }
        },
      },
    });
    await using rig = await GatewayRig.open([setup]);
    await rig.announced("Pump 1");
    rig.server.setShared("Pump 1", { position: 1 });
    const line = await rig.logged("A connector could not take shared attributes");
    expect(line.fields).toMatchObject({
      connector: "Plant",
      device: "Pump 1",
      keys: "position",
      error: "valve stuck",
    });
    rig.server.setShared("Pump 1", { position: 2 });
    await until("the next", () => updates.length === 2);
    const { connectors } = await rig.gateway.status();
    expect(connectors[0]?.counters).toMatchObject({ attributeErrors: 1 });
  });
});

describe("the sync of shared attributes", () => {
  test("brings what the platform has when a device comes, and only the difference after a reconnect", async () => {
    const { setup, updates } = keeper({
      devices: ["Pump 1"],
      handlers: { sharedAttributeKeys: () => ["a", "b", "c"] },
    });
    await using rig = await GatewayRig.open([setup]);
    await rig.announced("Pump 1");
    // The first sync of a device that is new to the platform finds nothing; from here on it is known there.
    rig.server.setShared("Pump 1", { a: 1, b: 1, other: 1 });
    await until("pushed", () => updates.length === 1);
    rig.server.faults.refuseTcp = true;
    rig.server.kick("GW", 0x8b);
    await rig.disconnected();
    rig.server.setShared("Pump 1", { a: 1, b: 2, c: 3 });
    rig.server.faults.refuseTcp = false;
    await until("the difference", () => updates.length === 2);
    expect(updates[1]).toEqual({ deviceName: "Pump 1", values: { b: 2, c: 3 }, removed: [] });
    rig.server.faults.refuseTcp = true;
    rig.server.kick("GW", 0x8b);
    await rig.disconnected();
    rig.server.deleteShared("Pump 1", ["a"]);
    rig.server.faults.refuseTcp = false;
    await until("the deletion", () => updates.length === 3);
    expect(updates[2]).toEqual({ deviceName: "Pump 1", values: {}, removed: ["a"] });
  }, 20_000);

  test("nothing is handed on after a reconnect when nothing has changed", async () => {
    const { setup, updates } = keeper({
      devices: ["Pump 1"],
      handlers: { sharedAttributeKeys: () => ["a"] },
    });
    await using rig = await GatewayRig.open([setup]);
    await rig.announced("Pump 1");
    rig.server.setShared("Pump 1", { a: 1 });
    await until("pushed", () => updates.length === 1);
    const requests = watchRequests(rig);
    rig.server.kick("GW", 0x8b);
    await until("asked", () => requests.length === 1);
    // Whatever the answer brought comes before the next change.
    rig.server.setShared("Pump 1", { a: 2 });
    await until("the next change", () => updates.length > 1);
    expect(updates.slice(1)).toEqual([{ deviceName: "Pump 1", values: { a: 2 }, removed: [] }]);
  });

  test("with * brings shared attributes only, whatever else the device has, and finds deletions", async () => {
    const { setup, updates } = keeper({
      devices: ["Pump 1"],
      handlers: { sharedAttributeKeys: () => "*" },
      created: (host) => {
        host.uplink
          .accept({ deviceName: "Pump 1", attributes: { serial: "77", model: "x" } }, never)
          .catch(() => undefined);
      },
    });
    await using rig = await GatewayRig.open([setup]);
    await rig.announced("Pump 1");
    await rig.server.until(() => "model" in rig.server.getClient("Pump 1"));
    rig.server.setShared("Pump 1", { a: 1, b: 1 });
    await until("pushed", () => updates.length === 1);
    rig.server.faults.refuseTcp = true;
    rig.server.kick("GW", 0x8b);
    await rig.disconnected();
    rig.server.setShared("Pump 1", { b: 2, c: 3 });
    rig.server.deleteShared("Pump 1", ["a"]);
    rig.server.faults.refuseTcp = false;
    await until("the difference", () => updates.length === 2);
    expect(updates[1]).toEqual({ deviceName: "Pump 1", values: { b: 2, c: 3 }, removed: ["a"] });
  });

  test("a device is never created by the question: its own profile is what the platform gives it", async () => {
    const devices = Array.from({ length: 50 }, (_, index) => `Pump ${index}`);
    const { setup } = keeper({ devices, handlers: { sharedAttributeKeys: () => ["a"] } });
    await using rig = await GatewayRig.open([setup]);
    const requests = watchRequests(rig);
    await rig.announced(...devices);
    await until("all were asked about", () => requests.length >= 50);
    expect(new Set(devices.map((name) => rig.server.device(name)?.profile))).toEqual(
      new Set(["machine"]),
    );
  });

  test("of 1,000 devices asks about four at a time", async () => {
    const devices = Array.from({ length: 1000 }, (_, index) => `D${index}`);
    const values = new Map<string, Json>();
    const { setup } = keeper({
      devices,
      handlers: {
        sharedAttributeKeys: () => ["a", "b"],
        handleAttributes: async ({ deviceName, values: given }) => {
          values.set(deviceName, given["a"] ?? null);
        },
      },
    });
    await using rig = await GatewayRig.open([setup]);
    await rig.announced(...devices);
    rig.server.faults.refuseTcp = true;
    rig.server.kick("GW", 0x8b);
    await rig.disconnected();
    for (const [index, device] of devices.entries()) {
      rig.server.setShared(device, { a: index });
    }
    let [asked, most] = [0, 0];
    rig.server.onPublish(({ topic }) => {
      if (topic === "v1/gateway/attributes/request") {
        asked += 1;
        most = Math.max(most, asked - values.size);
      }
    });
    rig.server.faults.refuseTcp = false;
    await until("all have their value", () => values.size === 1000, 30_000);
    expect([values.get("D0"), values.get("D999")]).toEqual([0, 999]);
    // Those whose answer is on its way, and those whose connector is about to be called.
    expect(most).toBeLessThanOrEqual(40);
  }, 60_000);

  test("asks again for a connector that was replaced, and gives it everything", async () => {
    const updates: AttributeUpdate[] = [];
    let fail: (error: Error) => void = () => undefined;
    const setup = plant({
      devices: ["Pump 1"],
      handlers: {
        sharedAttributeKeys: () => ["a"],
        handleAttributes: async (update) => {
          updates.push(update);
        },
      },
      untilFailed: (reject) => {
        fail = reject;
      },
    });
    await using rig = await GatewayRig.open([setup]);
    await rig.announced("Pump 1");
    rig.server.setShared("Pump 1", { a: 1 });
    await until("pushed", () => updates.length === 1);
    fail(new Error("the line is gone"));
    await until("given again", () => updates.length === 2);
    expect(updates[1]).toEqual(updates[0]);
  });
});

describe("questions and claims of a connector", () => {
  test("go out under the device's name when the device is announced", async () => {
    let host: ConnectorHost | undefined;
    await using rig = await GatewayRig.open([
      plant({
        devices: ["Pump 1"],
        created: (made) => {
          host = made;
        },
      }),
    ]);
    await until("created", () => host !== undefined);
    await host?.devices.claim("Pump 1", { secretKey: "s", durationMs: 60_000 });
    await rig.announced("Pump 1");
    rig.server.setShared("Pump 1", { a: 1, b: 2 });
    const found = await host?.attributes.request("Pump 1", { shared: ["a", "b", "c"] }, never);
    expect(found).toEqual({ shared: { a: 1, b: 2 }, client: {} });
    await rig.server.until(() => (rig.server.device("Pump 1")?.claims.length ?? 0) === 1);
    expect(rig.server.device("Pump 1")?.claims[0]?.secretKey).toBe("s");
  });
});
