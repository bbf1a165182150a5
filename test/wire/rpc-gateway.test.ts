// Calls to the gateway's own device, as the platform makes them.
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { RpcError } from "../../src/sdk/errors.ts";
import type { RpcRequest } from "../../src/sdk/model.ts";
import { VERSION } from "../../src/version.ts";
import { GatewayRig, type PlantSpec, plant } from "../support/gateway-rig.ts";
import { until } from "../support/until.ts";

/** A connector that answers calls to it with its name and what it was asked. */
function echo(name: string, type = "modbus", extra: Partial<PlantSpec> = {}) {
  return plant({
    name,
    type,
    handlers: {
      handleConnectorRpc: async ({ method, params }: RpcRequest) => ({ name, method, params }),
    },
    ...extra,
  });
}

async function open(
  connectors: Parameters<typeof GatewayRig.open>[0],
  extra: Parameters<typeof GatewayRig.open>[1] = {},
): Promise<GatewayRig> {
  const rig = await GatewayRig.open(connectors, extra);
  await rig.server.until(() => rig.server.sessions()[0]?.filters.length === 7);
  return rig;
}

describe("a call to a connector", () => {
  test("goes to the only one of its type, without the prefix", async () => {
    await using rig = await open([echo("Line 1")]);
    expect(await rig.call("GW", "modbus_read_all", { a: 1 })).toEqual({
      name: "Line 1",
      method: "read_all",
      params: { a: 1 },
    });
    expect(await rig.call("GW", "MODBUS_get", null)).toMatchObject({ method: "get", params: null });
  });

  test("goes to all of its type and answers with all results, one error among them", async () => {
    await using rig = await open([
      echo("Line 1"),
      echo("Line 2", "modbus", {
        handlers: {
          handleConnectorRpc: async () => {
            throw new RpcError("not here", 404);
          },
        },
      }),
      echo("Other", "opcua"),
    ]);
    expect(await rig.call("GW", "modbus_get", {})).toEqual({
      "Line 1": { name: "Line 1", method: "get", params: {} },
      "Line 2": { error: "not here", code: 404, success: false },
    });
  });

  test("goes to the one that is named, by id, name or either", async () => {
    await using rig = await open([echo("Line 1"), echo("Line 2")]);
    for (const address of [
      { connectorId: "id of Line 2" },
      { connectorName: "Line 2" },
      { connector: "Line 2" },
      { connector: "id of Line 2" },
    ]) {
      expect(await rig.call("GW", "modbus_get", address)).toEqual({
        name: "Line 2",
        method: "get",
        params: address,
      });
    }
    expect(await rig.call("GW", "modbus_get", { connectorName: "Line 3" })).toEqual({
      error: 'There is no connector "Line 3" of type modbus',
      code: 404,
    });
  });

  test("that takes none, fails or returns nothing is answered", async () => {
    await using rig = await open([
      plant({ name: "Deaf", type: "ble" }),
      echo("Broken", "opcua", {
        handlers: {
          handleConnectorRpc: async ({ method }) => {
            if (method === "break") {
              throw new Error('he said "no"');
            }
            return method === "null" ? null : undefined;
          },
        },
      }),
    ]);
    expect(await rig.call("GW", "ble_scan", {})).toMatchObject({ code: 405 });
    expect(await rig.call("GW", "opcua_break", {})).toEqual({
      error: 'he said "no"',
      code: 500,
      success: false,
    });
    expect(await rig.call("GW", "opcua_null", {})).toBeNull();
    expect(await rig.call("GW", "opcua_nothing", {})).toEqual({ success: true });
  });
});

