// The compiled gateway on a machine that starts in 1970 and learns the time later (libfaketime).
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connectAsync } from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { GatewayProcess, SEQUENCE_MAPPING } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;
const LIBRARY = ["x86_64", "aarch64"]
  .map((cpu) => `/usr/lib/${cpu}-linux-gnu/faketime/libfaketimeMT.so.1`)
  .find((path) => existsSync(path));

/** What makes a process see the time that a file tells, and the real monotonic clock. */
function fakedTime(file: string): Readonly<Record<string, string>> {
  if (LIBRARY === undefined) {
    throw new Error('There is no libfaketime: run "apt-get install faketime" first');
  }
  return {
    LD_PRELOAD: LIBRARY,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    TZ: "UTC",
  };
}

/** Values that the store of the gateway has taken so far. */
function storedValues(gateway: GatewayProcess): number {
  using database = new Database(join(gateway.dir, "data/events.db"), { readonly: true });
  const row: unknown = database.query("SELECT value FROM counters WHERE name = 'stored'").get();
  return typeof row === "object" && row !== null && "value" in row ? Number(row.value) : 0;
}

describe("tbgw run before the clock is set", () => {
  test(
    "keeps its samples, through a kill too, and sends them with their real times once it is",
    async () => {
      await using platform = await ThingsBoardDouble.listen({ clock: systemClock });
      platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
      await using broker = await Mosquitto.start();
      await using gateway = await GatewayProcess.create({
        platformPort: platform.port,
        brokerPort: broker.port,
        mqtt: { mapping: [SEQUENCE_MAPPING] },
      });
      const timeFile = join(gateway.dir, "time");
      const env = fakedTime(timeFile);
      await writeFile(timeFile, "@1970-01-01 00:05:00");
      const source = await connectAsync(`mqtt://127.0.0.1:${broker.port}`);
      const starts = (): number => gateway.output.split("Plant broker: Link is up").length - 1;
      const startedMs = systemClock.now();
      for (let run = 0; run < 2; run += 1) {
        gateway.start([], { env });
        await until("the gateway reached its broker", () => starts() > run, TIMEOUT_MS);
        await source.publishAsync("plant/d/data", `{"seq":${run},"value":1}`, { qos: 1 });
        // Two values a message, and once the two attributes that name the connector of the device.
        await until("it is stored", () => storedValues(gateway) >= 2 * run + 4, TIMEOUT_MS);
        if (run === 0) {
          await gateway.stop("SIGKILL");
        }
      }
      expect(gateway.output).toContain("The clock is not set");
      expect(platform.series("d", "seq")).toEqual([]);
      const setMs = systemClock.now();
      await writeFile(timeFile, "+0");
      const arrived = (): boolean => platform.series("d", "seq").length >= 2;
      await until("both samples have arrived", arrived, TIMEOUT_MS);
      expect(gateway.output).toContain("The clock is set");
      const points = platform.series("d", "seq");
      expect(points.map(({ text }) => text)).toEqual(["0", "1"]);
      // The kernel tells its uptime in hundredths of a second.
      const times = points.map(({ ts }) => ts);
      expect(times).toEqual([...times].sort((left, right) => left - right));
      expect(times[0]).toBeGreaterThan(startedMs - 50);
      expect(times[1]).toBeLessThan(setMs + 50);
      await source.endAsync();
      expect(await gateway.stop()).toBe(0);
    },
    TIMEOUT_MS,
  );
});
