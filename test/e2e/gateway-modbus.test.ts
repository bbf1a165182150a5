// The built program between a pymodbus server and the platform: values up, calls and shared attributes down.
import { expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { freePort } from "../support/ports.ts";
import { ReadyProcess } from "../support/ready-process.ts";

test("values, calls and shared attributes of a Modbus device go through the built gateway", async () => {
  const port = await freePort();
  await using _peer = await ReadyProcess.python(
    "modbus-peer.py",
    JSON.stringify({ kind: "tcp", port, units: [1] }),
  );
  await using platform = await ThingsBoardDouble.listen({ clock: systemClock });
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  await using gateway = await GatewayProcess.create({ platformPort: platform.port, brokerPort: 1 });
  const file = join(gateway.dir, "config/tb_gateway.json");
  const main = JSON.parse(await readFile(file, "utf8"));
  main.connectors = [{ type: "modbus", name: "Plant", configuration: "modbus.json" }];
  await writeFile(file, JSON.stringify(main));
  const holding = { functionCode: 3, objectsCount: 1 };
  const slave = {
    deviceName: "Pump",
    deviceType: "pump",
    host: "127.0.0.1",
    port,
    unitId: 1,
    pollPeriod: 100,
    timeout: 2,
    byteOrder: "BIG",
    wordOrder: "BIG",
    timeseries: [
      { tag: "n", type: "16uint", address: 7, ...holding },
      { tag: "flow", type: "32float", address: 200, ...holding, objectsCount: 2, round: 2 },
      { tag: "setpoint", type: "16uint", address: 20, ...holding },
    ],
    attributes: [{ tag: "model", type: "16uint", address: 9, ...holding }],
    attributeUpdates: [{ tag: "setpoint", type: "16uint", functionCode: 6, address: 20 }],
    rpc: [{ tag: "read", type: "16uint", address: 8, ...holding }],
  };
  await writeFile(
    join(gateway.dir, "config/modbus.json"),
    JSON.stringify({ master: { slaves: [slave] } }),
  );
  gateway.start();
  await platform.until(() => platform.latest("Pump", "n")?.text === "1007", 20_000);
  expect(platform.latest("Pump", "flow")?.text).toBe("229.01");
  await platform.until(() => platform.getClient("Pump")["model"] !== undefined, 20_000);
  expect(JSON.parse(await platform.rpc("Pump", "read", null))).toEqual({ result: { value: 1008 } });
  const set = "type=16uint;functionCode=6;objectsCount=1;address=8;value=5;";
  expect(JSON.parse(await platform.rpc("Pump", "set", set))).toEqual({ result: { value: "5" } });
  expect(JSON.parse(await platform.rpc("Pump", "read", null))).toEqual({ result: { value: 5 } });
  platform.setShared("Pump", { setpoint: 42 });
  await platform.until(() => platform.latest("Pump", "setpoint")?.text === "42", 20_000);
  const read = { type: "16uint", functionCode: 3, objectsCount: 1, address: 8, byteOrder: "BIG" };
  expect(JSON.parse(await platform.rpc("gateway", "modbus_get", read))).toEqual([
    { result: 5, device_name: "Pump" },
  ]);
}, 60_000);
