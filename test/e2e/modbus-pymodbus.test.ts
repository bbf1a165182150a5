// The connector against an independent implementation of the other side, over every transport and framing.
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Json } from "../../src/sdk/model.ts";
import { RunningModbus } from "../support/modbus-connector.ts";
import { freePort } from "../support/ports.ts";
import { CA, SERVER_CERT, SERVER_KEY } from "../support/private-ca.ts";
import { PtyPair } from "../support/pty-pair.ts";
import { pythonWithPeers } from "../support/python.ts";
import { ReadyProcess } from "../support/ready-process.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;

/** What is read from unit `unit` of the peer, and what that must give. */
const ITEMS: Json = [
  { tag: "h${address}", type: "16uint", functionCode: 3, address: "0-149" },
  { tag: "wide", type: "32uint", functionCode: 3, objectsCount: 2, address: 10 },
  { tag: "i${address}", type: "16uint", functionCode: 4, address: "5-9" },
  {
    tag: "coils",
    type: "bits",
    functionCode: 1,
    objectsCount: 10,
    address: 3,
    bitOrder: "natural",
  },
  {
    tag: "inputs",
    type: "bits",
    functionCode: 2,
    objectsCount: 4,
    address: 1,
    bitOrder: "natural",
  },
  { tag: "flow", type: "32float", functionCode: 3, objectsCount: 2, address: 200, round: 2 },
];

function expected(unit: number): Record<string, unknown> {
  const word = (address: number): number => unit * 1000 + address;
  const values: Record<string, unknown> = {
    wide: word(10) * 65_536 + word(11),
    coils: Array.from({ length: 10 }, (_, index) => (3 + index) % 3 === 0),
    inputs: [false, true, false, true],
    flow: 229.01,
  };
  for (let address = 0; address < 150; address += 1) {
    values[`h${address}`] = word(address);
  }
  for (let address = 5; address < 10; address += 1) {
    values[`i${address}`] = word(address) + 500;
  }
  return values;
}

/** Two devices of one line: both are read, one is written, and the value is read back. */
async function readAndWrite(line: { readonly [key: string]: Json }): Promise<void> {
  // A busy machine may take its time over an answer: that is no time-out here, a frame that is misread is one.
  const patience = { timeout: 2, responseTimeoutMs: 2000 };
  const rest = { pollPeriod: 100, ...patience, byteOrder: "BIG", wordOrder: "BIG", ...line };
  const rpc = [{ tag: "write", type: "32int", functionCode: 16, objectsCount: 2, address: 250 }];
  await using running = await RunningModbus.withSlaves([
    { deviceName: "one", unitId: 1, timeseries: ITEMS, rpc, ...rest },
    { deviceName: "two", unitId: 2, timeseries: ITEMS, ...rest },
  ]);
  await running.records(2, "one");
  await running.records(2, "two");
  for (const [name, unit] of [
    ["one", 1],
    ["two", 2],
  ] as const) {
    const records = running.host.accepted.filter(({ deviceName }) => deviceName === name);
    expect(records[1]?.telemetry?.[0]?.values).toEqual(expected(unit) as never);
  }
  expect(await running.rpc("one", "write", -123_456)).toEqual({
    result: { value: -123_456 },
  });
  const get = "type=32int;functionCode=3;objectsCount=2;address=250;";
  expect(await running.rpc("one", "get", get)).toEqual({
    result: { value: -123_456 },
  });
  const bad = "type=16int;functionCode=3;objectsCount=1;address=5000;";
  expect(await running.rpc("one", "get", bad)).toEqual({
    result: { error: "illegal data address (exception 2)" },
  });
  expect(running.host.counters.get("timeouts") ?? 0).toBe(0);
}

const peer = async (options: object): Promise<ReadyProcess> =>
  await ReadyProcess.python("modbus-peer.py", JSON.stringify({ units: [1, 2], ...options }));

