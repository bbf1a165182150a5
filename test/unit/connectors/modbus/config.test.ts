import { describe, expect, test } from "bun:test";
import { explainModbus } from "../../../../connectors/modbus/explain.ts";
import { lineOf } from "../../../../connectors/modbus/line.ts";
import type { Json } from "../../../../src/sdk/model.ts";
import { readModbusConfig } from "../../../support/modbus-connector.ts";

const item = (rest: object): Json => ({
  tag: "t",
  type: "16int",
  functionCode: 3,
  address: 0,
  ...rest,
});
const slave = (rest: object): Json => ({ deviceName: "A", unitId: 1, port: 502, ...rest });
const read = (slaves: Json) => readModbusConfig({ master: { slaves } });

describe("the connector file", () => {
  test("every mistake is told with its path, and costs only itself", () => {
    const { config, issues } = read([
      slave({ timeseries: [item({ type: "int", objectsCount: 3 }), item({ tag: "good" })] }),
      slave({ type: "serial", method: "socket", port: "/dev/ttyUSB0" }),
      slave({ type: "serial", port: "/dev/ttyUSB0", unitId: 0, timeseries: [item({})] }),
      slave({ type: "udp", method: "tls" }),
      slave({ port: "abc" }),
      slave({ timeseries: [item({ address: "9-3" }), item({ address: 65_535, type: "32int" })] }),
      slave({
        attributeUpdates: [
          { tag: "w", type: "string", functionCode: 16, address: 0, objectsCount: 124 },
        ],
      }),
      slave({ attributeUpdates: [{ tag: "w", type: "16int", functionCode: 3, address: 0 }] }),
      slave({ retries: -1 }),
      slave({ byteOder: "BIG" }),
    ]);
    expect(issues).toEqual([
      'error master.slaves[0].timeseries[0]: Cannot read or write "int" with objectsCount 3: need 1, 2 or 4 registers',
      'error master.slaves[1]: "method" must be rtu or ascii on a serial line, but is socket',
      "error master.slaves[2]: unitId 0 is a broadcast on a serial line: nothing can be read from it",
      'error master.slaves[3]: TLS needs "type" tcp and "method" tls or socket',
      'error master.slaves[4]: "port" must be a number from 1 to 65535, but is "abc"',
      'error master.slaves[5].timeseries[0]: address "9-3" ends before it begins',
      "error master.slaves[5].timeseries[1]: address 65535 with 2 registers or coils goes beyond the last address 65535",
      "error master.slaves[6].attributeUpdates[0]: one request writes at most 123 registers, but these are 124",
      "error master.slaves[7].attributeUpdates[0]: functionCode must be 5, 6, 15 or 16 to write, but is 3",
      expect.stringMatching(/^error master\.slaves\[8\]\.retries: /),
      'warning master.slaves[9].byteOder: "byteOder" is not known here and has no effect; did you mean "byteOrder"?',
    ]);
    expect(config.master.slaves.map(({ timeseries }) => timeseries.length)).toEqual([
      1, 0, 0, 0, 0, 0,
    ]);
  });

  test("defaults are those of the Python gateway", () => {
    const [first] = read([slave({})]).config.master.slaves;
    expect(first).toMatchObject({
      type: "tcp",
      deviceType: "default",
      timeout: 30,
      retries: 3,
      byteOrder: "LITTLE",
      wordOrder: "LITTLE",
      baudrate: 19_200,
      connectAttemptCount: 2,
    });
    const [second] = read([slave({ retries: false, byteOrder: "big", type: "TCP" })]).config.master
      .slaves;
    expect(second).toMatchObject({ retries: 0, byteOrder: "BIG", type: "tcp" });
  });

  test("the format with a server inherits its line, keeps both periods, and takes methods by name", () => {
    const { config, issues } = readModbusConfig({
      server: {
        type: "serial",
        method: "rtu",
        port: "/dev/ttyUSB0",
        parity: "E",
        timeout: 10,
        byteOrder: "BIG",
        devices: [
          {
            unitId: 4,
            deviceName: "Pump",
            attributesPollPeriod: 60_000,
            timeseriesPollPeriod: 5000,
            timeout: 2,
            timeseries: [item({ tag: "rpm", registerCount: 1 })],
            rpc: { start: { type: "bits", functionCode: 5, registersCount: 1, address: 0 } },
          },
        ],
      },
    });
    expect(issues).toEqual([]);
    expect(config.master.slaves[0]).toMatchObject({
      port: "/dev/ttyUSB0",
      parity: "E",
      timeout: 2,
      byteOrder: "BIG",
      pollPeriod: 5000,
      attributesPollPeriod: 60_000,
      rpc: [{ tag: "start", functionCode: 5, objectsCount: 1 }],
    });
  });

  test("an editor's form without any entry is no TLS, and a period may have a fraction", () => {
    const empty = { certfile: "", keyfile: "", password: "", server_hostname: null };
    const { config, issues } = read([
      slave({ pollPeriod: 1000.5, security: empty, tls: empty }),
      slave({ security: { ...empty, certfile: "/etc/ssl/a.pem" } }),
    ]);
    expect(issues).toEqual([]);
    expect(config.master.slaves.map((one) => lineOf(one))).toMatchObject([
      { tls: undefined },
      { tls: { certfile: "/etc/ssl/a.pem" } },
    ]);
    expect(config.master.slaves[0]?.pollPeriod).toBe(1000.5);
  });

  test("what is explained stands where the file has it, also behind entries that are left out", () => {
    const { config } = read([
      slave({ retries: -1 }),
      slave({ timeseries: [item({ type: "int", objectsCount: 3 }), item({ tag: "good" })] }),
    ]);
    expect(explainModbus(config).map(({ path }) => path)).toEqual([
      "master.slaves[1].timeseries[1]",
      "master",
    ]);
  });

  test("a file without a master, and an empty slave, are fine", () => {
    expect(readModbusConfig({}).config.master.slaves).toEqual([]);
    expect(readModbusConfig({ slave: {} }).config.slave).toBeUndefined();
    const table = [{ timeseries: [{ tag: "a", type: "16int", address: 1, value: 3 }] }];
    const { config, issues } = readModbusConfig({
      slave: { type: "tcp", port: 5020, values: { holding_registers: table } },
    });
    expect(issues).toEqual([]);
    expect(config.slave?.values.holding_registers?.timeseries[0]?.value).toBe(3);
  });
});
