// Two compiled gateways share the topics of one mosquitto through `$share`: together complete, split, and one takes over.
import { expect, test } from "bun:test";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { Arrivals } from "../support/arrivals.ts";
import { GatewayProcess, SEQUENCE_MAPPING } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { NumberedSource } from "../support/numbered-source.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 120_000;
const MESSAGES_PER_SECOND = 1000;
/** A share below this would be no split of the load. */
const LEAST_SHARE = 0.2;

/** Without a new value for so long, none is under way. */
const CALM_MS = 1000;
/** The Receive Maximum of the gateway. */
const MOST_UNACKNOWLEDGED = 1000;

interface Member extends AsyncDisposable {
  readonly gateway: GatewayProcess;
  readonly arrivals: Arrivals;
}

interface Members extends AsyncDisposable {
  readonly first: Member;
  readonly second: Member;
  readonly source: NumberedSource;
  /** Part of the load that the one with less of it had. */
  readonly leastShare: number;
  /** Messages the broker has accepted that are on neither platform. */
  readonly missing: () => number;
}

/** A gateway of the group with a platform of its own, so that it can be seen what each one has brought. */
async function joinGroup(
  brokerPort: number,
  name: string,
  session: { readonly cleanStart: boolean; readonly sessionExpiryInterval: number },
): Promise<Member> {
  await using stack = new AsyncDisposableStack();
  const platform = stack.use(
    await ThingsBoardDouble.listen({ clock: systemClock, store: "count" }),
  );
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  const arrivals = stack.use(new Arrivals(platform));
  const gateway = stack.use(
    await GatewayProcess.create({
      platformPort: platform.port,
      brokerPort,
      mqtt: {
        broker: { version: 5, clientId: name, ...session },
        mapping: [{ ...SEQUENCE_MAPPING, topicFilter: "$share/plant/plant/+/data" }],
      },
    }),
  );
  gateway.start();
  await until("the gateway reached its broker", () =>
    gateway.output.includes("Plant broker: Link is up"),
  );
  const kept = stack.move();
  return { gateway, arrivals, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Two members under load until both have their share; then the first one is killed. */
async function killOne(
  broker: Mosquitto,
  session: Parameters<typeof joinGroup>[2],
): Promise<Members> {
  await using stack = new AsyncDisposableStack();
  const first = stack.use(await joinGroup(broker.port, "first", session));
  const second = stack.use(await joinGroup(broker.port, "second", session));
  const options = { port: broker.port, devices: 20, valuesPerSecond: MESSAGES_PER_SECOND };
  const source = stack.use(await NumberedSource.open(options));
  source.start();
  await until("both have their share", () =>
    [first, second].every(({ arrivals }) => arrivals.count > 1500),
  );
  const counts = [first.arrivals.count, second.arrivals.count];
  const leastShare = Math.min(...counts) / counts.reduce((sum, count) => sum + count, 0);
  await first.gateway.stop("SIGKILL");
  const missing = (): number => {
    const bySecond = new Set(second.arrivals.missing(source.acknowledged));
    return first.arrivals.missing(source.acknowledged).filter((one) => bySecond.has(one)).length;
  };
  const kept = stack.move();
  return {
    first,
    second,
    source,
    leastShare,
    missing,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

test(
  "with persistent sessions the load is split and nothing is missing once the killed one is back",
  async () => {
    await using broker = await Mosquitto.start();
    await using group = await killOne(broker, {
      cleanStart: false,
      sessionExpiryInterval: 3600,
    });
    const { first, second, source, leastShare, missing } = group;
    const before = second.arrivals.count;
    await until("the other one goes on", () => second.arrivals.count > before + 1000);
    await source.stop();
    // mosquitto goes on giving the one that is away its share, which waits in its session.
    first.gateway.start();
    await until("all arrived", () => missing() === 0).catch(() => undefined);
    const facts = { sent: source.sent, leastShare, missing: missing() };
    console.log(`$share, persistent sessions: ${JSON.stringify(facts)}`);
    expect(missing()).toBe(0);
    expect(leastShare).toBeGreaterThan(LEAST_SHARE);
  },
  TIMEOUT_MS,
);

test(
  "with clean sessions the other one takes over the whole load at once",
  async () => {
    await using broker = await Mosquitto.start();
    await using group = await killOne(broker, { cleanStart: true, sessionExpiryInterval: 0 });
    const { second, source, leastShare, missing } = group;
    const before = second.arrivals.count;
    const startMs = systemClock.monotonicMs();
    await until("the other one has it all", () => second.arrivals.count > before + 3000);
    const perSecond = (3000 / (systemClock.monotonicMs() - startMs)) * 1000;
    await source.stop();
    const isCalm = (): boolean => systemClock.monotonicMs() - second.arrivals.lastAtMs > CALM_MS;
    await until("nothing more comes", isCalm);
    const facts = { sent: source.sent, perSecond: Math.round(perSecond), missing: missing() };
    console.log(`$share, clean sessions: ${JSON.stringify(facts)}`);
    expect(leastShare).toBeGreaterThan(LEAST_SHARE);
    expect(perSecond).toBeGreaterThan(MESSAGES_PER_SECOND * 0.7);
    // What mosquitto had given the killed one, and it had not acknowledged, ends with its session.
    expect(missing()).toBeLessThanOrEqual(MOST_UNACKNOWLEDGED);
  },
  TIMEOUT_MS,
);