describe("pymodbus servers", () => {
  test.each([
    ["tcp", "socket", "socket"],
    ["tcp", "rtu", "rtu"],
    ["tcp", "ascii", "ascii"],
    ["udp", "socket", "socket"],
    ["udp", "rtu", "rtu"],
  ] as const)(
    "%s with framing %s",
    async (kind, method, framer) => {
      const port = await freePort();
      await using _server = await peer({ kind, framer, port });
      await readAndWrite({ type: kind, method, host: "127.0.0.1", port });
    },
    TIMEOUT_MS,
  );

  test(
    "tls, with the certificate verified",
    async () => {
      const dir = mkdtempSync(join(tmpdir(), "tbgw-modbus-tls-"));
      const file = (name: string, text: string): string => {
        writeFileSync(join(dir, name), text);
        return join(dir, name);
      };
      const port = await freePort();
      const certfile = file("cert.pem", SERVER_CERT);
      await using _server = await peer({
        kind: "tls",
        port,
        certfile,
        keyfile: file("key.pem", SERVER_KEY),
      });
      const tls = { caCert: file("ca.pem", CA) };
      await readAndWrite({ type: "tcp", method: "tls", host: "127.0.0.1", port, tls });
      await using refused = await RunningModbus.withSlaves([
        {
          deviceName: "x",
          unitId: 1,
          type: "tcp",
          method: "tls",
          host: "127.0.0.1",
          port,
          timeseries: ITEMS,
        },
      ]);
      await until("the certificate is refused", () =>
        refused.host.lines.some(
          ({ level, fields }) => level === "warn" && JSON.stringify(fields).includes("ertificate"),
        ),
      );
      expect(refused.host.accepted).toEqual([]);
      rmSync(dir, { recursive: true });
    },
    TIMEOUT_MS,
  );

  test.each(["rtu", "ascii"] as const)(
    "a serial line with framing %s, unplugged and plugged in again",
    async (method) => {
      await using pair = await PtyPair.open();
      const line = { type: "serial", method, port: pair.ours, baudrate: 115_200 };
      {
        await using _server = await peer({ kind: "serial", framer: method, port: pair.theirs });
        await readAndWrite(line);
      }
      const slave = {
        deviceName: "one",
        unitId: 1,
        pollPeriod: 50,
        byteOrder: "BIG",
        timeout: 1,
        ...line,
      };
      const timeseries = [{ tag: "n", type: "16uint", functionCode: 3, address: 7 }];
      await using running = await RunningModbus.withSlaves([{ ...slave, timeseries }]);
      {
        await using _server = await peer({ kind: "serial", framer: method, port: pair.theirs });
        await running.records(1, "one");
        await pair.unplug();
        await until(
          "the loss is noticed",
          () => running.host.statuses.at(-1)?.status === "disconnected",
        );
      }
      await pair.plug();
      await using _server = await peer({ kind: "serial", framer: method, port: pair.theirs });
      const before = running.host.accepted.length;
      await running.records(before + 3, "one");
      const wrong = running.host.accepted.filter((one) => one.telemetry?.[0]?.values["n"] !== 1007);
      expect(wrong).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

describe("a pymodbus client and the gateway's own server", () => {
  const values: Json = {
    holding_registers: {
      timeseries: [
        { tag: "wide", type: "32uint", objectsCount: 2, address: 0, value: 305_419_896 },
        { tag: "written", type: "16uint", address: 5, value: 0 },
      ],
    },
  };

  test.each([
    ["tcp", "socket"],
    ["tcp", "rtu"],
    ["udp", "socket"],
    ["serial", "rtu"],
    ["serial", "ascii"],
  ] as const)(
    "%s with framing %s",
    async (kind, method) => {
      await using pair = kind === "serial" ? await PtyPair.open() : undefined;
      const port = await freePort();
      await using running = await RunningModbus.start({
        slave: {
          type: kind,
          method,
          host: "127.0.0.1",
          port: pair?.ours ?? port,
          baudrate: 115_200,
          unitId: 4,
          byteOrder: "BIG",
          wordOrder: "BIG",
          deviceName: "Own",
          pollPeriod: 600_000,
          sendDataToThingsBoard: true,
          values,
        },
      });
      await running.records(1, "Own");
      await until("the server listens", () =>
        running.host.lines.some(({ message }) => message === "Link is up"),
      );
      const script = join(import.meta.dir, "../support/modbus-master.py");
      const options = { kind, framer: method, port: pair?.theirs ?? port, unit: 4 };
      const child = Bun.spawn([await pythonWithPeers(), script, JSON.stringify(options)], {
        stdout: "pipe",
        stderr: "inherit",
      });
      expect(JSON.parse(await new Response(child.stdout).text())).toEqual({
        registers: [0x1234, 0x5678],
        missing: 2,
        write: false,
        coil: false,
        back: [4242],
        coils: true,
      });
      await running.records(2, "Own");
      expect(running.host.accepted[1]?.telemetry?.[0]?.values).toEqual({ written: 4242 });
    },
    TIMEOUT_MS,
  );
});

describe("tbgw probe modbus", () => {
  test(
    "--expect finds a 32 bit float in each of the four orders",
    async () => {
      const port = await freePort();
      await using _server = await peer({ kind: "tcp", port });
      const main = join(import.meta.dir, "../../dist/tbgw");
      const command = [
        main,
        "probe",
        "modbus",
        `127.0.0.1:${port}`,
        "--expect",
        "229.01",
        "--json",
      ];
      const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
      const lines = (await new Response(child.stdout).text()).trim().split("\n");
      expect(await child.exited).toBe(0);
      const found = lines
        .map((line) => JSON.parse(line))
        .filter(({ config }) => config?.address !== undefined);
      expect(lines.at(-1)).toContain('"deviceName":"Modbus 1"');
      expect(
        found.map(({ text, config }) => [
          /byte order (\w+) and word order (\w+)/.exec(text)?.slice(1),
          config.address,
        ]),
      ).toEqual([
        [["BIG", "BIG"], 200],
        [["BIG", "LITTLE"], 202],
        [["LITTLE", "BIG"], 204],
        [["LITTLE", "LITTLE"], 206],
      ]);
    },
    TIMEOUT_MS,
  );
});
