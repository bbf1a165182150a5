// The built program against an independent implementation of the other side, over every kind of channel: a connector for each, all at once.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { GATEWAY_CERT, SERVER_KEY } from "../support/opcua-certificates.ts";
import { configureConnectors } from "../support/opcua-gateway.ts";
import { freePort } from "../support/ports.ts";
import { ReadyProcess } from "../support/ready-process.ts";

const TIMEOUT_MS = 60_000;
const WAIT_MS = 30_000;

/** What the values of the peer are on the platform. */
const VALUES = {
  Temperature: "81.5",
  Running: "true",
  Name: '"B-1"',
  Big: "9007199254740993",
  List: "[1,2,3]",
  When: '"2026-03-01T10:00:00.250000+00:00"',
  Text: '"Running"',
  Bytes: '"01ab"',
  Range: '{"Low":0.0,"High":100.0}',
};

const USER = { type: "basic", username: "ann", password: "p@ss" };
const CERTIFICATE = { type: "cert.PEM", cert: "gateway.crt", privateKey: "gateway.key" };
const both = { securityMode: "SignAndEncrypt" };

/** What each connector is configured with. */
const CHANNELS: readonly (readonly [string, object])[] = [
  ["nothing", {}],
  ["nothing, read by polling", { enableSubscriptions: false }],
  ["user and password alone", { identity: USER }],
  ["Basic256Sha256, signed", { security: "Basic256Sha256", securityMode: "Sign" }],
  ["Basic256Sha256", { security: "Basic256Sha256", ...both }],
  ["Basic256Sha256 with a user", { security: "Basic256Sha256", ...both, identity: USER }],
  ["Basic256Sha256 with a certificate", { security: "Basic256Sha256", identity: CERTIFICATE }],
  [
    "Basic256Sha256, signed, with a certificate and a user",
    { security: "Basic256Sha256", identity: { ...USER, ...CERTIFICATE, mode: "Sign" } },
  ],
  ["Basic128Rsa15", { security: "Basic128Rsa15", ...both }],
  ["Basic128Rsa15 with a user", { security: "Basic128Rsa15", ...both, identity: USER }],
  ["Aes128", { security: "Aes128_Sha256_RsaOaep", ...both }],
  ["Aes256", { security: "Aes256_Sha256_RsaPss", ...both }],
];

let owned: AsyncDisposableStack;
let platform: ThingsBoardDouble;
beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), "tbgw-asyncua-"));
  stack.defer(() => rmSync(dir, { recursive: true, force: true }));
  const port = await freePort();
  stack.use(await ReadyProcess.python("opcua-peer.py", String(port), dir));
  platform = stack.use(await ThingsBoardDouble.listen({ clock: systemClock }));
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  const gateway = stack.use(
    await GatewayProcess.create({ platformPort: platform.port, brokerPort: 1 }),
  );
  // Relative names are relative to the directory the program runs in.
  writeFileSync(join(gateway.dir, "gateway.crt"), GATEWAY_CERT);
  writeFileSync(join(gateway.dir, "gateway.key"), SERVER_KEY);
  const url = `opc.tcp://127.0.0.1:${port}/plant`;
  const common = { url, timeoutInMillis: 10_000, pollPeriodInMillis: 100 };
  const files = CHANNELS.map(([name, settings]) => {
    const server = { ...common, ...settings };
    const mapping = {
      deviceNodePattern: "Root\\.Objects\\.Boiler1",
      deviceInfo: { deviceNameExpression: `\${Name} ${name}` },
      timeseries: ["Counter", ...Object.keys(VALUES)].map((key) => ({ key, value: `\${${key}}` })),
      rpc_methods: [{ method: "multiply", arguments: [{}, {}] }],
    };
    return [name, { server, mapping: [mapping] }] as const;
  });
  await configureConnectors(gateway, Object.fromEntries(files));
  gateway.start();
  owned = stack.move();
}, TIMEOUT_MS);
afterAll(async () => {
  await owned.disposeAsync();
});

test.each(CHANNELS)(
  "values arrive over a channel secured by %s",
  async (name) => {
    const device = `B-1 ${name}`;
    const text = (key: string): string | undefined => platform.latest(device, key)?.text;
    const keys = Object.keys(VALUES);
    await platform.until(() => keys.every((key) => text(key) !== undefined), WAIT_MS);
    expect(Object.fromEntries(keys.map((key) => [key, text(key)]))).toEqual(VALUES);
    const before = Number(text("Counter"));
    await platform.until(() => Number(text("Counter")) > before + 5, WAIT_MS);
  },
  TIMEOUT_MS,
);

test.each(CHANNELS.map(([name], index) => [name, 82.25 + index] as const))(
  "nodes are written and methods called over a channel secured by %s",
  async (name, value) => {
    const device = `B-1 ${name}`;
    const written = `{"result":{"value":${value}}}`;
    expect(await platform.rpc(device, "set", `Temperature; ${value}`)).toBe(written);
    expect(await platform.rpc(device, "get", "ns=2;i=2")).toBe(written);
    expect(await platform.rpc(device, "multiply", [7, 8])).toBe('{"result":{"result":56}}');
  },
  TIMEOUT_MS,
);
