// The OPC UA connector against an independent implementation of the other side, over every kind of channel.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeJson } from "../../src/sdk/encode.ts";
import type { Json } from "../../src/sdk/model.ts";
import { RunningOpcua } from "../support/opcua-connector.ts";
import { freePort } from "../support/ports.ts";
import { pythonWithPeers } from "../support/python.ts";
import { ReadyProcess } from "../support/ready-process.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;

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

let dir: string;
let port: number;
let peer: ReadyProcess;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "tbgw-asyncua-"));
  port = await freePort();
  await pythonWithPeers();
  peer = await ReadyProcess.python("opcua-peer.py", String(port), dir);
}, TIMEOUT_MS);
afterAll(async () => {
  await peer[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

async function start(settings: object): Promise<RunningOpcua> {
  const names = ["Counter", ...Object.keys(VALUES)];
  const mapping: Json = [
    {
      deviceNodePattern: "Root\\.Objects\\.Boiler1",
      deviceInfo: { deviceNameExpression: "${Name}" },
      timeseries: names.map((key) => ({ key, value: `\${${key}}` })),
      rpc_methods: [{ method: "multiply", arguments: [{}, {}] }],
    },
  ];
  const url = `opc.tcp://127.0.0.1:${port}/plant`;
  return await RunningOpcua.start({
    server: { url, timeoutInMillis: 4000, pollPeriodInMillis: 100, ...settings },
    mapping,
  });
}

const USER = { type: "basic", username: "ann", password: "p@ss" };
const secure = (security: string, securityMode: string, rest: object = {}) => ({
  security,
  securityMode,
  ...rest,
});

test.each<[string, object]>([
  ["nothing", {}],
  ["nothing, read by polling", { enableSubscriptions: false }],
  ["user and password alone", { identity: USER }],
  ["Basic256Sha256, signed", secure("Basic256Sha256", "Sign")],
  ["Basic256Sha256", secure("Basic256Sha256", "SignAndEncrypt")],
  ["Basic256Sha256 with a user", secure("Basic256Sha256", "SignAndEncrypt", { identity: USER })],
  ["Basic128Rsa15", secure("Basic128Rsa15", "SignAndEncrypt")],
  ["Basic128Rsa15 with a user", secure("Basic128Rsa15", "SignAndEncrypt", { identity: USER })],
  ["Aes128", secure("Aes128_Sha256_RsaOaep", "SignAndEncrypt")],
  ["Aes256", secure("Aes256_Sha256_RsaPss", "SignAndEncrypt")],
])(
  "secured by %s",
  async (_name, settings) => {
    await using running = await start(settings);
    await running.said("B-1", "Range");
    const values = Object.keys(VALUES).map((key) => {
      const value = running.latest("B-1", key);
      return [key, value === undefined ? undefined : encodeJson(value)];
    });
    expect(Object.fromEntries(values)).toEqual(VALUES);
    const before = Number(await running.said("B-1", "Counter"));
    await until("it goes on", () => Number(running.latest("B-1", "Counter")) > before + 5);
    expect(await running.rpc("B-1", "set", "Temperature; 82.25")).toMatchObject({ result: {} });
    const read = await running.rpc("B-1", "get", "ns=2;i=2");
    expect(encodeJson(read ?? null)).toBe('{"result":{"value":82.25}}');
    await running.rpc("B-1", "set", "Temperature; 81.5");
    const product = await running.rpc("B-1", "multiply", [7, 8]);
    expect(encodeJson(product ?? null)).toBe('{"result":{"result":56}}');
  },
  TIMEOUT_MS,
);
