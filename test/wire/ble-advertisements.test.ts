// Advertisements of anybody near, from the socket to the values: every report gives values or counted errors, and costs no other.
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Json } from "../../src/sdk/model.ts";
import { RunningBle } from "../support/ble-connector.ts";
import { TestHost } from "../support/connector-host.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { runs } from "../support/property-runs.ts";
import { advertisingReport, ScriptedController } from "../support/scripted-controller.ts";
import { until } from "../support/until.ts";

const ADDRESS = "A4:C1:38:0B:5E:77";
const TIMEOUT_MS = 60_000;
const source = { dataSourceType: "advertisement" };

const ITEMS: readonly { readonly [key: string]: Json }[] = [
  { key: "text", ...source, valueExpression: "[0] [1:3] [9]" },
  { key: "hex", ...source, valueExpression: "[0:2]", compute: "value / 10" },
  { key: "int16", ...source, format: "int16le", offset: 1 },
  { key: "double", ...source, format: "doublebe" },
  { key: "int64", ...source, format: "int64le", offset: 3 },
  { key: "utf8", ...source, format: "utf8", offset: 2, length: 4 },
  { key: "bit", ...source, format: "bool", bit: 3 },
  { key: "zero", ...source, valueExpression: "[0:1]", compute: "1 / value" },
  { key: "company", ...source, companyId: 0x0499, format: "hex" },
  { key: "service", ...source, advField: "service", format: "uint8" },
  { key: "rssi", ...source, advField: "rssi" },
  { key: "txPower", ...source, advField: "txPower", compute: "value + 1" },
  { key: "name", ...source, advField: "name" },
];

/** `FF` with a company and a marker, as a good peripheral sends it. */
function marked(number: number): Uint8Array {
  return advertisingReport(ADDRESS, Uint8Array.of(5, 0xff, 0x99, 0x04, number >> 8, number & 0xff));
}

async function start(port: number, host?: TestHost): Promise<RunningBle> {
  const file = {
    name: "Hall",
    adapter: `tcp:127.0.0.1:${port}`,
    devices: [{ name: "Any", MACAddress: ADDRESS, pollPeriod: 1, telemetry: [...ITEMS] }],
  };
  return await RunningBle.start(file, host);
}

test(
  "any advertisement of a known peripheral, whole or not, gives values or counted errors",
  async () => {
    await using controller = await ScriptedController.listen();
    await using running = await start(controller.port);
    await controller.scanned();
    let mark = 0;
    const structure = fc
      .tuple(
        fc.constantFrom(
          0x01,
          0x02,
          0x03,
          0x06,
          0x07,
          0x08,
          0x09,
          0x0a,
          0x16,
          0x20,
          0x21,
          0xff,
          0x1f,
        ),
        fc.uint8Array({ maxLength: 20 }),
        fc.integer({ min: -3, max: 3 }),
      )
      .map(([type, data, wrong]) => [Math.max(0, data.length + 1 + wrong), type, ...data]);
    const data = fc.oneof(
      fc
        .array(structure, { maxLength: 4 })
        .map((list) => Uint8Array.from(list.flat()).subarray(0, 31)),
      fc.uint8Array({ maxLength: 31 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(data, { minLength: 1, maxLength: 20 }), async (list) => {
        mark += 1;
        const { host } = running;
        const wanted = Buffer.from([mark >> 8, mark & 0xff]).toString("hex");
        controller.send(...list.map((one) => advertisingReport(ADDRESS, one)), marked(mark));
        await until(`mark ${wanted}`, () => running.values("Any", "company").includes(wanted));
        expect(host.lines.filter(({ level }) => level === "error")).toEqual([]);
      }),
      { numRuns: runs(60) },
    );
    const { host } = running;
    // 9 bytes are more than a marker has: "text" is an error of each mark at least.
    const errors = [...host.rejections.values()].reduce((sum, count) => sum + count, 0);
    expect(errors).toBeGreaterThanOrEqual(60);
    expect(host.texts.length).toBeGreaterThanOrEqual(60);
    expect(host.statuses.at(-1)?.status).toBe("connected");
  },
  runs(TIMEOUT_MS),
);

test(
  "a controller that talks rubbish, or is reset, is opened again",
  async () => {
    await using controller = await ScriptedController.listen();
    await using running = await start(controller.port);
    let mark = 0;
    for (const end of [
      () => controller.reset(),
      () => controller.send(Uint8Array.from([0x77, 0x01, 0x02])),
      // It says that it has reset itself, and keeps the line open.
      () => controller.send(Uint8Array.of(4, 0x10, 1, 0x42)),
    ]) {
      await controller.scanned();
      mark += 1;
      controller.send(marked(mark));
      await until("a value", () => running.values("Any", "company").length >= mark);
      const before = running.host.statuses.length;
      end();
      await until("it is noticed", () =>
        running.host.statuses.slice(before).some(({ status }) => status === "disconnected"),
      );
      await running.host.status("connected");
    }
    await controller.scanned();
    controller.send(marked(0x7777));
    await until("a value", () => running.values("Any", "company").includes("7777"));
  },
  TIMEOUT_MS,
);

test(
  "an adapter that hears nobody at all is started again, less and less often, until it hears somebody",
  async () => {
    const clock = new FakeClock();
    await using controller = await ScriptedController.listen();
    await using running = await start(controller.port, new TestHost({ type: "ble", clock }));
    await controller.scanned();
    expect(controller.openings).toBe(1);
    const stranger = advertisingReport("00:11:22:33:44:55", Uint8Array.of(2, 1, 6));
    for (const [openings, seconds] of [
      [1, 59],
      [2, 1],
      [2, 119],
      [3, 1],
    ] as const) {
      await clock.advance(seconds * 1000);
      await until("it is as often open", () => controller.openings === openings);
      await controller.scanned();
    }
    // A peripheral that is of no interest tells that the adapter works.
    controller.send(stranger, marked(1));
    await until("a value", () => running.values("Any", "company").length > 0);
    await clock.advance(59_000);
    controller.send(stranger, marked(2));
    await until("a value", () => running.values("Any", "company").length > 1);
    await clock.advance(59_000);
    expect(controller.openings).toBe(3);
    await clock.advance(1000);
    await until("it is started again", () => controller.openings === 4);
    expect(running.host.statuses.map(({ status }) => status)).not.toContain("disconnected");
  },
  TIMEOUT_MS,
);
