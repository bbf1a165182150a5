// Calls to devices that answer, throw, are late or never answer, while the link comes and goes. `TBGW_RPC_CALLS` chooses how many.
import { describe, expect, test } from "bun:test";
import { systemClock } from "../../src/sdk/clock.ts";
import type { ConnectorHost } from "../../src/sdk/connector.ts";
import { RpcError } from "../../src/sdk/errors.ts";
import { isJsonObject, type Json, type RpcRequest } from "../../src/sdk/model.ts";
import { GatewayRig, plant } from "../support/gateway-rig.ts";
import { chooseSeed, type Random, randomFrom } from "../support/seed.ts";
import { until } from "../support/until.ts";

const CALLS = Number(process.env["TBGW_RPC_CALLS"] ?? 10_000);
const DEVICES = 100;
const CONNECTORS = 5;
/** Calls that wait for their answer at one time. */
const OPEN = 200;
const TIMEOUT_MS = 60_000 + CALLS * 30;
/** The wire and a busy machine: an answer that was sent in time may arrive so much later. */
const TRANSIT_MS = 400;

/** How often a device goes and comes, for each call. */
const FLAPPING = 0.02;

type Behaviour = "value" | "nothing" | "rpc-error" | "throw" | "silent" | "deaf";

/** What a call asks its device for. */
interface Plan {
  readonly n: number;
  readonly device: string;
  readonly behaviour: Behaviour;
  readonly workMs: number;
  readonly timeoutMs: number;
  readonly isOneWay: boolean;
}

/** What was seen of a call. */
interface Seen {
  readonly plan: Plan;
  executions: number;
  /** Where and when the platform has sent it. */
  readonly deliveries: { readonly connection: number; readonly atMs: number }[];
  readonly replies: { readonly connection: number; readonly atMs: number; readonly data: string }[];
}

function planOf(n: number, random: Random): Plan {
  const dice = random();
  const behaviour: Behaviour =
    dice < 0.55
      ? "value"
      : dice < 0.65
        ? "nothing"
        : dice < 0.78
          ? "rpc-error"
          : dice < 0.92
            ? "throw"
            : dice < 0.99
              ? "silent"
              : "deaf";
  return {
    n,
    device: `Device ${Math.floor(random() * DEVICES)}`,
    behaviour,
    workMs: random() < 0.5 ? 0 : Math.floor(random() * 60),
    timeoutMs: behaviour === "silent" || behaviour === "deaf" ? 300 + random() * 500 : 6000,
    isOneWay: random() < 0.05,
  };
}

/** The device's side of a call. */
async function perform({ behaviour, workMs, n }: Plan, signal: AbortSignal): Promise<Json | void> {
  if (workMs > 0) {
    await systemClock.sleep(workMs, signal);
  }
  switch (behaviour) {
    case "value":
      return { n };
    case "nothing":
      return undefined;
    case "rpc-error":
      throw new RpcError(`refused ${n}`, 409);
    case "throw":
      throw new Error(`broken ${n}`);
    case "silent":
      await systemClock.sleep(600_000, signal);
      return "late";
    case "deaf":
      await systemClock.sleep(1500, new AbortController().signal);
      return "later";
  }
}

/** The only answer a call may get, apart from a time-out. */
function answerOf({ behaviour, n }: Plan): string {
  switch (behaviour) {
    case "value":
      return `{"n":${n}}`;
    case "nothing":
      return '{"success":true}';
    case "rpc-error":
      return `{"error":"refused ${n}","code":409,"success":false}`;
    case "throw":
      return `{"error":"broken ${n}","code":500,"success":false}`;
    default:
      return REQUEST_TIMEOUT;
  }
}

const REQUEST_TIMEOUT = '{"error":"Request timeout","code":408,"success":false}';

/** Everything that happens to calls, as the two ends see it. */
class Record {
  readonly seen = new Map<number, Seen>();
  readonly #byId = new Map<string, Seen>();

  plan(plan: Plan): void {
    this.seen.set(plan.n, { plan, executions: 0, deliveries: [], replies: [] });
  }

  executed({ params }: RpcRequest): Plan {
    const seen = this.#of(params);
    seen.executions += 1;
    return seen.plan;
  }

