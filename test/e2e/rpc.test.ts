// Calls to the gateway's own device, answered by the compiled program.
import { describe, expect, test } from "bun:test";
import { connectAsync } from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import type { Json } from "../../src/sdk/model.ts";
import { AedesBroker } from "../support/aedes.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;

interface Scene extends AsyncDisposable {
  readonly platform: ThingsBoardDouble;
  readonly broker: AedesBroker;
  readonly gateway: GatewayProcess;
  /** The JSON of the answer to a call to the gateway. */
  call(method: string, params?: Json): Promise<unknown>;
  connections(): number;
}

async function openScene(): Promise<Scene> {
  const stack = new AsyncDisposableStack();
  const platform = stack.use(await ThingsBoardDouble.listen({ clock: systemClock }));
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  const broker = stack.use(await AedesBroker.listen());
  const gateway = stack.use(
    await GatewayProcess.create({ platformPort: platform.port, brokerPort: broker.port }),
  );
  let subscriptions = 0;
  broker.aedes.on("subscribe", () => {
    subscriptions += 1;
  });
  gateway.start();
  const connections = (): number =>
    platform.sessions()[0]?.filters.length === 7 ? (platform.sessions()[0]?.connection ?? 0) : 0;
  await platform.until(() => connections() > 0, 20_000);
  // From here on the broker keeps what comes while the gateway is away.
  await until("the gateway listens to its devices", () => subscriptions > 0);
  return {
    platform,
    broker,
    gateway,
    call: async (method, params = null) =>
      JSON.parse(await platform.rpc("gateway", method, params)),
    connections,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Sends one message of a device and waits until the platform has it. */
async function measure({ platform, broker }: Scene, seq: number): Promise<void> {
  const client = await connectAsync(`mqtt://127.0.0.1:${broker.port}`, { clientId: "meter" });
  await client.publishAsync("plant/dev-1/data", `{"seq":${seq},"value":1.5}`, { qos: 1 });
  await client.endAsync();
  await platform.until(
    () => platform.series("dev-1", "seq").some(({ text }) => text === String(seq)),
    10_000,
  );
}

describe("tbgw run", () => {
  test(
    "answers what the buttons of the platform ask",
    async () => {
      await using scene = await openScene();
      await measure(scene, 1);
      expect(await scene.call("gateway_ping")).toEqual({ code: 200, resp: "pong" });
      expect(await scene.call("gateway_devices")).toEqual({
        code: 200,
        resp: { "dev-1": "Plant broker" },
      });
      expect(await scene.call("gateway_stats")).toEqual({
        eventsProduced: 1,
        eventsSent: 1,
        PlantbrokerEventsProduced: 1,
        PlantbrokerEventsSent: 1,
      });
      expect(await scene.call("gateway_version")).toMatchObject({ code: 200 });
      expect(await scene.call("gateway_update")).toMatchObject({ code: 200 });
      expect(await scene.call("gateway_reboot")).toEqual({
        error: "reboot is not allowed on this gateway (tbgw.allowReboot)",
        code: 403,
      });
      expect(await scene.call("mqtt_get")).toMatchObject({ code: 400, success: false });
      expect(await scene.call("gateway_dance")).toEqual({ error: "Method not found", code: 404 });
      expect(await scene.gateway.stop()).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "restarts itself as the same process after a clean stop, twice, and goes on",
    async () => {
      await using scene = await openScene();
      await measure(scene, 1);
      const { pid } = scene.gateway;
      for (const round of [1, 2]) {
        const before = scene.connections();
        expect(await scene.call("gateway_restart", 1)).toEqual({ success: true });
        await scene.platform.until(() => scene.connections() > before, 20_000);
        await measure(scene, 1 + round);
        const { output } = scene.gateway;
        expect(output.split("Gateway has stopped").length - 1).toBe(round);
        expect(output.split("Gateway is running").length - 1).toBe(round + 1);
      }
      expect(scene.gateway.pid).toBe(pid);
      expect(() => process.kill(pid, 0)).not.toThrow();
      expect(await scene.gateway.stop()).toBe(0);
    },
    TIMEOUT_MS,
  );
});
