import { describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import ModbusRTU from "modbus-serial";
import { encodeMbap } from "../../connectors/modbus/frames.ts";
import type { Json } from "../../src/sdk/model.ts";
import { RunningModbus } from "../support/modbus-connector.ts";
import { freePort } from "../support/ports.ts";
import { until } from "../support/until.ts";

const place = (tag: string, type: string, address: number | string, rest: object = {}): Json => ({
  tag,
  type,
  address,
  objectsCount: 1,
  ...rest,
});

const VALUES: Json = {
  holding_registers: {
    timeseries: [
      place("text", "string", 1, { value: "ON" }),
      place("small", "16int", 2, { value: 12_334 }),
      place("wide", "32int", 29, { objectsCount: 2, value: 1243 }),
    ],
    attributeUpdates: [place("shared", "16int", 40, { value: 7 })],
    rpc: [place("set", "16int", 41), place("read", "16int", 2, { functionCode: 3 })],
  },
  coils_initializer: [
    {
      attributes: [place("coil", "bits", 3, { value: true })],
      timeseries: [place("eight", "8int", 4, { value: 1 })],
    },
  ],
};

/** A connector that is nothing but a server, and a master that is connected to it. */
async function start(rest: { readonly [key: string]: Json } = {}): Promise<{
  readonly running: RunningModbus;
  readonly master: ModbusRTU;
  readonly port: number;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}> {
  const port = await freePort();
  const slave = { type: "tcp", host: "127.0.0.1", port, unitId: 1, values: VALUES, ...rest };
  const running = await RunningModbus.start({ slave });
  const master = new ModbusRTU();
  await until("the server listens", async () => {
    return await master.connectTCP("127.0.0.1", { port }).then(
      () => true,
      () => false,
    );
  });
  const dispose = async (): Promise<void> => {
    master.close(() => undefined);
    await running[Symbol.asyncDispose]();
  };
  return { running, master, port, [Symbol.asyncDispose]: dispose };
}

describe("the gateway's own server", () => {
  test("holds the first values in the orders of the configuration, for every unit", async () => {
    await using started = await start();
    const { master } = started;
    for (const unit of [1, 77]) {
      master.setID(unit);
      expect((await master.readHoldingRegisters(1, 2)).data).toEqual([0x4f4e, 0x2e30]);
      expect((await master.readHoldingRegisters(29, 2)).data).toEqual([0xdb04, 0]);
      expect((await master.readCoils(3, 2)).data.slice(0, 2)).toEqual([true, true]);
    }
  });

  test("an address that is not there is illegal, a table without values is zeros, writes make places", async () => {
    await using started = await start();
    const { master } = started;
    const code = async (work: Promise<unknown>): Promise<unknown> =>
      await work.then(
        () => 0,
        (error: { modbusCode?: number }) => error.modbusCode,
      );
    expect(await code(master.readHoldingRegisters(500, 1))).toBe(2);
    expect(await code(master.readHoldingRegisters(1, 126))).toBe(3);
    expect((await master.readInputRegisters(60_000, 3)).data).toEqual([0, 0, 0]);
    await master.writeRegisters(500, [5, 6]);
    expect((await master.readHoldingRegisters(500, 2)).data).toEqual([5, 6]);
    await master.writeCoil(9, true);
    expect((await master.readCoils(9, 1)).data[0]).toBe(true);
    await master.maskWriteRegister(500, 0xff00, 0x0012);
    expect((await master.readHoldingRegisters(500, 1)).data).toEqual([0x12]);
  });

  test("reports everything in each period and what a master writes at once", async () => {
    await using started = await start({
      sendDataToThingsBoard: true,
      deviceName: "Own",
      pollPeriod: 60_000,
    });
    const { master, running } = started;
    await running.records(1, "Own");
    expect(running.host.texts[0]).toBe(
      '{"deviceName":"Own","deviceType":"default","telemetry":[{"values":{"eight":-128,"text":"ON","small":12334,"wide":1243}}],"attributes":{"coil":true}}',
    );
    await master.writeRegister(2, 0x0100);
    await running.records(2, "Own");
    expect(running.host.texts[1]).toBe(
      '{"deviceName":"Own","deviceType":"default","telemetry":[{"values":{"small":1}}]}',
    );
  });

  test("shared attributes and methods write its tables", async () => {
    await using started = await start({ deviceName: "Own" });
    const { master, running } = started;
    expect(running.connector.sharedAttributeKeys?.("Own")).toEqual(["shared"]);
    const update = { deviceName: "Own", values: { shared: 1 }, removed: [] };
    await running.connector.handleAttributes?.(update, new AbortController().signal);
    expect((await master.readHoldingRegisters(40, 1)).data).toEqual([0x0100]);
    expect(await running.rpc("Own", "read", null)).toEqual({
      result: { value: 12_334 },
    });
    const set = "type=16int;functionCode=6;objectsCount=1;address=41;value=2;";
    expect(await running.rpc("Own", "set", set)).toEqual({
      result: { value: "2" },
    });
    expect((await master.readHoldingRegisters(41, 1)).data).toEqual([0x0200]);
  });

  test("says who it is", async () => {
    const identity = { vendorName: "ACME", productCode: "P1", modelName: "M" };
    await using started = await start({ identity });
    const { data } = await started.master.readDeviceIdentification(2, 0);
    expect(Object.fromEntries(Object.entries(data))).toEqual({
      0: "ACME",
      1: "P1",
      2: "1.0",
      3: "",
      4: "",
      5: "M",
    });
  });

  test("a port that is taken is tried again until it is free", async () => {
    await using first = await start();
    const slave = { type: "tcp", host: "127.0.0.1", port: first.port, values: VALUES };
    await using second = await RunningModbus.start({ slave });
    await until("it is said", () =>
      second.host.lines.some(
        ({ level, fields }) =>
          level === "warn" && String(fields["error"]).includes("Cannot listen"),
      ),
    );
    await first.running.stop();
    await until("the second one listens", () =>
      second.host.lines.some(({ message }) => message === "Link is up again"),
    );
  });

  test("a first value that does not fit is a mistake of the configuration", async () => {
    const values = {
      holding_registers: { timeseries: [place("n", "16int", 0, { value: 70_000 })] },
    };
    const slave = { type: "tcp", host: "127.0.0.1", port: 5020, values };
    const error = await RunningModbus.start({ slave }).catch((caught: unknown) => String(caught));
    expect(error).toContain("slave.values: Cannot write 70000 as 16int");
  });

  test("masters that vanished without a word do not keep others out", async () => {
    await using started = await start();
    const { master, port } = started;
    await master.readHoldingRegisters(2, 1);
    const vanished = await Promise.all(Array.from({ length: 80 }, () => silentMaster(port)));
    expect((await master.readHoldingRegisters(2, 1)).data).toEqual([0x2e30]);
    const late = new ModbusRTU();
    await late.connectTCP("127.0.0.1", { port });
    expect((await late.readHoldingRegisters(2, 1)).data).toEqual([0x2e30]);
    late.close(() => undefined);
    for (const socket of vanished) {
      socket.destroy();
    }
  }, 30_000);

  test("a master that asks and never reads is disconnected, and the others are served", async () => {
    await using started = await start();
    const socket = await silentMaster(started.port);
    let isClosed = false;
    socket.on("close", () => {
      isClosed = true;
    });
    const request = encodeMbap({ unit: 1, pdu: Uint8Array.of(4, 0, 0, 0, 125) }, 1);
    const many = Buffer.concat(Array.from({ length: 5000 }, () => request));
    for (let round = 0; round < 20; round += 1) {
      socket.write(many);
    }
    await until("it is disconnected", () => isClosed);
    expect((await started.master.readHoldingRegisters(2, 1)).data).toEqual([0x2e30]);
  }, 30_000);
});

/** Connects, and reads nothing. */
async function silentMaster(port: number): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect({ host: "127.0.0.1", port }, () => {
    socket.pause();
    resolve(socket);
  });
  socket.on("error", reject);
  return await promise;
}