  delivered(connection: number, text: string): void {
    const { device, data } = JSON.parse(text);
    const seen = this.#of(data.params);
    seen.deliveries.push({ connection, atMs: systemClock.monotonicMs() });
    this.#byId.set(`${device} ${data.id}`, seen);
  }

  replied(connection: number, text: string): void {
    const parts = /^\{"device":"([^"]+)","id":(\d+),"data":(.*)\}$/.exec(text);
    const seen = this.#byId.get(`${parts?.[1]} ${parts?.[2]}`);
    seen?.replies.push({
      connection,
      atMs: systemClock.monotonicMs(),
      data: parts?.[3] ?? "",
    });
  }

  #of(params: Json): Seen {
    const seen = isJsonObject(params) ? this.seen.get(Number(params["n"])) : undefined;
    if (seen === undefined) {
      throw new Error("A call that nobody made");
    }
    return seen;
  }
}

/** Calls one after the other, so many at a time; resolves with what each caller got: the answer, or `undefined`. */
async function callAll(
  rig: GatewayRig,
  plans: readonly Plan[],
  before: (n: number) => void,
): Promise<Map<number, string | undefined>> {
  const results = new Map<number, string | undefined>();
  let next = 0;
  const work = async (): Promise<void> => {
    for (let plan = plans[next]; plan !== undefined; plan = plans[next]) {
      next += 1;
      before(plan.n);
      const params = { n: plan.n, timeout: plan.timeoutMs / 1000 };
      const options = { oneWay: plan.isOneWay, timeoutMs: 9000 };
      const result = await rig.server
        .rpc(plan.device, "do", params, options)
        .catch(() => undefined);
      results.set(plan.n, result);
    }
  };
  await Promise.all(Array.from({ length: OPEN }, work));
  return results;
}

/**
 * What goes wrong as call n is made: at four moments the connection is lost in another way each (more would only make the pauses
 * longer), and now and then a device goes and comes, so that the platform repeats what it has no reply for.
 */
function trouble(
  rig: GatewayRig,
  hosts: readonly ConnectorHost[],
  random: Random,
): (n: number) => void {
  const { faults } = rig.server;
  const losses: (() => void)[] = [
    () => rig.server.kick("GW", 0x8b),
    () => faults.publish({ action: "cut" }, { topic: "v1/gateway/rpc", times: 1 }),
    () => faults.publish({ action: "cut-after" }, { topic: "v1/gateway/rpc", times: 1 }),
    () => {
      faults.publish(
        { action: "refuse", code: 0x97, close: true },
        { topic: "v1/gateway/rpc", times: 1 },
      );
    },
  ];
  return (n) => {
    const share = (n * (losses.length + 1)) / CALLS;
    if (n > 0 && Number.isInteger(share)) {
      losses[share - 1]?.();
    } else if (random() < FLAPPING) {
      const host = hosts[Math.floor(random() * hosts.length)];
      const names = [...(host?.devices.list().keys() ?? [])];
      const name = names[Math.floor(random() * names.length)] ?? "";
      host?.devices.disconnect(name).catch(() => undefined);
      host?.devices.connect(name, "machine").catch(() => undefined);
    }
  };
}

