// Every expression, type of value, call and answer of the OPC UA connector through the built program, with one server for all; and the program's own looks at it.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import type { Json } from "../../src/sdk/model.ts";
import { BINARY, GatewayProcess } from "../support/gateway-process.ts";
import { configureConnectors } from "../support/opcua-gateway.ts";
import {
  BOILER1,
  CALLS,
  CURRENT_TIME,
  EXPRESSIONS,
  METHODS,
  NAMES,
  PATTERNS,
} from "../support/opcua-rows.ts";
import { PlantServer } from "../support/opcua-server.ts";
import {
  addTypes,
  TYPED,
  TYPES_CALLS,
  TYPES_DEVICE,
  TYPES_METHODS,
  TYPES_PATTERN,
} from "../support/opcua-types.ts";

const WAIT_MS = 30_000;

let owned: AsyncDisposableStack;
let server: PlantServer;
let platform: ThingsBoardDouble;
let gateway: GatewayProcess;

/** Every row as a device of its own, or a key of one. */
function mappings(): readonly Json[] {
  const serial = { key: "serial", value: "${SerialNumber}" };
  return [
    {
      deviceNodePattern: "Root\\.Objects\\.Boiler\\d+",
      deviceInfo: { deviceNameExpression: "Boiler ${SerialNumber}" },
      timeseries: [
        { key: "t", value: "${2:Temperature}" },
        { key: "now", value: CURRENT_TIME },
        ...EXPRESSIONS.map(([value], index) => ({ key: `k${index}`, value })),
      ],
      attributes_updates: [{ key: "setpoint", value: "${Temperature}" }],
      rpc_methods: METHODS,
    },
    {
      deviceNodePattern: TYPES_PATTERN,
      deviceInfo: { deviceNameExpression: TYPES_DEVICE },
      timeseries: Object.keys(TYPED).map((key) => ({ key: `sent ${key}`, value: `\${${key}}` })),
      rpc_methods: TYPES_METHODS,
    },
    ...PATTERNS.map(([deviceNodePattern], index) => ({
      deviceNodePattern,
      deviceInfo: { deviceNameExpression: `P${index} \${SerialNumber}` },
      attributes: [serial],
    })),
    ...NAMES.map(([expression], index) => ({
      deviceNodePattern: "Root\\.Objects\\.Boiler1",
      deviceInfo: { deviceNameExpression: `N${index} ${expression}` },
      attributes: [serial],
    })),
  ];
}

/** What a command of the program prints, with the code it ends with. */
async function run(...args: readonly string[]): Promise<readonly [number, string]> {
  const child = Bun.spawn([BINARY, ...args], { stdout: "pipe", stderr: "pipe", env: {} });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return [await child.exited, out + err];
}

beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  server = stack.use(await PlantServer.start());
  addTypes(server);
  platform = stack.use(await ThingsBoardDouble.listen({ clock: systemClock }));
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  gateway = stack.use(await GatewayProcess.create({ platformPort: platform.port, brokerPort: 1 }));
  const file = { server: { url: server.url, timeoutInMillis: 10_000 }, mapping: mappings() };
  await configureConnectors(gateway, { Plant: file });
  gateway.start();
  await platform.until(() => platform.latest(TYPES_DEVICE, "sent Matrix") !== undefined, WAIT_MS);
  await platform.until(() => platform.devices().includes(`N${NAMES.length - 1} plain`), WAIT_MS);
  owned = stack.move();
}, 60_000);
afterAll(async () => {
  await owned.disposeAsync();
});

test.each(EXPRESSIONS)("the value %s", async (expression, expected) => {
  const key = `k${EXPRESSIONS.findIndex(([one]) => one === expression)}`;
  if (expected !== undefined) {
    await platform.until(() => platform.latest(BOILER1, key) !== undefined, WAIT_MS);
  }
  expect(platform.latest(BOILER1, key)?.text).toBe(expected);
});

test("the time of the server", async () => {
  await platform.until(() => platform.latest(BOILER1, "now") !== undefined, WAIT_MS);
  expect(platform.latest(BOILER1, "now")?.text).toMatch(/^"\d{4}-\d{2}-\d{2}T/);
});

test.each(Object.entries(TYPED))("the type %s", async (name, { sent }) => {
  const key = `sent ${name}`;
  if (sent !== undefined) {
    await platform.until(() => platform.latest(TYPES_DEVICE, key) !== undefined, WAIT_MS);
  }
  expect(platform.latest(TYPES_DEVICE, key)?.text).toBe(sent);
});

test("the devices", async () => {
  const found = [
    ...PATTERNS.flatMap(([, serials], index) => serials.map((serial) => `P${index} ${serial}`)),
    ...NAMES.flatMap(([, name], index) => (name === undefined ? [] : [`N${index} ${name}`])),
    "Boiler SN-001",
    "Boiler SN-002",
    TYPES_DEVICE,
    "gateway",
  ];
  await platform.until(() => found.every((name) => platform.devices().includes(name)), WAIT_MS);
  expect(platform.devices().toSorted()).toEqual(found.toSorted());
});

test.each(CALLS)("the call %s %p", async (method, params, expected) => {
  const text = await platform.rpc(BOILER1, method, params);
  expect(text.slice(0, expected.length)).toBe(expected);
});

test.each(TYPES_CALLS)("the call %s %p of every type", async (method, params, expected) => {
  const text = await platform.rpc(TYPES_DEVICE, method, params);
  expect(text.slice(0, expected.length)).toBe(expected);
});

test("a shared attribute of one device", async () => {
  platform.setShared("Boiler SN-002", { setpoint: 65 });
  await platform.until(() => platform.latest("Boiler SN-002", "t")?.text === "65.0", WAIT_MS);
  expect(platform.latest(BOILER1, "t")?.text).toBe("81.5");
});

test("check --explain names each request", async () => {
  const config = join(gateway.dir, "config");
  const [code, text] = await run("check", "--config", config, "--explain");
  expect(code).toBe(0);
  expect(text).toContain(`a session with ${server.url}`);
  expect(text).toContain("the path Objects / Boiler\\d+ from Root");
  expect(text).toContain("on the path Info / Model from the device");
  expect(text).toContain("RPC Reset: call the method Reset of the device with 1 argument");
});

test("probe opcua shows endpoints, nodes and a file", async () => {
  const [code, text] = await run("probe", "opcua", server.url, "--depth", "3");
  expect(code).toBe(0);
  expect(text).toContain("Basic256Sha256, SignAndEncrypt");
  expect(text).toContain('Objects / Boiler1 / Info / Model (variable, ns=2;i=14) = "BX"');
  expect(text).toContain("Objects / Boiler1 / Reset (method, ns=2;i=17)");
  expect(text).toContain('"deviceNodePattern":"ns=2;s=Boiler1"');
  const nobody = await run("probe", "opcua", "opc.tcp://127.0.0.1:1", "--timeout", "1000");
  expect(nobody[0]).toBe(1);
});
