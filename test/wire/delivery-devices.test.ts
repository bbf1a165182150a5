// Names of devices across the two threads: what is stored under local names arrives under those of the platform.
import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeliveryClient } from "../../src/delivery/client.ts";
import type { KnownDevice } from "../../src/delivery/port.ts";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import type { EncodedRecord } from "../../src/sdk/batch.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import type { SessionSettings } from "../../src/thingsboard/settings.ts";
import { until } from "../support/until.ts";

const { signal } = new AbortController();
const PUMP: KnownDevice = {
  deviceName: "Pump",
  deviceType: "pump",
  connected: true,
  platformName: "Pump",
};
const STORAGE = {
  kind: "sqlite",
  maxRecords: 1000,
  maxBytes: undefined,
  ttlMs: 0,
  whenFull: "drop-oldest",
  durability: "durable",
  commitIntervalMs: 20,
  drain: "fifo",
} as const;

function record(n: number): EncodedRecord {
  const json = `{"ts":${1000 + n},"values":{"n":${n}}}`;
  return { kind: "telemetry", device: "Pump", deviceType: "pump", json, values: 1 };
}

/** A platform and a data folder that outlive the delivery threads of a test. */
class Plant implements AsyncDisposable {
  readonly platform: ThingsBoardDouble;
  /** Payloads of `v1/gateway/connect` and `disconnect`, in order. */
  readonly sessions: string[] = [];
  readonly #dir: string;

  private constructor(platform: ThingsBoardDouble, dir: string) {
    this.platform = platform;
    this.#dir = dir;
    platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "TOKEN" });
    platform.onPublish(({ topic, text }) => {
      if (topic === "v1/gateway/connect" || topic === "v1/gateway/disconnect") {
        this.sessions.push(`${topic.slice("v1/gateway/".length)} ${JSON.parse(text).device}`);
      }
    });
  }

  static async open(): Promise<Plant> {
    const dir = await mkdtemp(join(tmpdir(), "tbgw-names-"));
    return new Plant(await ThingsBoardDouble.listen({ clock: systemClock }), dir);
  }

  /** A delivery thread; `rename` is what the collection side does about the notices of the platform. */
  async deliver(
    devices: readonly KnownDevice[],
    rename: (client: DeliveryClient, notice: string) => void = () => undefined,
  ): Promise<DeliveryClient> {
    const session: SessionSettings = {
      hosts: [{ host: "127.0.0.1", port: this.platform.port }],
      keepAliveSeconds: 60,
      credentials: { kind: "accessToken", accessToken: "TOKEN" },
      tls: undefined,
      maxPayloadBytes: undefined,
    };
    const made: { client?: DeliveryClient } = {};
    const client = await DeliveryClient.open(
      { dataDir: this.#dir, storage: STORAGE, session, devices, logLevel: "none" },
      {
        clock: systemClock,
        sink: () => undefined,
        onDownlink: (topic, payload) => {
          if (made.client !== undefined && topic.startsWith("v1/devices/me/rpc/request/")) {
            rename(made.client, payload);
          }
        },
      },
    );
    made.client = client;
    return client;
  }

  values(name: string): readonly string[] {
    return this.platform.series(name, "n").map(({ text }) => text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.platform[Symbol.asyncDispose]();
    await rm(this.#dir, { recursive: true, force: true });
  }
}

describe("the name of a device on the platform", () => {
  test("holds from the first message on, for what was stored before too", async () => {
    await using plant = await Plant.open();
    plant.platform.createDevice("Pump 7");
    await plant.platform.down();
    const before = await plant.deliver([]);
    await before.append([record(1)], { urgent: true }, signal);
    await before.stop(0);
    await plant.platform.up();
    await using client = await plant.deliver([{ ...PUMP, platformName: "Pump 7" }]);
    await client.append([record(2)], { urgent: true }, signal);
    await plant.platform.until(() => plant.values("Pump 7").length === 2);
    expect(plant.values("Pump 7")).toEqual(["1", "2"]);
    expect(plant.platform.devices()).toEqual(["gateway", "Pump 7"]);
    expect(plant.sessions).toEqual(["connect Pump 7"]);
  });

  test("that was given while the gateway was away is known before the first device is announced", async () => {
    await using plant = await Plant.open();
    const rename = (client: DeliveryClient, notice: string): void => {
      expect(JSON.parse(notice)).toEqual({
        method: "gateway_device_renamed",
        params: { Pump: "Pump 7" },
      });
      client.device({ ...PUMP, platformName: "Pump 7" });
    };
    await using client = await plant.deliver([PUMP], rename);
    await client.append([record(1)], { urgent: true }, signal);
    await plant.platform.until(() => plant.values("Pump").length === 1);
    await plant.platform.down();
    plant.platform.renameDevice("Pump", "Pump 7");
    await client.append([record(2)], { urgent: true }, signal);
    await plant.platform.up();
    await plant.platform.until(() => plant.values("Pump 7").length === 2, 20_000);
    expect(plant.platform.devices()).toEqual(["gateway", "Pump 7"]);
    expect(plant.sessions).toEqual(["connect Pump", "connect Pump 7"]);
    expect(plant.platform.pendingRpc("gateway")).toEqual([]);
  });

  test("that changes while it is connected opens its session anew", async () => {
    await using plant = await Plant.open();
    await using client = await plant.deliver([PUMP]);
    await plant.platform.until(() => plant.platform.devices().includes("Pump"));
    plant.platform.renameDevice("Pump", "Pump 7");
    client.device({ ...PUMP, platformName: "Pump 7" });
    await plant.platform.until(() => plant.sessions.length === 3);
    expect(plant.sessions).toEqual(["connect Pump", "disconnect Pump", "connect Pump 7"]);
    expect(plant.platform.devices()).toEqual(["gateway", "Pump 7"]);
  });

  test("ends with the device: deleted and back, it has its local name and its type", async () => {
    await using plant = await Plant.open();
    await using client = await plant.deliver([{ ...PUMP, platformName: "Pump 7" }]);
    await plant.platform.until(() => plant.platform.devices().includes("Pump 7"));
    plant.platform.deleteDevice("Pump 7");
    client.device({ ...PUMP, connected: false });
    await until("its session is closed", () => plant.sessions.at(-1) === "disconnect Pump 7");
    expect(plant.platform.devices()).toEqual(["gateway"]);
    client.device(PUMP);
    await client.append([record(1)], { urgent: true }, signal);
    await plant.platform.until(() => plant.values("Pump").length === 1);
    expect(plant.platform.device("Pump")?.profile).toBe("pump");
    expect(plant.platform.devices()).toEqual(["gateway", "Pump"]);
  });
});