describe("calls under trouble", () => {
  test(
    `${CALLS} of them are executed once each, and every delivery gets the same answer in time`,
    async () => {
      const seed = chooseSeed();
      const random = randomFrom(seed);
      const record = new Record();
      const hosts: ConnectorHost[] = [];
      const perConnector = DEVICES / CONNECTORS;
      const connectors = Array.from({ length: CONNECTORS }, (_, index) =>
        plant({
          name: `Line ${index}`,
          devices: Array.from(
            { length: perConnector },
            (_unused, offset) => `Device ${index * perConnector + offset}`,
          ),
          created: (host) => hosts.push(host),
          handlers: { handleRpc: (request, signal) => perform(record.executed(request), signal) },
        }),
      );
      await using rig = await GatewayRig.open(connectors);
      await rig.announced(...Array.from({ length: DEVICES }, (_, index) => `Device ${index}`));
      rig.server.onDownlink(({ connection, topic, text }) => {
        if (topic === "v1/gateway/rpc") {
          record.delivered(connection, text);
        }
      });
      rig.server.onPublish(({ connection, topic, text }) => {
        if (topic === "v1/gateway/rpc") {
          record.replied(connection, text);
        }
      });
      const plans = Array.from({ length: CALLS }, (_, n) => planOf(n, random));
      for (const plan of plans) {
        record.plan(plan);
      }
      const results = await callAll(rig, plans, trouble(rig, hosts, random));
      rig.server.faults.clear();
      await rig.announced("Device 0");
      await until("all replies are settled", () => isSettled(rig), 20_000);
      const counts = rig.gateway.rpc;
      const connections = rig.server.sessions()[0]?.connection ?? 0;
      const all = [...record.seen.values()];
      const findings = all.flatMap((seen) =>
        check(seen, results.get(seen.plan.n), connections).flatMap((text) =>
          text === undefined ? [] : [`${seen.plan.n}: ${text}`],
        ),
      );
      expect({ seed, findings: findings.slice(0, 20), count: findings.length }).toEqual({
        seed,
        findings: [],
        count: 0,
      });
      // At each loss of the link no more than what was on its way.
      expect(all.filter((seen) => neverArrived(seen, connections)).length).toBeLessThan(OPEN);
      expect(counts.overflow + counts.refused + counts.dropped).toBe(0);
      expect(connections).toBeGreaterThan(4);
      expect(counts.deliveries).toBeGreaterThan(CALLS);
    },
    TIMEOUT_MS,
  );
});

/** Whether every delivery is accounted for: none is lost silently. */
function isSettled({ gateway }: GatewayRig): boolean {
  const { deliveries, dropped, late, refused, sent, unacknowledged } = gateway.rpc;
  return deliveries === sent + late + unacknowledged + refused + dropped;
}

/** What is wrong with what was seen of a call. */
function check(
  seen: Seen,
  result: string | undefined,
  connections: number,
): readonly (string | undefined)[] {
  const { deliveries, executions, plan, replies } = seen;
  const answers = new Set(replies.map(({ data }) => data));
  const [answer] = answers;
  const isAllowed = [undefined, answerOf(plan), REQUEST_TIMEOUT].includes(answer);
  // What never reached the gateway cannot be executed; what had no time left when its turn came is answered all the same.
  const isExcused =
    executions === 0 && (answer === REQUEST_TIMEOUT || neverArrived(seen, connections));
  return [
    answers.size > 1 ? `different answers: ${[...answers].join(" and ")}` : undefined,
    isAllowed ? undefined : `answer ${answer}, not ${answerOf(plan)}`,
    executions === 1 || isExcused ? undefined : `${executions} executions`,
    replies.length > deliveries.length
      ? `${replies.length} replies to ${deliveries.length} deliveries`
      : undefined,
    ...lateReplies(seen),
    plan.isOneWay || result === answer || isLostWithLink(seen)
      ? undefined
      : `the caller got ${result}, not ${answer}`,
  ];
}

/**
 * Whether the gateway may never have seen a call: the platform did not send it, or only into connections that were then lost,
 * and nothing came back. `connections` is the number of the connection that is open at the end.
 */
function neverArrived({ deliveries, executions, replies }: Seen, connections: number): boolean {
  const isLost = deliveries.every(({ connection }) => connection < connections);
  return executions === 0 && replies.length === 0 && isLost;
}

/** Replies that cannot be told to a delivery whose time was not over. */
function lateReplies({ deliveries, plan, replies }: Seen): readonly string[] {
  const open = [...deliveries];
  return replies.flatMap(({ atMs }) => {
    const inTime = (sentMs: number): boolean =>
      sentMs <= atMs && atMs - sentMs <= plan.timeoutMs + TRANSIT_MS;
    const index = open.findIndex((delivery) => inTime(delivery.atMs));
    open.splice(Math.max(0, index), index < 0 ? 0 : 1);
    return index < 0 ? [`a reply at ${atMs} to ${JSON.stringify(deliveries)}`] : [];
  });
}

/** The reply reached the platform as bytes only: the connection was cut before it was read, or it was ignored, and the caller had no more time. */
function isLostWithLink({ deliveries, replies }: Seen): boolean {
  return replies.length < deliveries.length || deliveries.length === 0;
}
