// The compiled gateway in the place of a Python gateway that left records behind.
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { existsSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { connectAsync } from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { GatewayProcess, SEQUENCE_MAPPING } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { freePort } from "../support/ports.ts";
import {
  pythonLine,
  pythonMessages,
  writeDatabase,
  writeState,
  writeTextFile,
} from "../support/python-storage.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;
const RECORDS = 1000;

/** 1,000 records in text files: 50 more in the first one have been sent already. */
async function leaveTextFiles(folder: string): Promise<void> {
  await writeTextFile(folder, 1_700_000_000_000, pythonMessages(-50, 450).map(pythonLine));
  await writeTextFile(folder, 1_700_000_001_000, pythonMessages(400, 400).map(pythonLine));
  await writeTextFile(folder, 1_700_000_002_000, pythonMessages(800, 200).map(pythonLine));
  await writeState(folder, "data_1700000000000.txt", 50);
}

/** 1,000 records in two databases; the rows before the first have been sent and deleted. */
async function leaveDatabases(folder: string): Promise<void> {
  await writeDatabase(folder, "data.db", { messages: pythonMessages(0, 600), firstId: 4711 });
  await writeDatabase(folder, "data_1700000000000.db", { messages: pythonMessages(600, 400) });
}

const FORMATS = [
  { type: "file", storage: { type: "file", data_folder_path: "./left/" }, leave: leaveTextFiles },
  { type: "sqlite", storage: { type: "sqlite", data_file_path: "./left/" }, leave: leaveDatabases },
];

/** Records of the take-overs that are killed. */
const BACKLOG = 60_000;
const BACKLOGS = [
  {
    type: "file",
    storage: FORMATS[0]?.storage ?? {},
    write: async (folder: string) => {
      for (let part = 0; part < 3; part += 1) {
        const messages = pythonMessages((part * BACKLOG) / 3, BACKLOG / 3);
        await writeTextFile(folder, 1_700_000_000_000 + part, messages.map(pythonLine));
      }
    },
  },
  {
    type: "sqlite",
    storage: FORMATS[1]?.storage ?? {},
    write: async (folder: string) => {
      await writeDatabase(folder, "data.db", { messages: pythonMessages(0, BACKLOG) });
    },
  },
];

/** All values of the series as they arrived. */
function sequence(platform: ThingsBoardDouble, device: string): number[] {
  return platform.series(device, "seq").map(({ text }) => Number(text));
}

describe("tbgw run after a Python gateway", () => {
  for (const { type, storage, leave } of FORMATS) {
    test(
      `1,000 records left in its ${type} format arrive once, in order, before what is measured`,
      async () => {
        await using platform = await ThingsBoardDouble.listen({ clock: systemClock });
        platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
        await using broker = await Mosquitto.start();
        // The broker repeats a retained message to the gateway as soon as it subscribes.
        const source = await connectAsync(`mqtt://127.0.0.1:${broker.port}`);
        await source.publishAsync("plant/old/data", `{"seq":${RECORDS},"value":1}`, {
          qos: 1,
          retain: true,
        });
        await using gateway = await GatewayProcess.create({
          platformPort: platform.port,
          brokerPort: broker.port,
          storage,
          mqtt: { mapping: [SEQUENCE_MAPPING] },
        });
        const folder = join(gateway.dir, "left");
        await leave(folder);
        gateway.start();
        const arrived = (count: number) => () => sequence(platform, "old").length >= count;
        await until("everything has arrived", arrived(RECORDS + 1), TIMEOUT_MS);
        const expected = Array.from({ length: RECORDS + 1 }, (_, index) => index);
        expect(sequence(platform, "old")).toEqual(expected);
        const [first] = platform.series("old", "value");
        expect(first).toMatchObject({ ts: 1_700_000_000_000, text: "0.0" });
        expect((await readdir(folder)).every((name) => name.endsWith(".imported"))).toBe(true);
        expect(await gateway.stop()).toBe(0);
        gateway.start();
        await source.publishAsync("plant/old/data", `{"seq":${RECORDS + 1},"value":1}`, { qos: 1 });
        const next = (): boolean => sequence(platform, "old").includes(RECORDS + 1);
        await until("the next value has arrived", next, TIMEOUT_MS);
        const restarted = sequence(platform, "old").filter((seq) => seq < RECORDS);
        expect(restarted).toEqual(expected.slice(0, RECORDS));
        await source.endAsync();
      },
      TIMEOUT_MS,
    );
  }

  for (const { type, storage, write } of BACKLOGS) {
    test(
      `kill -9 in the middle of a take-over of its ${type} format loses nothing and repeats nothing`,
      async () => {
        await using platform = await ThingsBoardDouble.listen({ clock: systemClock });
        platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
        await using gateway = await GatewayProcess.create({
          platformPort: platform.port,
          brokerPort: await freePort(),
          storage,
        });
        const folder = join(gateway.dir, "left");
        await write(folder);
        let kills = 0;
        for (let share = 0.05; share < 1; share += 0.15) {
          const before = storedRecords(gateway);
          const wanted = Math.max(before + 1, share * BACKLOG);
          gateway.start();
          await until("more is stored", () => storedRecords(gateway) >= wanted, TIMEOUT_MS);
          await gateway.stop("SIGKILL");
          kills += storedRecords(gateway) < BACKLOG ? 1 : 0;
        }
        expect(kills).toBeGreaterThan(1);
        gateway.start();
        const seen = (): number => new Set(sequence(platform, "old")).size;
        await until("everything has arrived", () => seen() >= BACKLOG, TIMEOUT_MS);
        // A publish without its PUBACK at the kill is repeated; what counts is the first arrival.
        const first = [...new Set(sequence(platform, "old"))];
        expect(first).toEqual(Array.from({ length: BACKLOG }, (_, index) => index));
        expect(storedRecords(gateway)).toBe(BACKLOG);
        const missing = (await readdir(folder)).filter((name) => !name.endsWith(".imported"));
        expect(missing).toEqual([]);
        expect(await gateway.stop()).toBe(0);
      },
      TIMEOUT_MS,
    );
  }
});

/** Messages taken over so far; each holds two values. 0 before there is a store. */
function storedRecords(gateway: GatewayProcess): number {
  const path = join(gateway.dir, "data/events.db");
  if (!existsSync(path) || statSync(path).size === 0) {
    return 0;
  }
  using database = new Database(path);
  database.run("PRAGMA busy_timeout = 2000");
  const tables = database.query("SELECT 1 FROM sqlite_schema WHERE name = 'counters'").all();
  if (tables.length === 0) {
    return 0;
  }
  const row: unknown = database.query("SELECT value FROM counters WHERE name = 'stored'").get();
  return typeof row === "object" && row !== null && "value" in row ? Number(row.value) / 2 : 0;
}
