// The compiled program, configured from the platform and by hand, over a restart.
import { describe, expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectAsync } from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { AedesBroker } from "../support/aedes.ts";
import { BINARY, GatewayProcess } from "../support/gateway-process.ts";
import { json, recordOf } from "../support/remote-rig.ts";
import { until } from "../support/until.ts";

interface Scene extends AsyncDisposable {
  readonly platform: ThingsBoardDouble;
  readonly broker: AedesBroker;
  readonly gateway: GatewayProcess;
  readonly client: (name: string) => unknown;
  readonly file: (name: string) => Readonly<Record<string, unknown>>;
  /** Sends a value of a device over the broker until the platform has it. */
  readonly measured: (device: string, seq: number) => Promise<void>;
}

async function openScene(): Promise<Scene> {
  const stack = new AsyncDisposableStack();
  const platform = stack.use(await ThingsBoardDouble.listen({ clock: systemClock }));
  platform.createGateway("GW", "GATEWAY_TOKEN");
  const broker = stack.use(await AedesBroker.listen());
  const gateway = stack.use(
    await GatewayProcess.create({
      platformPort: platform.port,
      brokerPort: broker.port,
      thingsboard: { remoteConfiguration: true },
    }),
  );
  gateway.start();
  const client = (name: string): unknown => {
    const found = platform.getClient("GW")[name];
    return found?.type === "JSON" ? JSON.parse(found.text) : found?.value;
  };
  await until(
    "it has published its configuration",
    () => client("active_connectors") !== undefined,
  );
  return {
    platform,
    broker,
    gateway,
    client,
    file: (name) => recordOf(JSON.parse(readFileSync(join(gateway.dir, "config", name), "utf8"))),
    measured: async (device, seq) => {
      const meter = await connectAsync(`mqtt://127.0.0.1:${broker.port}`, { clientId: "meter" });
      await until(`${device} has ${seq}`, async () => {
        await meter.publishAsync(`plant/${device}/data`, `{"seq":${seq},"value":1.5}`, { qos: 1 });
        return platform.series(device, "seq").some(({ text }) => text === String(seq));
      });
      await meter.endAsync();
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

describe("tbgw run with remote configuration", () => {
  test("takes connectors from the platform, keeps them over a restart, and lists and restores what was before", async () => {
    await using scene = await openScene();
    const { platform, gateway, client, file } = scene;
    expect(client("Version")).toBe("3.8.3");
    await scene.measured("dev-1", 1);
    const shown = recordOf(client("Plant broker"));
    const content = recordOf(shown["configurationJson"]);
    const second = json({
      ...shown,
      id: undefined,
      name: "Second",
      configuration: "second.json",
      configurationJson: {
        ...content,
        id: undefined,
        broker: { ...recordOf(content["broker"]), clientId: "second" },
      },
      ts: 9e12,
    });
    platform.setShared("GW", { Second: second });
    await until("it is acknowledged", () => recordOf(client("Second"))["ts"] === 9e12);
    expect(statSync(join(gateway.dir, "config/second.json")).mode & 0o777).toBe(0o600);
    expect(file("tb_gateway.json")["connectors"]).toHaveLength(2);
    platform.setShared("GW", { active_connectors: ["Second"] });
    await until("the other one is gone", () =>
      Bun.deepEquals(client("active_connectors"), ["Second"]),
    );
    await scene.measured("dev-1", 2);
    expect(await gateway.stop()).toBe(0);
    gateway.start();
    await scene.measured("dev-1", 3);
    expect(file("tb_gateway.json")["connectors"]).toHaveLength(1);
    const places = ["--config", join(gateway.dir, "config"), "--data", join(gateway.dir, "data")];
    const run = (...args: readonly string[]): string =>
      Bun.spawnSync([BINARY, "config", ...args, ...places]).stdout.toString();
    expect(run("history", "tb_gateway.json")).toContain("remote");
    expect(run("restore", "tb_gateway.json")).toContain("is as it was on");
    await until(
      "the running gateway has taken it",
      () =>
        Array.isArray(client("active_connectors")) &&
        !Bun.deepEquals(client("active_connectors"), ["Second"]),
    );
    await scene.measured("dev-1", 4);
  }, 90_000);

  test("refuses what cannot work, says why, and takes an edited file at SIGHUP", async () => {
    await using scene = await openScene();
    const { platform, gateway, client, file } = scene;
    const before = file("tb_gateway.json");
    const shown = recordOf(client("general_configuration"));
    const security = { type: "accessToken", accessToken: "WRONG-TOKEN" };
    platform.setShared("GW", { general_configuration: json({ ...shown, security, ts: 9e12 }) });
    await until(
      "it is refused",
      () => "general_configuration" in recordOf(client("configuration_errors")),
    );
    expect(client("general_configuration")).toEqual(shown);
    expect(file("tb_gateway.json")).toEqual(before);
    await scene.measured("dev-1", 1);
    const mqtt = readFileSync(join(gateway.dir, "config/mqtt.json"), "utf8");
    writeFileSync(join(gateway.dir, "config/mqtt.json"), mqtt.replaceAll("plant/", "works/"));
    process.kill(gateway.pid, "SIGHUP");
    await until("the connector has changed", () =>
      gateway.output.includes("Connector is replaced"),
    );
    writeFileSync(join(gateway.dir, "config/mqtt.json"), mqtt);
    await scene.measured("dev-2", 1);
    expect(gateway.output).not.toContain("WRONG-TOKEN");
    expect(await gateway.stop()).toBe(0);
  }, 90_000);
});
