// The broker of the devices ends again and again under 2,000 messages/s; what it has accepted must reach the platform.
import { describe, expect, test } from "bun:test";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { AckRelay } from "../support/ack-relay.ts";
import { Arrivals } from "../support/arrivals.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { NumberedSource } from "../support/numbered-source.ts";
import { until } from "../support/until.ts";
import { isFull, NUMBER_MAPPING, shortOrFull } from "./harness.ts";

const MESSAGES_PER_SECOND = 2000;
const RESTARTS = shortOrFull(3, 20);
/** The gateway waits up to 20 s between two attempts. */
const RECONNECT_MS = 30_000;
/** Without a new value for so long, none is under way. */
const CALM_MS = 3000;
const DRAIN_MS = isFull ? 300_000 : 60_000;
const TIMEOUT_MS = isFull ? 1_500_000 : 180_000;

interface Scene extends AsyncDisposable {
  readonly broker: Mosquitto;
  readonly relay: AckRelay;
  readonly gateway: GatewayProcess;
  readonly source: NumberedSource;
  readonly arrivals: Arrivals;
}

async function openScene(version: 4 | 5): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const platform = stack.use(
    await ThingsBoardDouble.listen({ clock: systemClock, store: "count" }),
  );
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  const arrivals = stack.use(new Arrivals(platform));
  const broker = stack.use(
    await Mosquitto.start(["persistence true", "persistence_location {dir}/"]),
  );
  const relay = stack.use(await AckRelay.open(broker.port));
  const gateway = stack.use(
    await GatewayProcess.create({
      platformPort: platform.port,
      brokerPort: relay.port,
      mqtt: {
        broker: { version, cleanStart: false, sessionExpiryInterval: 3600 },
        mapping: [NUMBER_MAPPING],
      },
    }),
  );
  gateway.start();
  await until("the gateway reached its broker", () =>
    gateway.output.includes("Plant broker: Link is up"),
  );
  const options = { port: broker.port, devices: 20, valuesPerSecond: MESSAGES_PER_SECOND };
  const source = stack.use(await NumberedSource.open(options));
  const kept = stack.move();
  return {
    broker,
    relay,
    gateway,
    source,
    arrivals,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** How often the gateway has come back. */
const returns = ({ gateway }: Scene): number => gateway.output.split("Link is up again").length - 1;

/** Ends the broker again and again under load; each time the gateway comes back and values flow before the next. */
async function restartMany(scene: Scene, signal: NodeJS.Signals): Promise<void> {
  scene.source.start();
  for (let count = 1; count <= RESTARTS; count += 1) {
    const before = scene.arrivals.count;
    await until("values flow", () => scene.arrivals.count > before + 1000, RECONNECT_MS);
    await scene.broker.kill(signal);
    await scene.broker.restart();
    await until("the gateway is back", () => returns(scene) >= count, RECONNECT_MS);
  }
  await scene.source.stop();
}

/** Messages the gateway has acknowledged, as `device → numbers`. */
function acknowledgedByGateway({ relay }: Scene): ReadonlyMap<string, ReadonlySet<number>> {
  const found = new Map<string, ReadonlySet<number>>();
  for (const [topic, payloads] of relay.acknowledged) {
    const seqs = [...payloads].map((payload) => Number(/\d+/.exec(payload)?.[0]));
    found.set(topic.split("/")[1] ?? "", new Set(seqs));
  }
  return found;
}

describe(`${RESTARTS} restarts under ${MESSAGES_PER_SECOND} messages/s, QoS 1, a persistent session`, () => {
  test.each([4, 5] as const)(
    "version %i: a broker that keeps its state loses nothing it has accepted",
    async (version) => {
      await using scene = await openScene(version);
      await restartMany(scene, "SIGTERM");
      const missing = (): number => scene.arrivals.missing(scene.source.acknowledged).length;
      await until("all arrived", () => missing() === 0, DRAIN_MS).catch(() => undefined);
      const { source, arrivals } = scene;
      const facts = {
        restarts: RESTARTS,
        accepted: source.sent,
        missing: missing(),
        redeliveries: arrivals.redeliveries,
      };
      console.log(`broker restarts, version ${version}: ${JSON.stringify(facts)}`);
      expect(missing()).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "a broker that is killed loses what it alone had; what the gateway has acknowledged is there",
    async () => {
      await using scene = await openScene(4);
      // It knows the session of the gateway when it comes back; what it had taken since then is gone.
      await scene.broker.save();
      await restartMany(scene, "SIGKILL");
      const { source, arrivals } = scene;
      // What the broker has forgotten never comes: nothing new for a while is the end.
      await until(
        "nothing more comes",
        () => systemClock.monotonicMs() - arrivals.lastAtMs > CALM_MS,
        DRAIN_MS,
      );
      const promised = acknowledgedByGateway(scene);
      const missing = (): number => arrivals.missing(promised).length;
      const facts = {
        restarts: RESTARTS,
        accepted: source.sent,
        acknowledged: [...promised.values()].reduce((sum, seqs) => sum + seqs.size, 0),
        missing: missing(),
        forgottenByBroker: arrivals.missing(source.acknowledged).length,
      };
      console.log(`broker kills: ${JSON.stringify(facts)}`);
      expect(promised.size).toBe(20);
      expect(missing()).toBe(0);
    },
    TIMEOUT_MS,
  );
});