describe("a call to the gateway", () => {
  test("ping, version, update, devices and stats", async () => {
    await using rig = await open([
      echo("My Modbus", "modbus", {
        devices: ["Pump 1", "Pump 2"],
        created: (host) => {
          host.metrics.count("connectorMsgsReceived", 5);
        },
      }),
    ]);
    await rig.announced("Pump 1", "Pump 2");
    for (const params of [null, {}, "{}", 5, [1]]) {
      expect(await rig.call("GW", "gateway_ping", params)).toEqual({ code: 200, resp: "pong" });
    }
    expect(await rig.call("GW", "gateway_version", null)).toEqual({
      code: 200,
      resp: { current_version: VERSION, latest_version: VERSION },
    });
    expect(await rig.call("GW", "gateway_update", null)).toEqual({
      code: 200,
      resp: "Congratulations! You have the latest version.",
    });
    expect(await rig.call("GW", "gateway_devices", null)).toEqual({
      code: 200,
      resp: { "Pump 1": "My Modbus", "Pump 2": "My Modbus" },
    });
    expect(await rig.call("GW", "gateway_stats", {})).toEqual({
      eventsProduced: 5,
      eventsSent: 0,
      MyModbusEventsProduced: 5,
      MyModbusEventsSent: 0,
    });
  });

  test("that nobody knows is answered", async () => {
    await using rig = await open([echo("Line 1")]);
    expect(await rig.call("GW", "gateway_dance", {})).toEqual({
      error: "Method not found",
      code: 404,
    });
    expect(await rig.call("GW", "opcua_get", {})).toEqual({
      error: "opcua - connector not found in available connectors.",
      code: 404,
    });
    expect(await rig.call("GW", "reboot", {})).toEqual({
      error: "reboot - connector not found in available connectors.",
      code: 404,
    });
    expect(await rig.call("GW", "", {})).toMatchObject({ code: 400 });
  });

  test("restart: the answer first, then the restart after the delay", async () => {
    let restarts = 0;
    await using rig = await open([], {
      options: {
        onRestart: () => {
          restarts += 1;
        },
      },
    });
    const begin = performance.now();
    expect(await rig.call("GW", "gateway_restart", "1")).toEqual({ success: true });
    expect(restarts).toBe(0);
    await until("restart", () => restarts === 1);
    expect(performance.now() - begin).toBeGreaterThan(900);
    await using alone = await open([]);
    expect(await alone.call("GW", "gateway_restart", null)).toMatchObject({ code: 501 });
  });

  test("reboot is not allowed unless the machine's own configuration says so", async () => {
    await using rig = await open([]);
    expect(await rig.call("GW", "gateway_reboot", 5)).toEqual({
      error: "reboot is not allowed on this gateway (tbgw.allowReboot)",
      code: 403,
    });
  });

  test("remove_provisioned_credentials removes them once", async () => {
    await using rig = await open([]);
    const path = join(rig.dataDir, ".credentials");
    await writeFile(path, "{}");
    expect(await rig.call("GW", "gateway_remove_provisioned_credentials", null)).toMatchObject({
      code: 200,
    });
    expect(existsSync(path)).toBe(false);
    expect(await rig.call("GW", "gateway_remove_provisioned_credentials", null)).toMatchObject({
      code: 404,
    });
  });

  test("device_renamed and device_deleted are answered, and refused without a name", async () => {
    await using rig = await open([echo("Line 1", "modbus", { devices: ["Pump 1"] })]);
    await rig.announced("Pump 1");
    const done = { success: true };
    expect(await rig.call("GW", "gateway_device_renamed", { Nobody: "Somebody" })).toEqual(done);
    expect(await rig.call("GW", "gateway_device_deleted", "Nobody")).toEqual(done);
    for (const [method, params] of [
      ["gateway_device_renamed", {}],
      ["gateway_device_renamed", "Pump 1"],
      ["gateway_device_renamed", { "Pump 1": 7 }],
      ["gateway_device_deleted", null],
      ["gateway_device_deleted", ""],
    ] as const) {
      expect(await rig.call("GW", method, params)).toMatchObject({ code: 400 });
    }
  });

  test("repeated after a reconnect is executed once", async () => {
    let executions = 0;
    const gate = Promise.withResolvers<void>();
    await using rig = await open([
      echo("Line 1", "modbus", {
        handlers: {
          handleConnectorRpc: async () => {
            executions += 1;
            await gate.promise;
            return executions;
          },
        },
      }),
    ]);
    const answer = rig.call("GW", "modbus_write", {});
    await until("delivered", () => rig.gateway.rpc.deliveries === 1);
    rig.server.kick("GW", 0x8b);
    await until("delivered again", () => rig.gateway.rpc.deliveries === 2);
    gate.resolve();
    expect(await answer).toBe(1);
  });
});
