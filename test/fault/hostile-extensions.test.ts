// Extensions that do their worst, beside a source whose every value must arrive. `TBGW_FAULT=full` waits for the minute after which a loop is ended.
import { expect, test } from "bun:test";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { AedesBroker } from "../support/aedes.ts";
import { Arrivals } from "../support/arrivals.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { addHostileExtensions } from "../support/hostile-extensions.ts";
import { ledgerOf } from "../support/ledger-line.ts";
import { NumberedSource } from "../support/numbered-source.ts";
import { until } from "../support/until.ts";

const IS_FULL = process.env["TBGW_FAULT"] === "full";
const TIMEOUT_MS = IS_FULL ? 300_000 : 120_000;
const PATIENCE_MS = IS_FULL ? 200_000 : 60_000;

/** How often an instance of a connector has ended by itself, with a text in the reason. */
function ends(output: string, type: string, reason: string): number {
  return output
    .split("\n")
    .filter(
      (line) =>
        line.includes("Connector ended and is started again") &&
        line.includes(`connector="Hostile ${type}"`) &&
        line.includes(reason),
    ).length;
}

/** What must have happened to each, with the back-off between. */
const EXPECTED: readonly (readonly [type: string, reason: string, times: number])[] = [
  ["throwing", "throwing throws", 3],
  ["leaking", "leaked interval", 2],
  ["floating", "floating rejection", 2],
  ["after", "after is over", 3],
  ["none", "has returned an object without run()", 3],
  ["hog", "MB of memory", 2],
  ...(IS_FULL ? ([["loop", "no sign of life for 60 s", 2]] as const) : []),
];

test(
  "hostile extensions cost themselves alone: the source beside them loses nothing",
  async () => {
    await using stack = new AsyncDisposableStack();
    const platform = stack.use(await ThingsBoardDouble.listen({ clock: systemClock }));
    platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
    const arrivals = stack.use(new Arrivals(platform));
    const broker = stack.use(await AedesBroker.listen());
    const gateway = stack.use(
      await GatewayProcess.create({ platformPort: platform.port, brokerPort: broker.port }),
    );
    addHostileExtensions(`${gateway.dir}/config`);
    gateway.start();
    const { pid } = gateway;
    await until("the source is heard", () => gateway.output.includes("Plant broker: Link is up"));
    const source = stack.use(
      await NumberedSource.open({ port: broker.port, devices: 5, valuesPerSecond: 100 }),
    );
    source.start();
    await until(
      "each has had its share of ends",
      () => EXPECTED.every(([type, reason, times]) => ends(gateway.output, type, reason) >= times),
      PATIENCE_MS,
    );
    await until("rubbish is through", () => gateway.output.includes("Rubbish is through"));
    const call = async (device: string, method: string): Promise<unknown> =>
      JSON.parse(await platform.rpc(device, method, null));
    expect(await call("Rubbish", "cycle")).toMatchObject({ code: 500, success: false });
    expect(await call("Rubbish", "function")).toMatchObject({ code: 500, success: false });
    expect(await call("Hostile listener", "any")).toMatchObject({ error: "listener throws" });
    await source.stop();
    await until("all has arrived", () => arrivals.missing(source.acknowledged).length === 0);
    expect(gateway.pid).toBe(pid);
    expect(gateway.output).toContain("top level throws");
    expect(gateway.output).toContain("top level rejects");
    expect(gateway.output).not.toContain("Rubbish was taken");
    expect(gateway.output).not.toContain('started again connector="Plant broker"');
    expect(await gateway.stop()).toBe(0);
    const { received, stored, rejected } = ledgerOf(gateway.output);
    expect(rejected["rubbish"]).toBeUndefined();
    const refused = Object.values(rejected).reduce((sum, count) => sum + count, 0);
    expect(received).toBe(stored + refused);
    // The pauses between instances grow: nobody restarts in a busy loop.
    expect(ends(gateway.output, "throwing", "")).toBeLessThan(12);
  },
  TIMEOUT_MS,
);
